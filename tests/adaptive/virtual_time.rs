//! A picker that is told times of the test's choice, which may go backwards.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use evenkeel::backend::{Event, Handle, Observation};
use evenkeel::picker::{Context, Needs, Update};
use evenkeel::{BackendSet, Picker};

/// In nanoseconds from some moment on.
#[derive(Default)]
pub(crate) struct Clock {
    now: AtomicI64,
    /// How long the request took of which something is told.
    took: AtomicU64,
    /// The slot of the backend to pick, plus one; 0 leaves the choice to the picker.
    forced: AtomicU64,
}

impl Clock {
    pub(crate) fn now(&self) -> i64 {
        self.now.load(Relaxed)
    }

    pub(crate) fn set(&self, now: i64) {
        self.now.store(now, Relaxed);
    }

    pub(crate) fn set_took(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.took.store(took, Relaxed);
    }

    pub(crate) fn force(&self, backend: Option<Handle>) {
        let slot = backend.map_or(0, |backend| backend.slot() as u64 + 1);
        self.forced.store(slot, Relaxed);
    }

    fn took(&self) -> Duration {
        Duration::from_nanos(self.took.load(Relaxed))
    }

    fn instant(&self) -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        let (now, start) = (self.now(), *START);
        let by = Duration::from_nanos(now.unsigned_abs());
        let at = if now < 0 {
            start.checked_sub(by)
        } else {
            start.checked_add(by)
        };
        at.unwrap_or(start)
    }
}

pub(crate) struct Virtual {
    pub(crate) picker: Arc<dyn Picker<()>>,
    pub(crate) clock: Arc<Clock>,
}

impl Picker<()> for Virtual {
    fn pick(&self, set: &dyn BackendSet, request: &(), cx: &mut Context) -> Option<usize> {
        let mut own = Context::new()
            .seed(cx.random())
            .at(self.clock.instant())
            .with_attempt(cx.attempt())
            .with_probes();
        let rank = self.picker.pick(set, request, &mut own);
        own.probes().for_each(|backend| cx.probe(backend));
        match self.clock.forced.load(Relaxed) {
            0 => rank,
            slot => set.rank_of(slot as usize - 1),
        }
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<()>>> {
        let picker = self.picker.prepare(update)?;
        let clock = Arc::clone(&self.clock);
        Some(Arc::new(Self { picker, clock }))
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        let took = self.clock.took();
        let event = match observation.event() {
            Event::Head { outcome, .. } => Event::head(took, outcome),
            Event::Ended {
                outcome,
                after_head,
                ..
            } => Event::ended(took, outcome, after_head),
            other => other,
        };
        let observation = Observation::new(self.clock.instant(), event);
        self.picker.observe(backend, &observation);
    }

    fn needs(&self) -> Needs {
        self.picker.needs()
    }
}
