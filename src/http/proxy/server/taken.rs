//! Whether an HTTP/2 client takes what it has asked for.
//!
//! Over HTTP/1.1 the socket shows it. Over HTTP/2 a client can keep the connection busy and its
//! streams' windows closed: then nobody asks a response's body for more, and no timer of the body's
//! own runs.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep};

/// The responses of one connection that have not ended.
pub(super) struct Untaken {
    begun: Instant,
    responses: Mutex<Vec<Weak<Since>>>,
}

/// Since when a body has not been asked for more that has more: milliseconds since the connection
/// began, and one. 0 while it is waited for itself. `Relaxed`: a number, and nothing with it.
struct Since(AtomicU64);

impl Untaken {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            responses: Mutex::default(),
        }
    }

    /// Watches the body of a response.
    pub(super) fn watch<B>(self: &Arc<Self>, body: B) -> Taken<B> {
        let since = Arc::new(Since(AtomicU64::new(self.now())));
        let mut responses = self.responses();
        // Grows with those that there are at once, not with those that there were.
        if responses.len() == responses.capacity() {
            responses.retain(|other| other.strong_count() > 0);
        }
        responses.push(Arc::downgrade(&since));
        drop(responses);
        Taken {
            body,
            watched: Some((Arc::clone(self), since)),
        }
    }

    /// Ends when one has not been asked for more for so long, or a quarter longer.
    pub(super) async fn for_too_long(&self, timeout: Duration) {
        let most = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        loop {
            sleep(timeout / 4).await;
            let now = self.now();
            let mut responses = self.responses();
            responses.retain(|response| response.strong_count() > 0);
            let too_long = responses.iter().filter_map(Weak::upgrade).any(|since| {
                let since = since.0.load(Ordering::Relaxed);
                since != 0 && now.saturating_sub(since) > most
            });
            if too_long {
                return;
            }
        }
    }

    fn now(&self) -> u64 {
        let millis = self.begun.elapsed().as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX - 1) + 1
    }

    fn responses(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Since>>> {
        self.responses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

pin_project! {
    /// A body that notes when it is asked for more.
    pub(super) struct Taken<B> {
        #[pin]
        body: B,
        watched: Option<(Arc<Untaken>, Arc<Since>)>,
    }
}

impl<B> Taken<B> {
    pub(super) fn unwatched(body: B) -> Self {
        Self {
            body,
            watched: None,
        }
    }
}

impl<B: Body> Body for Taken<B> {
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        if let Some((untaken, since)) = this.watched {
            let now = if frame.is_ready() { untaken.now() } else { 0 };
            since.0.store(now, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
