use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::clock;
use crate::backend::{Completion, Handle, Live, Observation, Observer};
use crate::picker::{Context, Needs, Picker, Update};
use crate::set::{AllMembers, Pool, Snapshot, Subscriber};

/// What all clones of a balance share.
pub(crate) struct Shared<T, Req> {
    pool: Pool<T>,
    view: ArcSwap<View<T, Req>>,
    writer: Mutex<Writer<T, Req>>,
    /// Woken at each change, for requests that wait for one.
    changed: Arc<Notify>,
    /// With a seed, picks are repeatable: each draws from a generator seeded by the next number.
    seed: OnceLock<AtomicU64>,
}

/// A snapshot and the picker that was prepared for it: always swapped as one.
pub(super) struct View<T, Req> {
    pub(super) snapshot: Arc<Snapshot<T>>,
    pub(super) picker: Arc<dyn Picker<Req>>,
    watch: bool,
    observer: Option<Arc<dyn Observer>>,
    /// Which of the pickers that were set it comes from.
    epoch: u64,
}

struct Writer<T, Req> {
    epoch: u64,
    /// Views that a reader still held when they were replaced. They are dropped here, by a writer,
    /// so that no request pays for it.
    retired: Vec<Arc<View<T, Req>>>,
}

impl<T, Req> Shared<T, Req>
where
    T: Clone + Send + Sync + 'static,
    Req: 'static,
{
    pub(crate) fn new(pool: Pool<T>, picker: Arc<dyn Picker<Req>>) -> Arc<Self> {
        keep_what_it_needs(&pool, &*picker);
        let shared = Arc::new(Self {
            view: ArcSwap::from_pointee(View::new(pool.snapshot(), picker, 0)),
            pool,
            writer: Mutex::new(Writer {
                epoch: 0,
                retired: Vec::new(),
            }),
            changed: Arc::new(Notify::new()),
            seed: OnceLock::new(),
        });
        let subscriber: Arc<dyn Subscriber<T>> = shared.clone();
        shared.pool.subscribe(&subscriber);
        shared
    }

    /// Replaces the picker; it is prepared for the present set before anyone uses it.
    pub(crate) fn set_picker(&self, picker: &Arc<dyn Picker<Req>>) {
        keep_what_it_needs(&self.pool, &**picker);
        let epoch = {
            let mut writer = self.writer();
            writer.epoch += 1;
            writer.epoch
        };
        loop {
            let snapshot = self.pool.snapshot();
            if self.install(View::new(snapshot, Arc::clone(picker), epoch)) {
                return;
            }
        }
    }

    /// Swaps the view in, unless there is one of a newer picker or snapshot. Returns false if it
    /// has to be built again: its picker is the newest, but not its snapshot.
    fn install(&self, view: View<T, Req>) -> bool {
        let old = {
            let _one_at_a_time = self.writer();
            let current = self.view.load();
            let stale = view.snapshot.version() < current.snapshot.version();
            if view.epoch < current.epoch || stale {
                return view.epoch <= current.epoch;
            }
            drop(current);
            self.view.swap(Arc::new(view))
        };
        self.changed.notify_waiters();
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

impl<T, Req> Subscriber<T> for Shared<T, Req>
where
    T: Clone + Send + Sync + 'static,
    Req: 'static,
{
    fn publish(&self, snapshot: &Arc<Snapshot<T>>) {
        loop {
            let current = self.view.load_full();
            if snapshot.version() <= current.snapshot.version() {
                return;
            }
            let picker = Arc::clone(&current.picker);
            let epoch = current.epoch;
            drop(current);
            // Again, if a picker was set meanwhile that was prepared for an older snapshot.
            self.install(View::new(Arc::clone(snapshot), picker, epoch));
        }
    }
}

impl<T, Req> Shared<T, Req> {
    pub(crate) fn pool(&self) -> &Pool<T> {
        &self.pool
    }

    #[inline]
    pub(super) fn view(&self) -> arc_swap::Guard<Arc<View<T, Req>>> {
        self.view.load()
    }

    pub(super) fn changed(&self) -> &Arc<Notify> {
        &self.changed
    }

    pub(crate) fn seed(&self, seed: u64) {
        let _ = self.seed.set(AtomicU64::new(seed));
    }

    #[inline]
    pub(super) fn context(&self) -> Context {
        let context = Context::with_clock(clock);
        match self.seed.get() {
            None => context,
            Some(seed) => context.seed(seed.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Writer<T, Req>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep_what_it_needs<T: Clone, Req>(pool: &Pool<T>, picker: &dyn Picker<Req>) {
    if picker.needs().contains(Needs::LOAD_INDEX) {
        pool.keep_index();
    }
}

impl<T: Send + Sync + 'static, Req: 'static> View<T, Req> {
    fn new(snapshot: Arc<Snapshot<T>>, picker: Arc<dyn Picker<Req>>, epoch: u64) -> Self {
        let picker = picker
            .prepare(&Update::new(&AllMembers(&snapshot), &*snapshot))
            .unwrap_or(picker);
        let needs = picker.needs();
        let observer = needs
            .contains(Needs::OBSERVATIONS)
            .then(|| Arc::new(Observing(Arc::clone(&picker))) as Arc<dyn Observer>);
        Self {
            snapshot,
            picker,
            watch: needs.contains(Needs::LATENCY) || observer.is_some(),
            observer,
            epoch,
        }
    }
}

impl<T, Req> View<T, Req> {
    /// Counts a request in at a backend.
    #[inline]
    pub(super) fn begin(&self, live: &Arc<Live>, cx: &mut Context) -> Completion {
        let completion = Completion::begin(live, clock);
        if self.watch {
            completion.watched(cx.now(), self.observer.clone())
        } else {
            completion
        }
    }
}

struct Observing<Req>(Arc<dyn Picker<Req>>);

impl<Req: 'static> Observer for Observing<Req> {
    fn observe(&self, backend: Handle, observation: &Observation) {
        self.0.observe(backend, observation);
    }
}
