use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::backend::{Handle, Listener, Live, Observation};

/// Is told of what becomes of each attempt at a backend; see
/// [`Balance::observer`](crate::Balance::observer),
/// [`Selector::observer`](crate::picker::Selector::observer).
///
/// | [event](crate::backend::Event) | when |
/// | --- | --- |
/// | `Dispatched` | a backend was picked, and is about to be given the request |
/// | `Reported` | its response says how loaded it is, if that is believed |
/// | `Head` | the head of its response has arrived |
/// | `Ended` | the response has been read to its end, broke off, or was dropped |
/// | `Probed` | it answered a probe that the picker asked for |
///
/// For each `Dispatched` there is one `Ended`, whatever happens in between; an attempt without a
/// response has no `Head`. Of requests, with all
/// their attempts, an `ObserveAttempts` of [`retry`](crate::retry) is told.
///
/// A closure is an observer too; write out the types of its three arguments.
///
/// # Cost
///
/// Without an observer, none. With one, the clock is read and the observer called two or three times
/// for each attempt, about 180 ns, by the thread that serves the request: it should neither wait nor
/// lock.
///
/// # Panics
///
/// An observer that panics harms nobody: the panic hook tells of it, and the request goes on.
///
/// # Examples
///
/// Where requests go, and which of them fail:
///
/// ```
/// use evenkeel::backend::{Event, Handle, Observation, Outcome};
/// use evenkeel::picker::{LeastRequests, Selector};
/// use evenkeel::{Backend, Pool};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// let failures = Arc::new(AtomicUsize::new(0));
/// let counter = Arc::clone(&failures);
/// let pool = Pool::from([Backend::new("a", 8001), Backend::new("b", 8002)]);
/// let selector = Selector::new(pool, LeastRequests::new()).observer(
///     move |backend: &str, _handle: Handle, observation: &Observation| match observation.event() {
///         Event::Dispatched => println!("a job for {backend}"),
///         Event::Ended { outcome, .. } if outcome.is_failure() => {
///             counter.fetch_add(1, Ordering::Relaxed);
///         }
///         _ => {}
///     },
/// );
///
/// let (_port, completion) = selector.select(&"a job")?;
/// completion.finish(Outcome::Failure(evenkeel::backend::Failure::Timeout));
/// assert_eq!(failures.load(Ordering::Relaxed), 1);
/// # Ok::<(), evenkeel::picker::NoBackend>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no observer",
    note = "implement `evenkeel::observe::Observer`, or pass a closure \
            `|backend: &str, handle: Handle, observation: &Observation|`"
)]
pub trait Observer: Send + Sync {
    /// Something happened to a request at a backend, which may have left the pool since.
    ///
    /// `backend` is its id, which says who it is for people; `handle` names this membership, for
    /// tables.
    fn observe(&self, backend: &str, handle: Handle, observation: &Observation);
}

impl<F> Observer for F
where
    F: Fn(&str, Handle, &Observation) + Send + Sync,
{
    fn observe(&self, backend: &str, handle: Handle, observation: &Observation) {
        self(backend, handle, observation);
    }
}

/// An observer that someone else looks at, too.
impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn observe(&self, backend: &str, handle: Handle, observation: &Observation) {
        (**self).observe(backend, handle, observation);
    }
}

/// One observer after another.
pub(crate) struct Both<O>(pub(crate) Arc<dyn Observer>, pub(crate) O);

impl<O: Observer> Observer for Both<O> {
    fn observe(&self, backend: &str, handle: Handle, observation: &Observation) {
        unharmed(&*self.0, backend, handle, observation);
        self.1.observe(backend, handle, observation);
    }
}

/// A picker that wants to know of requests, or `()`, and an observer after it.
pub(crate) struct Heard<P> {
    picker: P,
    observer: Arc<dyn Observer>,
}

impl<P> Heard<P> {
    pub(crate) fn new(picker: P, observer: Arc<dyn Observer>) -> Self {
        Self { picker, observer }
    }
}

impl Heard<()> {
    /// Tells the observer alone.
    pub(crate) fn tell(observer: &dyn Observer, backend: &Live, observation: &Observation) {
        unharmed(observer, backend.id(), backend.handle(), observation);
    }
}

impl<P: Listener> Listener for Heard<P> {
    fn hear(&self, backend: &Live, observation: &Observation) {
        self.picker.hear(backend, observation);
        Heard::tell(&*self.observer, backend, observation);
    }
}

impl Listener for () {
    fn hear(&self, _backend: &Live, _observation: &Observation) {}
}

/// Whoever only looks on is no reason for a request to fail: it is in the middle of its way, and a
/// second panic while it is dropped would end the program.
fn unharmed(observer: &dyn Observer, backend: &str, handle: Handle, observation: &Observation) {
    let observe = || observer.observe(backend, handle, observation);
    let _ = catch_unwind(AssertUnwindSafe(observe));
}
