use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::future::{FutureExt, Shared};
use pin_project_lite::pin_project;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tower::BoxError;
use tower_service::Service;

use crate::backoff::Backoff;
use crate::time::{later, now};

/// A service that is made when it is first needed, once for all who need it at the same time.
///
/// Clones share what was made. When its `poll_ready` fails it is dropped and made anew. When making
/// fails, the next try waits for the [`Backoff`]; until then this is not ready, with the error of
/// the last try.
///
/// Made by [`Connect::to`](super::Connect::to) or [`Pool::connected`](crate::Pool::connected).
///
/// # Cancel safety
///
/// On a tokio runtime the making goes on by itself, whoever gives up waiting for it, and stops when
/// the last clone is dropped. Elsewhere those who wait for it drive it.
pub struct Connected<S> {
    inner: Arc<Inner<S>>,
    /// What this clone is about to call, and what it was cloned from.
    service: Option<(S, Arc<Made<S>>)>,
    making: Option<Making>,
}

/// Why there is no connection at the moment.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot connect")]
pub struct ConnectError {
    source: Arc<dyn StdError + Send + Sync>,
    retry_at: Instant,
}

type Making = Shared<Pin<Box<dyn Future<Output = Result<(), ConnectError>> + Send>>>;
type Make<S> = Pin<Box<dyn Future<Output = Result<S, BoxError>> + Send>>;

struct Made<S> {
    service: S,
    /// One that breaks before it was ever ready counts as a failure to make it. `Relaxed`: a flag,
    /// and nothing with it.
    was_ready: AtomicBool,
    /// Since somebody last looked whether it is. `Relaxed`: the same.
    used: AtomicBool,
}

struct Inner<S> {
    make: Box<dyn Fn() -> Make<S> + Send + Sync>,
    backoff: Backoff,
    /// What was made last, for those who only need to call it: no lock on their way.
    made: ArcSwapOption<Made<S>>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    failures: u32,
}

enum Phase {
    Idle,
    Connecting(Making, Option<AbortHandle>),
    BackingOff(ConnectError),
}

impl<S: Send + Sync + 'static> Connected<S> {
    pub(super) fn new(
        make: impl Fn() -> Make<S> + Send + Sync + 'static,
        backoff: Backoff,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                make: Box::new(make),
                backoff,
                made: ArcSwapOption::empty(),
                state: Mutex::new(State {
                    phase: Phase::Idle,
                    failures: 0,
                }),
            }),
            service: None,
            making: None,
        }
    }
}

impl<S> Connected<S> {
    /// Returns whether there is a service at the moment.
    pub fn is_made(&self) -> bool {
        self.inner.made.load().is_some()
    }

    /// Drops the service, if there is one that was not used since this was asked last, and is not
    /// now. Returns whether it did.
    pub(super) fn drop_unless_used(&self, in_use: bool) -> bool {
        let made = self.inner.made.load();
        let Some(service) = made.as_ref() else {
            return false;
        };
        // In use until now is used.
        if service.used.swap(in_use, Ordering::Relaxed) || in_use {
            return false;
        }
        let current = self.inner.made.compare_and_swap(&*made, None);
        current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, service))
    }
}

