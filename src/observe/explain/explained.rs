use std::sync::Arc;

use super::PickLog;
use super::noting::Noting;
use crate::backend::{Handle, Observation};
use crate::picker::{Context, Needs, Picker, Update};
use crate::set::BackendSet;

/// A picker that takes down why it picks whom it picks, for requests with a [`PickLog`]: at whom it
/// looked, what it saw of them, and by what rule it chose.
///
/// It picks exactly as the one inside does, which can be any: those of this crate, a boxed one, a
/// closure. A [rule](Picker::rule) of your own is one more method.
///
/// At whom it looked are those of whom it read the weight, the requests in flight, the latency, or
/// anything else but the id. A picker that goes by a table, such as round robin or a hash, looks at
/// nobody but whom it picks.
///
/// # Cost
///
/// For a request without a log: one look into it. For one with a log, some allocations.
///
/// # Examples
///
/// ```
/// use evenkeel::observe::{Explainable, Explained, PickLog};
/// use evenkeel::picker::{LeastRequests, Selector};
/// use evenkeel::{Backend, Pool};
///
/// struct Job {
///     log: Option<PickLog>,
/// }
///
/// impl Explainable for Job {
///     fn pick_log(&self) -> Option<&PickLog> {
///         self.log.as_ref()
///     }
/// }
///
/// let pool = Pool::from([Backend::new("a", 8001), Backend::new("b", 8002)]);
/// let selector = Selector::new(pool, Explained::new(LeastRequests::new()));
/// let busy = selector.select(&Job { log: None })?;
///
/// let log = PickLog::new();
/// let (_port, completion) = selector.select(&Job { log: Some(log.clone()) })?;
/// let [pick] = &log.picks()[..] else { panic!("there was one") };
/// assert_eq!(pick.picked(), Some(completion.backend()));
/// assert_eq!(pick.candidates().len(), 2);
/// println!("{pick}"); // "b" of 2, fewest requests in flight …: "a" (1 in flight, weight 1), "b" …
/// # drop(busy);
/// # Ok::<(), evenkeel::picker::NoBackend>(())
/// ```
///
#[cfg_attr(
    feature = "http",
    doc = "HTTP requests have a log among their extensions; [`ExplainLayer`](super::ExplainLayer) puts it there."
)]
#[derive(Clone, Copy, Debug)]
pub struct Explained<P> {
    picker: P,
}

/// A request that may have a [`PickLog`].
#[diagnostic::on_unimplemented(
    message = "picks for a `{Self}` cannot be explained",
    note = "implement `evenkeel::observe::Explainable` for it, which says where its `PickLog` is"
)]
pub trait Explainable {
    /// Returns where to take down why it goes where it does, if somebody wants to know.
    fn pick_log(&self) -> Option<&PickLog>;
}

impl<P> Explained<P> {
    /// Explains what a picker does.
    pub fn new(picker: P) -> Self {
        Self { picker }
    }

    /// Returns the picker inside.
    pub fn get_ref(&self) -> &P {
        &self.picker
    }
}

impl<P, Req> Picker<Req> for Explained<P>
where
    P: Picker<Req>,
    Req: Explainable + ?Sized + 'static,
{
    #[inline]
    fn pick(&self, set: &dyn BackendSet, request: &Req, cx: &mut Context) -> Option<usize> {
        match request.pick_log() {
            None => self.picker.pick(set, request, cx),
            Some(log) => self.pick_and_tell(set, request, cx, log),
        }
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        let picker = self.picker.prepare(update)?;
        Some(Arc::new(Explained { picker }))
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        self.picker.observe(backend, observation);
    }

    fn affinity(&self, request: &Req) -> Option<u64> {
        self.picker.affinity(request)
    }

    fn needs(&self) -> Needs {
        self.picker.needs()
    }

    fn rule(&self) -> &'static str {
        self.picker.rule()
    }
}

impl<P> Explained<P> {
    #[cold]
    fn pick_and_tell<Req: ?Sized>(
        &self,
        set: &dyn BackendSet,
        request: &Req,
        cx: &mut Context,
        log: &PickLog,
    ) -> Option<usize>
    where
        P: Picker<Req>,
    {
        let noting = Noting::new(set, cx.now());
        let picked = self.picker.pick(&noting, request, cx);
        log.push(noting.explain(self.picker.rule(), picked));
        picked
    }
}
