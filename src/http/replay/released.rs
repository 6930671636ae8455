use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::slot::Slot;

/// Waits until no copy of a body has to be waited for; made by
/// [`ReplayBody::released`](super::ReplayBody::released).
///
/// It yields whether a copy that starts then gets the whole body.
///
/// # Cancel safety
///
/// Dropping it changes nothing.
#[must_use = "futures do nothing unless polled"]
pub struct Released<B> {
    slot: Option<Arc<Slot<B>>>,
}

impl<B> Released<B> {
    /// Of an empty body there is no slot.
    pub(super) fn new(slot: Option<Arc<Slot<B>>>) -> Self {
        Self { slot }
    }
}

impl<B> Future for Released<B> {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        match &self.slot {
            None => Poll::Ready(true),
            Some(slot) => slot.poll_released(cx),
        }
    }
}

impl<B> fmt::Debug for Released<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Released").finish_non_exhaustive()
    }
}
