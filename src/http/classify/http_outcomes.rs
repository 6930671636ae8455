use http::{Response, StatusCode};

use super::{Classify, Verdict};
use crate::backend::{Failure, Outcome};

/// Goes by the status. The default.
///
/// | status | outcome |
/// | --- | --- |
/// | 502, 503, 504 | failure: [`Gateway`](Failure::Gateway) |
/// | 500, 501, 505 to 599 | failure: [`Response`](Failure::Response) |
/// | 429 | [`Rejected`](Outcome::Rejected) |
/// | any other | success |
///
/// What 429 and 502 to 504 say in `Retry-After` is handed on, if it is a number of seconds.
///
/// # Examples
///
/// ```
/// use evenkeel::http::{Classify, HttpOutcomes, OnBodyEnd};
/// use http::HeaderName;
///
/// let degraded = HeaderName::from_static("x-envoy-degraded");
/// let track = OnBodyEnd::new().classify(HttpOutcomes::new().degraded_header(degraded));
/// # let _ = track;
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct HttpOutcomes {
    _room: (),
}

impl HttpOutcomes {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Classify for HttpOutcomes {
    #[inline]
    fn head(&mut self, head: &Response<()>) -> Verdict {
        of_status(head.status()).into()
    }
}

#[inline]
pub(super) fn of_status(status: StatusCode) -> Outcome {
    match status.as_u16() {
        502..=504 => Outcome::Failure(Failure::Gateway),
        500..=599 => Outcome::Failure(Failure::Response),
        429 => Outcome::Rejected,
        _ => Outcome::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::TrackedBody;

    #[test]
    fn the_default_takes_no_room_in_a_body() {
        assert_eq!(size_of::<HttpOutcomes>(), 0);
        let with = size_of::<TrackedBody<String>>();
        let without = size_of::<TrackedBody<String, fn(&Response<()>) -> Verdict>>();
        assert_eq!(with + size_of::<fn()>(), without);
    }
}