impl<S: Send + Sync + 'static> Inner<S> {
    /// Joins the making that is under way, or starts one if it may. `None` if it is done already.
    fn join(self: &Arc<Self>) -> Result<Option<Making>, ConnectError> {
        let mut state = self.state();
        if self.made.load().is_some() {
            return Ok(None);
        }
        match &state.phase {
            Phase::Connecting(making, _) => return Ok(Some(making.clone())),
            Phase::BackingOff(error) if Instant::now() < error.retry_at => {
                return Err(error.clone());
            }
            Phase::Idle | Phase::BackingOff(_) => {}
        }
        // Weak, so that dropping the last clone ends it.
        let (make, weak) = ((self.make)(), Arc::downgrade(self));
        let making = async move {
            let outcome = AssertUnwindSafe(make).catch_unwind().await;
            Self::settle(
                &weak,
                outcome.unwrap_or_else(|_| Err("the maker panicked".into())),
            )
        }
        .boxed()
        .shared();
        let abort = tokio::runtime::Handle::try_current()
            .ok()
            .map(|runtime| runtime.spawn(making.clone()).abort_handle());
        state.phase = Phase::Connecting(making.clone(), abort);
        Ok(Some(making))
    }

    fn settle(weak: &Weak<Self>, made: Result<S, BoxError>) -> Result<(), ConnectError> {
        let Some(inner) = weak.upgrade() else {
            return Ok(());
        };
        let mut state = inner.state();
        match made {
            Ok(service) => {
                state.phase = Phase::Idle;
                inner.made.store(Some(Arc::new(Made {
                    service,
                    was_ready: AtomicBool::new(false),
                    used: AtomicBool::new(true),
                })));
                Ok(())
            }
            Err(error) => Err(inner.back_off(&mut state, error)),
        }
    }

    fn back_off(&self, state: &mut State, error: BoxError) -> ConnectError {
        state.failures = state.failures.saturating_add(1);
        let error = ConnectError {
            source: error.into(),
            retry_at: Instant::from_std(later(now(), self.backoff.delay(state.failures))),
        };
        state.phase = Phase::BackingOff(error.clone());
        error
    }

    fn works(&self, made: &Made<S>) {
        if !made.was_ready.swap(true, Ordering::Relaxed) {
            self.state().failures = 0;
        }
    }

    /// Drops what was made, unless someone else did already. It may be made anew at once only if it
    /// ever worked.
    fn broken(&self, made: &Arc<Made<S>>, error: BoxError) -> Result<(), ConnectError> {
        let mut state = self.state();
        let current = self.made.compare_and_swap(made, None);
        let first = current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, made));
        if first && !made.was_ready.load(Ordering::Relaxed) {
            return Err(self.back_off(&mut state, error));
        }
        Ok(())
    }
}

impl<S> Made<S> {
    /// Looks first, so that the cache line stays with all who only read it.
    #[inline]
    fn use_it(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

impl<S> Inner<S> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Drop for Inner<S> {
    fn drop(&mut self) {
        if let Phase::Connecting(_, Some(abort)) = &self.state().phase {
            abort.abort();
        }
    }
}

impl<S, Req> Service<Req> for Connected<S>
where
    S: Service<Req> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ConnectedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            if let Some((service, made)) = &mut self.service {
                let Err(error) = ready!(service.poll_ready(cx)) else {
                    self.inner.works(made);
                    return Poll::Ready(Ok(()));
                };
                let made = Arc::clone(made);
                self.service = None;
                self.inner.broken(&made, error.into())?;
            } else if let Some(making) = &mut self.making {
                let made = ready!(making.poll_unpin(cx));
                self.making = None;
                made?;
            } else if let Some(made) = self.inner.made.load_full() {
                self.service = Some((made.service.clone(), made));
            } else {
                self.making = self.inner.join()?;
            }
        }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let (mut service, made) = self.service.take().expect("called before it was ready");
        made.use_it();
        ConnectedFuture {
            future: service.call(request),
        }
    }
}

pin_project! {
    /// The future of [`Connected`].
    #[derive(Debug)]
    pub struct ConnectedFuture<F> {
        #[pin]
        future: F,
    }
}

impl<F, T, E> Future for ConnectedFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map_err(Into::into)
    }
}

impl ConnectError {
    /// Returns how long it takes until the next try.
    pub fn retry_after(&self) -> Duration {
        self.retry_at.saturating_duration_since(Instant::now())
    }
}

impl<S> Clone for Connected<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            service: None,
            making: None,
        }
    }
}

impl<S> fmt::Debug for Connected<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").finish_non_exhaustive()
    }
}
