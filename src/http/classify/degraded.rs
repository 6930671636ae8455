use std::any::Any;
use std::error::Error as StdError;
use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderMap, Response};

use super::{Classify, Verdict};
use crate::backend::Outcome;

/// A classifier, and a header that says that the backend is degraded; made by
/// [`Classify::degraded_header`].
#[derive(Clone, Debug)]
pub struct DegradedHeader<C> {
    classify: C,
    name: HeaderName,
}

impl<C> DegradedHeader<C> {
    pub(super) fn new(classify: C, name: HeaderName) -> Self {
        Self { classify, name }
    }
}

/// Whether there is such a header, with a value that is not `false` or `0`.
pub(crate) fn says_degraded(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().any(|value| {
        let value = value.as_bytes().trim_ascii();
        !value.eq_ignore_ascii_case(b"false") && value != b"0"
    })
}

impl<C: Classify> Classify for DegradedHeader<C> {
    fn head(&mut self, head: &Response<()>) -> Verdict {
        self.classify.head(head)
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Outcome {
        self.classify.end(trailers)
    }

    fn body_error(&mut self, error: &dyn Any) -> Outcome {
        self.classify.body_error(error)
    }

    fn error(&self, error: &(dyn StdError + 'static)) -> Outcome {
        self.classify.error(error)
    }

    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        self.classify.retry_after(headers)
    }

    fn never_left(&self, error: &(dyn StdError + 'static)) -> bool {
        self.classify.never_left(error)
    }

    fn waits_anywhere(&self, headers: &HeaderMap) -> bool {
        self.classify.waits_anywhere(headers)
    }

    fn may_retry(&self, headers: &HeaderMap) -> bool {
        self.classify.may_retry(headers)
    }

    fn degraded(&self, head: &Response<()>) -> bool {
        says_degraded(head.headers(), &self.name) || self.classify.degraded(head)
    }
}
