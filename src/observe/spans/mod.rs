//! A span for each request, and in it one for each attempt.

mod attempt;
mod body;
mod ending;
mod future;
mod request;

pub use self::attempt::{AttemptSpan, AttemptSpans};
pub use self::body::SpanBody;
pub use self::future::SpanFuture;
pub use self::request::{RequestSpan, RequestSpans};
