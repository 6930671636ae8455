use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use evenkeel::backend::{Completion, Failure, Outcome, State};
use evenkeel::health::{Answer, Ejection, Health, ProbeSettings, Target, Watching};
use evenkeel::picker::{RoundRobin, Selector};
use evenkeel::{Backend, Pool};
use tokio::time::{Instant, sleep};

pub(crate) const FAILURE: Outcome = Outcome::Failure(Failure::Response);

pub(crate) fn pool(count: usize) -> Pool<usize> {
    let backends = (0..count).map(|at| Backend::new(at.to_string(), at));
    backends.collect()
}

/// The defaults, with times that are exact.
pub(crate) fn exact() -> Ejection {
    Ejection::new().jitter(0.0).unwrap()
}

pub(crate) fn state<T: Clone>(pool: &Pool<T>, id: &str) -> State {
    pool.get(id).expect("it is a member").state()
}

/// A request at the backend with this id, which has to be eligible.
pub(crate) fn start<T: Clone>(pool: &Pool<T>, id: &str) -> Completion {
    // Where several lists get requests, each look is at one of them.
    let mut started =
        (0..1000).filter_map(|_| pool.start(|set| (0..set.len()).find(|&rank| set.id(rank) == id)));
    started.next().expect("it is eligible").1
}

pub(crate) fn request(pool: &Pool<usize>, id: &str, outcome: Outcome) {
    start(pool, id).finish(outcome);
}

pub(crate) fn requests(pool: &Pool<usize>, id: &str, count: usize, outcome: Outcome) {
    for _ in 0..count {
        request(pool, id, outcome);
    }
}

/// Lets the watch do what it has to do now: what it finds within 5 ms of a change is one change.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(6)).await;
    tokio::task::yield_now().await;
}

/// Waits until the time is `seconds` after `start`.
pub(crate) async fn at(start: Instant, seconds: f64) {
    tokio::time::sleep_until(start + Duration::from_secs_f64(seconds)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn selector(pool: &Pool<usize>) -> Selector<usize, ()> {
    Selector::new(pool.clone(), RoundRobin::starting_at(0))
}

/// The one request of several that goes to the backend with this value.
pub(crate) fn only_one(selector: &Selector<usize, ()>, value: usize) -> Completion {
    let started = (0..50).map(|_| selector.select(&()).expect("somebody is eligible"));
    let mut found: Vec<_> = started.filter(|started| started.0 == value).collect();
    assert_eq!(found.len(), 1, "requests at {value}");
    found.remove(0).1
}

/// A seed for a test that leaves things to chance; shown if it fails.
pub(crate) fn seed() -> u64 {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    seed
}

/// What backends answer to probes, and who was asked when.
#[derive(Clone)]
pub(crate) struct Table(Arc<Mutex<Inner>>);

struct Inner {
    begin: Instant,
    says: HashMap<String, Says>,
    asked: Vec<(String, f64)>,
    running: usize,
    most: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Says {
    Well,
    Degraded,
    Down,
    /// No answer.
    Nothing,
    /// It is well, after a while.
    Late(Duration),
}

impl Table {
    /// All are well.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            begin: Instant::now(),
            says: HashMap::new(),
            asked: Vec::new(),
            running: 0,
            most: 0,
        })))
    }

    pub(crate) fn set(&self, id: impl std::fmt::Display, says: Says) {
        self.inner().says.insert(id.to_string(), says);
    }

    /// How many probes ran at once at most.
    pub(crate) fn most(&self) -> usize {
        self.inner().most
    }

    /// All who were asked, and when, in seconds.
    pub(crate) fn asked(&self) -> Vec<(String, f64)> {
        self.inner().asked.clone()
    }

    /// When a backend was asked, in seconds.
    pub(crate) fn times(&self, id: &str) -> Vec<f64> {
        let asked = self.asked().into_iter();
        asked.filter(|of| of.0 == id).map(|of| of.1).collect()
    }

    /// A probe that looks it up.
    pub(crate) async fn answer(&self, id: &str) -> Result<Answer, &'static str> {
        let says = {
            let mut inner = self.inner();
            let at = inner.begin.elapsed().as_secs_f64();
            inner.asked.push((id.to_owned(), at));
            inner.running += 1;
            inner.most = inner.most.max(inner.running);
            inner.says.get(id).copied().unwrap_or(Says::Well)
        };
        let _running = Running(self);
        match says {
            Says::Well => Ok(Answer::Healthy),
            Says::Degraded => Ok(Answer::Degraded),
            Says::Down => Err("it is down"),
            Says::Nothing => std::future::pending().await,
            Says::Late(after) => {
                sleep(after).await;
                Ok(Answer::Healthy)
            }
        }
    }

    /// Watches by probes alone.
    pub(crate) fn health<T: Clone + Send + Sync + 'static>(
        &self,
        settings: ProbeSettings,
    ) -> Health<T> {
        let table = self.clone();
        let probe = move |target: Target<T>| {
            let table = table.clone();
            async move { table.answer(target.id()).await }
        };
        Health::new()
            .ejection(Ejection::none())
            .probe(probe, settings)
    }

    /// Sees to it that a pool knows at once what the table says.
    pub(crate) fn watch<T: Clone + Send + Sync + 'static>(&self, pool: &Pool<T>) -> Watching {
        self.health(at_once()).spawn(pool)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

struct Running<'a>(&'a Table);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.inner().running -= 1;
    }
}

/// Probes that change a state within 20 ms, which [`probed`] waits for.
pub(crate) fn at_once() -> ProbeSettings {
    let settings = every(Duration::from_millis(10));
    settings.rise(1).unwrap().fall(1).unwrap()
}

/// The defaults, with intervals that are exact.
pub(crate) fn every(interval: Duration) -> ProbeSettings {
    let settings = ProbeSettings::new().interval(interval).unwrap();
    settings.jitter(0.0).unwrap()
}

/// Waits until probes as in [`at_once`] have shown everything.
pub(crate) async fn probed() {
    sleep(Duration::from_millis(40)).await;
}

/// How far the part that was counted may be from the one that was expected: five standard
/// deviations, which is exceeded once in two million times.
pub(crate) fn noise(expected: f64, count: usize) -> f64 {
    5.0 * (expected * (1.0 - expected) / count as f64).sqrt()
}
