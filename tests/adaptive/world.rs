//! A pool and a picker over it, in virtual time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel::backend::{Completion, Event, Handle, Observation, Outcome};
use evenkeel::load::LoadReport;
use evenkeel::picker::{Adaptive, Selector};
use evenkeel::{Backend, Picker, Pool};

use crate::millis;
use crate::virtual_time::{Clock, Virtual};

pub(crate) struct World {
    pub(crate) pool: Pool<usize>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) selector: Selector<usize, ()>,
}

/// A request in flight. Dropped, it is cancelled.
pub(crate) struct Request {
    pub(crate) completion: Completion,
    since: i64,
    clock: Arc<Clock>,
}

impl World {
    /// So many backends of weight 1, called 0 and up.
    pub(crate) fn new(backends: usize) -> Self {
        let pool = (0..backends).map(|at| Backend::new(at.to_string(), at));
        Self::over(pool.collect(), Arc::new(Adaptive::new()))
    }

    pub(crate) fn over(pool: Pool<usize>, picker: Arc<dyn Picker<()>>) -> Self {
        let clock = Arc::<Clock>::default();
        let picker = Virtual {
            picker,
            clock: Arc::clone(&clock),
        };
        Self {
            selector: Selector::new(pool.clone(), picker).seed(1),
            pool,
            clock,
        }
    }

    pub(crate) fn handle(&self, backend: usize) -> Handle {
        let info = self.pool.get(&backend.to_string());
        info.expect("a member").handle()
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.set(self.clock.now() + time.as_nanos() as i64);
    }

    /// Begins a request where the picker wants it.
    pub(crate) fn begin(&self) -> (usize, Request) {
        let (backend, completion) = self.selector.select(&()).expect("some can be picked");
        (backend, self.request(completion))
    }

    /// One that has just begun.
    pub(crate) fn request(&self, completion: Completion) -> Request {
        Request {
            completion,
            since: self.clock.now(),
            clock: Arc::clone(&self.clock),
        }
    }

    /// Begins a request here, wherever the picker wants it.
    pub(crate) fn begin_at(&self, backend: usize) -> Request {
        self.clock.force(Some(self.handle(backend)));
        let (picked, request) = self.begin();
        self.clock.force(None);
        assert_eq!(picked, backend);
        request
    }

    /// Where so many requests go that are in flight together, and these.
    pub(crate) fn begin_many(&self, requests: usize) -> (Vec<usize>, Vec<Request>) {
        (0..requests).map(|_| self.begin()).unzip()
    }

    /// How many of so many requests that are in flight together go to each backend.
    pub(crate) fn spread(&self, requests: usize) -> Vec<usize> {
        let (picked, _held) = self.begin_many(requests);
        let count = |at| picked.iter().filter(|&&picked| picked == at).count();
        let most = picked.iter().copied().max().unwrap_or(0);
        (0..=most.max(self.pool.len() - 1)).map(count).collect()
    }

    pub(crate) fn probed(&self, backend: usize, report: LoadReport) {
        self.probed_at(self.handle(backend), report);
    }

    pub(crate) fn probed_at(&self, backend: Handle, report: LoadReport) {
        // The time is the clock's.
        let answer = Observation::new(Instant::now(), Event::Probed(report));
        self.selector.observe(backend, &answer);
    }

    /// Requests of 100 ms, one after the other, everywhere: from them the picker learns how long
    /// one takes.
    pub(crate) fn warm_up(&self) {
        for _ in 0..5 {
            for backend in 0..self.pool.len() {
                let request = self.begin_at(backend);
                self.pass(millis(100));
                request.succeed();
            }
        }
    }
}

impl Request {
    pub(crate) fn report(&mut self, report: LoadReport) {
        self.completion.report(report);
    }

    pub(crate) fn head(&mut self) {
        self.note_time();
        self.completion.head();
    }

    pub(crate) fn settle(&mut self, outcome: Outcome) {
        self.note_time();
        self.completion.settle(outcome);
    }

    pub(crate) fn succeed(self) {
        self.finish(Outcome::Success);
    }

    pub(crate) fn finish(self, outcome: Outcome) {
        self.note_time();
        self.completion.finish(outcome);
    }

    pub(crate) fn cancel(self) {
        self.note_time();
    }

    /// A clock that has gone backwards says that it took no time.
    fn note_time(&self) {
        let took = self.clock.now().saturating_sub(self.since).max(0);
        self.clock
            .set_took(Duration::from_nanos(took.unsigned_abs()));
    }
}
