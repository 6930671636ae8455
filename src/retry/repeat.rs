use std::time::{Duration, Instant};

use crate::balance::Awaited;

/// Whether a request can be sent again, and may be.
///
/// A closure says which requests are safe, of those that are `Clone`:
///
/// ```
/// use evenkeel::retry::RetryLayer;
///
/// enum Query { Get(u64), Put(u64, String) }
/// # impl Clone for Query { fn clone(&self) -> Self { Query::Get(0) } }
///
/// let layer = RetryLayer::new(|query: &Query| matches!(query, Query::Get(_)));
/// # let _ = layer;
/// ```
///
/// For HTTP there is [`ByMethod`](crate::http::ByMethod).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether a `{Req}` can be sent again",
    note = "a closure `|request: &{Req}| -> bool` says whether a request is safe to send twice, if `{Req}` is `Clone`",
    note = "for HTTP, `evenkeel::http::ByMethod` with a request body that is an `evenkeel::http::ReplayBody`"
)]
pub trait Repeat<Req> {
    /// Makes a copy for a later attempt, if there can be one. It is made before the first attempt.
    fn copy(&self, request: &Req) -> Option<Req>;

    /// Returns whether to send it twice does no more than to send it once.
    fn is_safe(&self, request: &Req) -> bool;

    /// Returns whether a copy can be sent when the attempt before has failed: a body that was sent
    /// in part may be lost. Default: it can.
    fn can_send(&self, copy: &Req) -> bool {
        let _ = copy;
        true
    }

    /// Returns whether a copy can be sent while another is still being sent, for a hedge. Default:
    /// as [`can_send`](Self::can_send) says.
    fn can_send_beside(&self, copy: &Req) -> bool {
        self.can_send(copy)
    }

    /// Returns whether a backend waits for the caller to send more of the request, as far as a copy can
    /// tell. While it does, it is not given up by
    /// [`attempt_timeout`](crate::Balance::attempt_timeout), whose time begins anew then. Default:
    /// never.
    fn awaited(&self, copy: &Req) -> Awaited {
        let _ = copy;
        Awaited::Never
    }

    /// Returns the deadline that the request carries. Default: none.
    fn deadline(&self, request: &Req) -> Option<Instant> {
        let _ = request;
        None
    }

    /// Is told before each attempt, from 0 on, and how much of the request's time is left if that
    /// is known. Default: nothing is done.
    fn prepare(&self, request: &mut Req, attempt: u32, time_left: Option<Duration>) {
        let _ = (request, attempt, time_left);
    }
}

impl<Req, F> Repeat<Req> for F
where
    Req: Clone,
    F: Fn(&Req) -> bool,
{
    #[inline]
    fn copy(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }

    #[inline]
    fn is_safe(&self, request: &Req) -> bool {
        self(request)
    }
}
