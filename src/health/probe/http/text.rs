use std::pin::pin;

use bytes::Buf;
use http_body::Body;
use tower::BoxError;

use super::exchange::next_frame;

/// The body does not contain the text.
#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error("the body does not contain {0:?}")]
    Ended(String),
    #[error("the first {1} bytes of the body do not contain {0:?}")]
    Limit(String, usize),
    #[error("the body broke off, and does not contain {0:?}")]
    BrokenOff(String, #[source] BoxError),
}

/// Reads on until the text has come, but not past the limit.
pub(super) async fn find<B>(body: B, wanted: &str, limit: usize) -> Result<(), BoxError>
where
    B: Body<Error: Into<BoxError>>,
{
    let mut body = pin!(body);
    let mut seen = Vec::new();
    while let Some(frame) = next_frame(&mut body).await {
        let frame = frame.map_err(|error| Missing::BrokenOff(wanted.to_owned(), error.into()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        // The text may have begun in what came before.
        let from = seen.len().saturating_sub(wanted.len() - 1);
        append(data, &mut seen, limit);
        let mut windows = seen[from..].windows(wanted.len());
        if windows.any(|window| window == wanted.as_bytes()) {
            return Ok(());
        }
        if seen.len() == limit {
            return Err(Missing::Limit(wanted.to_owned(), limit).into());
        }
    }
    Err(Missing::Ended(wanted.to_owned()).into())
}

/// Appends what the limit leaves room for.
fn append(mut data: impl Buf, seen: &mut Vec<u8>, limit: usize) {
    while data.has_remaining() && seen.len() < limit {
        let chunk = data.chunk();
        let length = chunk.len().min(limit - seen.len());
        seen.extend_from_slice(&chunk[..length]);
        data.advance(length);
    }
}
