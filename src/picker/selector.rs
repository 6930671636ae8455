use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwap;

use super::view::View;
use super::{Context, Needs, NoBackend, Picker};
use crate::backend::{Completion, Handle, Observation, Value};
use crate::observe::{Both, Observer};
use crate::set::{Pool, Snapshot, Subscriber};

/// Picks from a pool without tower: keeps a picker prepared for each change of the pool, and
/// counts requests.
///
/// This is what [`Balance`](crate::Balance) is built on, for programs that are no tower services: a
/// UDP proxy, a job queue, a shard map. Clones share the picker and its state.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::Outcome;
/// use evenkeel::picker::{LeastRequests, Selector};
/// use evenkeel::{Backend, Pool};
///
/// let pool = Pool::from([Backend::new("a", 8001), Backend::new("b", 8002)]);
/// let selector = Selector::new(pool, LeastRequests::new());
///
/// let (port, completion) = selector.select(&"a job").expect("someone is eligible");
/// println!("job goes to {} on port {port}", completion.backend());
/// // ... and when its answer has come:
/// completion.finish(Outcome::Success);
/// ```
pub struct Selector<T, Req: ?Sized> {
    core: Arc<Core<T, Req, ()>>,
}

/// What all clones of a selector or a balance share. `N` is told of each change.
pub(crate) struct Core<T, Req: ?Sized, N> {
    pool: Pool<T>,
    view: Apart<ArcSwap<View<T, Req>>>,
    writer: Mutex<Writer<T, Req>>,
    on_change: N,
    /// With a seed, picks are repeatable: each draws from a generator seeded by the next number.
    seed: OnceLock<AtomicU64>,
}

/// On cache lines of its own. Every request reads the view; its neighbour in memory would be the
/// reference count, which every request writes.
#[repr(align(128))]
struct Apart<V>(V);

/// Who has to know that there is a new set or picker.
pub(crate) trait OnChange: Send + Sync {
    fn changed(&self);
}

impl OnChange for () {
    fn changed(&self) {}
}

struct Writer<T, Req: ?Sized> {
    epoch: u64,
    /// Those of the newest view, or of one that is being made.
    observer: Option<Arc<dyn Observer>>,
    /// Views that a reader still held when they were replaced. They are dropped here, by a writer,
    /// so that no request pays for it.
    retired: Vec<Arc<View<T, Req>>>,
}

