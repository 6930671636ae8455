use std::fmt;

use http::HeaderMap;
use tower::BoxError;

use crate::health::Answer;

/// How a call ended: `grpc-status` and `grpc-message`.
#[derive(Clone, Debug)]
pub(super) struct GrpcStatus {
    code: u32,
    message: String,
}

/// How much of a message is told.
const MESSAGE_CHARS: usize = 200;

const OK: u32 = 0;
const UNKNOWN: u32 = 2;
const UNIMPLEMENTED: u32 = 12;

impl GrpcStatus {
    /// The status in headers or trailers.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let code = headers.get("grpc-status")?.to_str().ok();
        let message = headers.get("grpc-message");
        Some(Self {
            // What is no number is to be taken as unknown.
            code: code.and_then(|code| code.parse().ok()).unwrap_or(UNKNOWN),
            message: message.map_or_else(String::new, |message| decoded(message.as_bytes())),
        })
    }

    pub(super) fn is_ok(&self) -> bool {
        self.code == OK
    }

    /// The answer of a server that did not answer the check.
    pub(super) fn into_answer(self) -> Result<Answer, BoxError> {
        match self.code {
            UNIMPLEMENTED => Ok(Answer::Healthy),
            _ => Err(self.into()),
        }
    }
}

impl fmt::Display for GrpcStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "grpc-status {}", self.code)?;
        if let Some(name) = name_of(self.code) {
            write!(f, " {name}")?;
        }
        if !self.message.is_empty() {
            // Quoted, since a backend could put anything here.
            write!(f, ": {:?}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for GrpcStatus {}

fn name_of(code: u32) -> Option<&'static str> {
    Some(match code {
        0 => "OK",
        1 => "CANCELLED",
        2 => "UNKNOWN",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        6 => "ALREADY_EXISTS",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        10 => "ABORTED",
        11 => "OUT_OF_RANGE",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        15 => "DATA_LOSS",
        16 => "UNAUTHENTICATED",
        _ => return None,
    })
}

/// Undoes the percent-encoding of a message. What is not encoded well stays as it is.
fn decoded(mut encoded: &[u8]) -> String {
    let mut bytes = Vec::new();
    while let [first, rest @ ..] = encoded {
        let (byte, rest) = match rest {
            [high, low, rest @ ..] if *first == b'%' => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, rest),
                _ => (*first, &encoded[1..]),
            },
            rest => (*first, rest),
        };
        bytes.push(byte);
        encoded = rest;
    }
    let text = String::from_utf8_lossy(&bytes);
    text.chars().take(MESSAGE_CHARS).collect()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(code: &[u8], message: &[u8]) -> GrpcStatus {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", code.try_into().unwrap());
        headers.insert("grpc-message", message.try_into().unwrap());
        GrpcStatus::of(&headers).unwrap()
    }

    #[test]
    fn a_message_is_decoded_quoted_and_short() {
        let text = |message: &[u8]| status(b"5", message).to_string();
        assert_eq!(text(b""), "grpc-status 5 NOT_FOUND");
        assert_eq!(text(b"gr%C3%BCn"), r#"grpc-status 5 NOT_FOUND: "grün""#);
        assert_eq!(text(b"a%0Ab"), r#"grpc-status 5 NOT_FOUND: "a\nb""#);
        assert_eq!(text(b"%ff"), "grpc-status 5 NOT_FOUND: \"\u{fffd}\"");
        assert_eq!(text(b"100%"), r#"grpc-status 5 NOT_FOUND: "100%""#);
        assert_eq!(text(b"%2"), r#"grpc-status 5 NOT_FOUND: "%2""#);
        assert_eq!(text(b"%+1%20"), r#"grpc-status 5 NOT_FOUND: "%+1 ""#);
        assert_eq!(
            text(&[b'x'; 1000]),
            format!("grpc-status 5 NOT_FOUND: {:?}", "x".repeat(200))
        );
    }

    #[test]
    fn a_code_without_a_name_is_a_number_and_what_is_no_number_is_unknown() {
        assert_eq!(status(b"99", b"").to_string(), "grpc-status 99");
        for code in [&b""[..], b"x", b"-1", b"99999999999", b"\xff"] {
            assert_eq!(status(code, b"").to_string(), "grpc-status 2 UNKNOWN");
        }
    }

    proptest! {
        #[test]
        fn any_message_can_be_decoded(bytes in any::<Vec<u8>>()) {
            decoded(&bytes);
        }
    }
}
