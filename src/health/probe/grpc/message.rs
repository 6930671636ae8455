//! The two messages of a check, in protobuf, each in the frame that gRPC puts around it.
//!
//! ```text
//! frame:    0 (not compressed), length (4 bytes, big endian), message
//! message:  fields, each a key (varint: number << 3 | wire type) and a value
//! request:  1, length-delimited: service
//! response: 1, varint: status
//! ```

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

/// What the health service says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Serving(u64);

/// The bytes are no response to a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the response is not one gRPC message")]
    Frame,
    #[error("the response is compressed, which was not asked for")]
    Compressed,
    #[error("the response is not a HealthCheckResponse")]
    Message,
}

const STATUS_FIELD: u64 = 1;

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

/// Encodes a request, in its frame.
pub(super) fn request_of(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    // Empty is the default, which is not sent.
    if !service.is_empty() {
        message.put_u8(1 << 3 | LENGTH_DELIMITED as u8);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(&message);
    frame.freeze()
}

/// Decodes a response, in its frame.
pub(super) fn serving_of(frame: &[u8]) -> Result<Serving, Malformed> {
    let (header, message) = frame.split_first_chunk::<5>().ok_or(Malformed::Frame)?;
    let [compressed, length @ ..] = *header;
    if message.len() != u32::from_be_bytes(length) as usize {
        return Err(Malformed::Frame);
    }
    match compressed {
        0 => status_of(message).ok_or(Malformed::Message),
        1 => Err(Malformed::Compressed),
        _ => Err(Malformed::Frame),
    }
}

fn status_of(mut message: &[u8]) -> Option<Serving> {
    let mut status = Serving::UNKNOWN;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        match (key >> 3, key & 7) {
            // Of several, the last one counts.
            (STATUS_FIELD, VARINT) => status = Serving(take_varint(&mut message)?),
            (_, VARINT) => drop(take_varint(&mut message)?),
            (_, FIXED_64) => take(&mut message, 8)?,
            (_, FIXED_32) => take(&mut message, 4)?,
            (_, LENGTH_DELIMITED) => {
                let length = take_varint(&mut message)?;
                take(&mut message, usize::try_from(length).ok()?)?;
            }
            // Groups, which no message of this version of protobuf has.
            _ => return None,
        }
    }
    Some(status)
}

fn put_varint(buffer: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        buffer.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}

/// Takes a varint off the front: at most ten bytes of seven bits, the lowest first.
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take(bytes: &mut &[u8], length: usize) -> Option<()> {
    *bytes = bytes.get(length..)?;
    Some(())
}

impl Serving {
    pub(super) const UNKNOWN: Self = Self(0);
    pub(super) const SERVING: Self = Self(1);
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("UNKNOWN"),
            1 => f.write_str("SERVING"),
            2 => f.write_str("NOT_SERVING"),
            3 => f.write_str("SERVICE_UNKNOWN"),
            other => write!(f, "in the unknown state {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame around a message.
    fn framed(message: &[u8]) -> Vec<u8> {
        let mut frame = vec![0];
        frame.extend((message.len() as u32).to_be_bytes());
        frame.extend(message);
        frame
    }

    #[test]
    fn a_request_has_the_service_unless_it_is_empty() {
        assert_eq!(&request_of("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&request_of("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = request_of(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 2]);
        assert_eq!(long.len(), 5 + 303);
    }

    #[test]
    fn a_status_is_read_and_a_missing_one_is_unknown() {
        assert_eq!(serving_of(&framed(&[8, 1])), Ok(Serving::SERVING));
        assert_eq!(serving_of(&framed(&[8, 2])), Ok(Serving(2)));
        assert_eq!(serving_of(&framed(&[])), Ok(Serving::UNKNOWN));
        // The last one counts, and a varint may be longer than it need be.
        assert_eq!(serving_of(&framed(&[8, 1, 8, 0x82, 0])), Ok(Serving(2)));
        // A negative one has ten bytes.
        let mut negative = [0xff; 11];
        (negative[0], negative[10]) = (8, 1);
        assert_eq!(serving_of(&framed(&negative)), Ok(Serving(u64::MAX)));
    }

    #[test]
    fn unknown_fields_are_skipped() {
        let fields: [&[u8]; 6] = [
            &[0x10, 0x80, 1],                   // 2: varint
            &[0x19, 8, 2, 8, 2, 8, 2, 8, 2],    // 3: 64 bits
            &[0x22, 2, 8, 2],                   // 4: length-delimited
            &[0x2d, 8, 2, 8, 2],                // 5: 32 bits
            &[0x0a, 2, 8, 2],                   // 1, but length-delimited
            &[0x80, 0x80, 0x80, 0x80, 1, 0x7f], // a large number: varint
        ];
        for field in fields {
            let before = [field, &[8, 1]].concat();
            assert_eq!(
                serving_of(&framed(&before)),
                Ok(Serving::SERVING),
                "{field:?}"
            );
            let after = [&[8, 1], field].concat();
            assert_eq!(
                serving_of(&framed(&after)),
                Ok(Serving::SERVING),
                "{field:?}"
            );
        }
    }

    #[test]
    fn a_message_that_ends_early_or_goes_on_is_malformed() {
        let messages: [&[u8]; 8] = [
            &[8],
            &[8, 0x80],
            &[
                8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
            &[0x19, 1, 2, 3, 4, 5, 6, 7],
            &[0x2d, 1, 2, 3],
            &[0x22, 2, 8],
            &[
                0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
            &[0x0b, 0x0c],
        ];
        for message in messages {
            assert_eq!(
                serving_of(&framed(message)),
                Err(Malformed::Message),
                "{message:?}"
            );
        }
    }

    #[test]
    fn a_frame_that_is_not_exactly_one_is_malformed() {
        let frames: [&[u8]; 6] = [
            &[],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 2, 8],
            &[0, 0, 0, 0, 1, 8, 1],
            &[0, 0xff, 0xff, 0xff, 0xff, 8, 1],
            &[2, 0, 0, 0, 2, 8, 1],
        ];
        for frame in frames {
            assert_eq!(serving_of(frame), Err(Malformed::Frame), "{frame:?}");
        }
        let compressed = [1, 0, 0, 0, 2, 8, 1];
        assert_eq!(serving_of(&compressed), Err(Malformed::Compressed));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = serving_of(&bytes);
            let _ = serving_of(&framed(&bytes));
        }

        #[test]
        fn a_varint_is_read_as_it_was_written(value: u64) {
            let mut written = BytesMut::new();
            put_varint(&mut written, value);
            let mut bytes = &written[..];
            prop_assert_eq!(take_varint(&mut bytes), Some(value));
            prop_assert!(bytes.is_empty());
        }
    }
}