impl<T, Req> Selector<T, Req>
where
    T: Value,
    Req: ?Sized + 'static,
{
    /// Picks from a pool with a picker, which can be a closure.
    pub fn new(pool: impl Into<Pool<T>>, picker: impl Picker<Req> + 'static) -> Self {
        Self {
            core: Core::new(pool.into(), Arc::new(picker), ()),
        }
    }

    /// Picks a backend for a request; returns its value, and what counts the request as in flight
    /// until it is finished or dropped.
    ///
    /// # Errors
    ///
    /// When no backend is eligible, all are full, or the picker wants none.
    pub fn select(&self, request: &Req) -> Result<(T, Completion), NoBackend> {
        self.select_with(request, &mut self.core.context())
    }

    /// The same with a context of the caller's: another time, a seed, or
    /// [probes](Context::with_probes), which the caller then sends.
    ///
    /// # Errors
    ///
    /// As for [`select`](Self::select).
    ///
    /// # Examples
    ///
    /// Sending the probes that [`Prequal`](super::Prequal) wants to be sent; here they are answered
    /// at once, in earnest by a task or thread of their own:
    ///
    /// ```
    /// use evenkeel::backend::{Event, Observation, Outcome};
    /// use evenkeel::load::LoadReport;
    /// use evenkeel::picker::{Context, Prequal, Selector};
    /// use evenkeel::{Backend, Pool};
    /// use std::time::Instant;
    ///
    /// let pool = Pool::from([Backend::new("a", 8001), Backend::new("b", 8002)]);
    /// let selector = Selector::new(pool, Prequal::new());
    /// let ask = |port: u16| LoadReport::new().with_in_flight(u32::from(port % 2));
    ///
    /// for job in ["first", "second"] {
    ///     let mut cx = Context::new().with_probes();
    ///     let (port, completion) = selector.select_with(&job, &mut cx)?;
    ///     for backend in cx.probes() {
    ///         let Some(port) = selector.value(backend) else { continue };
    ///         let answer = Event::Probed(ask(port));
    ///         selector.observe(backend, &Observation::new(Instant::now(), answer));
    ///     }
    ///     println!("{job} job goes to port {port}");
    ///     completion.finish(Outcome::Success);
    /// }
    /// # Ok::<(), evenkeel::picker::NoBackend>(())
    /// ```
    pub fn select_with(
        &self,
        request: &Req,
        cx: &mut Context,
    ) -> Result<(T, Completion), NoBackend> {
        let view = self.core.view();
        let (entry, member) = view.pick(request, cx)?;
        // First, so that a value whose `Clone` panics leaves nothing behind.
        let (member, completion) = match entry.begin(&member.live, cx) {
            Some(completion) => (member, completion),
            None => view.begin_with_room(request, cx)?,
        };
        Ok((member.value.clone(), completion))
    }

    /// Tells the picker what was learnt of a backend, such as its answer to a probe. Does nothing
    /// if that is no member any more.
    ///
    /// What becomes of requests that were [selected](Self::select) it is told without this.
    pub fn observe(&self, backend: Handle, observation: &Observation) {
        self.core.view().tell(backend, observation);
    }

    /// Returns the value of a member, eligible or not.
    pub fn value(&self, backend: Handle) -> Option<T> {
        let view = self.core.view();
        let member = view.snapshot.member_of(backend)?;
        Some(member.value.clone())
    }

    /// Replaces the picker for all clones. When this returns, the new one is in use.
    pub fn set_picker(&self, picker: impl Picker<Req> + 'static) {
        self.core.set_picker(picker);
    }

    /// Tells an [`Observer`] of each request that is [selected](Self::select) for from now on, by
    /// this selector and all its clones. One that was set before is told, too.
    #[must_use]
    pub fn observer(self, observer: impl Observer + 'static) -> Self {
        self.core.add_observer(observer);
        self
    }

    /// Makes picks repeatable: all random choices of this selector and its clones come from this
    /// seed. For tests, since it costs a counter that all threads share. Only the first seed
    /// counts.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.core.seed(seed);
        self
    }

    /// Returns the pool.
    pub fn pool(&self) -> &Pool<T> {
        self.core.pool()
    }
}

impl<T, Req, N> Core<T, Req, N>
where
    T: Value,
    Req: ?Sized + 'static,
    N: OnChange + 'static,
{
    pub(crate) fn new(pool: Pool<T>, picker: Arc<dyn Picker<Req>>, on_change: N) -> Arc<Self> {
        keep_what_it_needs(&pool, &*picker);
        let core = Arc::new(Self {
            view: Apart(ArcSwap::from_pointee(View::new(
                pool.snapshot(),
                picker,
                0,
                None,
            ))),
            pool,
            writer: Mutex::new(Writer {
                epoch: 0,
                observer: None,
                retired: Vec::new(),
            }),
            on_change,
            seed: OnceLock::new(),
        });
        let subscriber: Arc<dyn Subscriber<T>> = core.clone();
        core.pool.subscribe(&subscriber);
        core
    }

    /// Replaces the picker; it is prepared for the present set before anyone uses it.
    pub(crate) fn set_picker(&self, picker: impl Picker<Req> + 'static) {
        let picker: Arc<dyn Picker<Req>> = Arc::new(picker);
        keep_what_it_needs(&self.pool, &*picker);
        let epoch = {
            let mut writer = self.writer();
            writer.epoch += 1;
            writer.epoch
        };
        loop {
            let (snapshot, observer) = (self.pool.snapshot(), self.observer());
            if self.install(View::new(snapshot, Arc::clone(&picker), epoch, observer)) {
                return;
            }
        }
    }

    /// Adds someone who is told of requests; whoever was added before still is.
    pub(crate) fn add_observer(&self, observer: impl Observer + 'static) {
        {
            let mut writer = self.writer();
            writer.observer = Some(match writer.observer.take() {
                None => Arc::new(observer),
                Some(before) => Arc::new(Both(before, observer)),
            });
        }
        // The picker that is there now, prepared anew. Whoever installs another one meanwhile sees
        // the observer, or is seen here.
        loop {
            let (current, observer) = (self.view.0.load_full(), self.observer());
            if current.tells(observer.as_ref()) {
                return;
            }
            let snapshot = Arc::clone(&current.snapshot);
            let (picker, epoch) = (Arc::clone(current.picker()), current.epoch());
            drop(current);
            self.install(View::new(snapshot, picker, epoch, observer));
        }
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.writer().observer.clone()
    }

    /// Swaps the view in, unless there is one of a newer picker or snapshot. Returns false if it
    /// has to be built again: its picker is the newest, but not its snapshot or its observer.
    fn install(&self, view: View<T, Req>) -> bool {
        let old = {
            let one_at_a_time = self.writer();
            let current = self.view.0.load();
            let stale = view.snapshot.version() < current.snapshot.version()
                || !view.tells(one_at_a_time.observer.as_ref());
            if view.epoch() < current.epoch() || stale {
                return view.epoch() <= current.epoch();
            }
            drop(current);
            self.view.0.swap(Arc::new(view))
        };
        self.on_change.changed();
        self.retire(old);
        true
    }

    /// Drops a view that was replaced, once no reader holds it.
    fn retire(&self, view: Arc<View<T, Req>>) {
        // A reader holds on for the length of one pick; give it the chance to let go.
        const YIELDS: usize = 32;
        let mut retired = std::mem::take(&mut self.writer().retired);
        retired.push(view);
        for _ in 0..YIELDS {
            retired.retain(|view| Arc::strong_count(view) > 1);
            if retired.is_empty() {
                return;
            }
            std::thread::yield_now();
        }
        self.writer().retired.append(&mut retired);
    }
}

impl<T, Req, N> Subscriber<T> for Core<T, Req, N>
where
    T: Value,
    Req: ?Sized + 'static,
    N: OnChange + 'static,
{
    fn publish(&self, snapshot: &Arc<Snapshot<T>>) {
        loop {
            let current = self.view.0.load_full();
            if snapshot.version() <= current.snapshot.version() {
                return;
            }
            let (picker, epoch) = (Arc::clone(current.picker()), current.epoch());
            drop(current);
            // Again, if a picker was set meanwhile that was prepared for an older snapshot.
            self.install(View::new(
                Arc::clone(snapshot),
                picker,
                epoch,
                self.observer(),
            ));
        }
    }
}

impl<T, Req: ?Sized, N> Core<T, Req, N> {
    pub(crate) fn pool(&self) -> &Pool<T> {
        &self.pool
    }

    #[inline]
    pub(crate) fn view(&self) -> arc_swap::Guard<Arc<View<T, Req>>> {
        self.view.0.load()
    }

    #[cfg(feature = "tower")]
    pub(crate) fn on_change(&self) -> &N {
        &self.on_change
    }

    pub(crate) fn seed(&self, seed: u64) {
        let _ = self.seed.set(AtomicU64::new(seed));
    }

    #[inline]
    pub(crate) fn context(&self) -> Context {
        let context = Context::new();
        match self.seed.get() {
            None => context,
            Some(seed) => context.seed(seed.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer<T, Req>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep_what_it_needs<T: Clone, Req: ?Sized>(pool: &Pool<T>, picker: &dyn Picker<Req>) {
    let needs = picker.needs();
    let (index, total) = (Needs::LOAD_INDEX, Needs::LOAD_TOTAL);
    if needs.contains(index) || needs.contains(total) {
        pool.keep(needs.contains(index), needs.contains(total));
    }
}

impl<T, Req: ?Sized> Clone for Selector<T, Req> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
        }
    }
}

impl<T, Req: ?Sized> fmt::Debug for Selector<T, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selector").finish_non_exhaustive()
    }
}
