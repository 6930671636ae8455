//! How long it takes from a cause until a pick sees what follows from it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use evenkeel::Pool;
use evenkeel::backend::{BackendInfo, Completion, Failure, Handle, Outcome};
use evenkeel::health::{Ejection, Health, ProbeSettings, Target};
use evenkeel::picker::Selector;
use tokio::sync::Notify;

use super::Plan;
use super::common::measure::Samples;
use super::common::pool::{Weights, id};
use super::common::report::{self, Table, rounded, thousands};
use super::look::{Look, until, until_gone};
use super::pickers::{
    EXACT_LEAST_REQUESTS, LEAST_REQUESTS, MAGLEV, RING_HASH, Row, WEIGHTED_ROUND_ROBIN,
};

const ROWS: [(Row, Weights); 5] = [
    (LEAST_REQUESTS, Weights::Equal),
    (EXACT_LEAST_REQUESTS, Weights::Equal),
    (WEIGHTED_ROUND_ROBIN, Weights::Different),
    (RING_HASH, Weights::Equal),
    (MAGLEV, Weights::Equal),
];

/// So many failures in a row eject a backend.
const IN_A_ROW: usize = 5;
/// Longer than what is gathered after a change.
const QUIET: Duration = Duration::from_millis(15);

/// A pool with a selector, and a thread on which its health is watched and all are probed.
struct Setting {
    selector: Selector<usize, u64>,
    handles: Vec<Handle>,
    gates: Arc<Gates>,
    watching: Option<JoinHandle<()>>,
    /// The next backend that nothing has happened to.
    fresh: usize,
}

/// The backends whose probe fails when it is told to. Until then it takes its time.
#[derive(Default)]
struct Gates {
    gates: HashMap<usize, Gate>,
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Gate {
    open: AtomicBool,
    told: Notify,
}

pub(crate) fn measure(plan: &Plan, targets: &mut Vec<report::Target>) {
    singly(plan, targets);
    at_once(plan);
}

/// One change after the other.
fn singly(plan: &Plan, targets: &mut Vec<report::Target>) {
    let title = format!(
        "One of {} backends changes its state: ms until a pick sees it, median / greatest of {}.\n\
         failure: the last of {IN_A_ROW} in a row, when all has been quiet; the next: another one right after\n\
         that, which is gathered with what else comes within 3 ms; probe: a probe fails;\n\
         force_down: the call; a thread: only to wake another thread, and hear from it",
        thousands(plan.pool),
        plan.changes,
    );
    let columns = ["failure", "the next", "probe", "force_down", "a thread"];
    let mut table = Table::new(&title, columns.map(str::to_owned));
    let mut all: [Samples; 4] = Default::default();
    for (row, weights) in &ROWS {
        let mut setting = Setting::new(plan, row, *weights);
        let other = Other::new();
        let mut took: [Samples; 5] = Default::default();
        for change in 0..plan.changes {
            let figures = [
                setting.failure(QUIET),
                setting.failure(Duration::ZERO),
                setting.probe(change),
                setting.force_down(),
                other.wake(),
            ];
            for (took, figure) in took.iter_mut().zip(figures) {
                took.extend([figure.as_secs_f64() * 1e3]);
            }
        }
        table.row(row.name, took.each_ref().map(median_and_greatest));
        for (all, took) in all.iter_mut().zip(took) {
            all.append(took);
        }
    }
    table.print();
    let causes = [
        "a failure is seen",
        "the next failure is seen",
        "a probe's failure is seen",
        "force_down is done",
    ];
    for (cause, all) in causes.into_iter().zip(&all) {
        for (which, figure) in [("median", all.median()), ("greatest", all.greatest())] {
            let what = format!("{} backends: {cause}, {which} of all", thousands(plan.pool));
            targets.push(report::Target::at_most(10.0, figure, "ms", &what));
        }
    }
}

/// Many changes at the same time.
fn at_once(plan: &Plan) {
    const TIMES: usize = 5;
    let numbers = [1, 10, 100, 1_000].map(|number: usize| number.min(plan.pool / 10));
    let title = format!(
        "So many of {} backends at once, least-requests: ms until the last is seen, median / greatest\n\
         of {TIMES}; no more than {} may be ejected",
        thousands(plan.pool),
        thousands(plan.pool / 10),
    );
    let mut table = Table::new(&title, numbers.map(thousands));
    let mut row = |name: &str, cause: fn(&mut Setting, usize) -> Duration| {
        let figures = numbers.map(|number| {
            let samples: Samples = (0..TIMES)
                .map(|_| {
                    let mut setting = Setting::new(plan, &LEAST_REQUESTS, Weights::Equal);
                    cause(&mut setting, number).as_secs_f64() * 1e3
                })
                .collect();
            median_and_greatest(&samples)
        });
        table.row(name, figures);
    };
    row("fail, and are ejected", |setting, number| {
        let last = setting.fail(number);
        until_gone(&setting.selector, last.0, last.1)
    });
    row("ask to be spared (429)", |setting, number| {
        let backends: Vec<usize> = (0..number).map(|_| setting.next()).collect();
        let started = backends.iter().map(|&backend| setting.start(backend));
        let started: Vec<Completion> = started.collect();
        thread::sleep(QUIET);
        let cause = Instant::now();
        for completion in started {
            completion.finish(Outcome::Rejected);
        }
        let last = id(backends[number - 1]);
        // Picks still find it, if less often; but they see what the pool shows.
        let pool = setting.selector.pool();
        until(cause, || pool.get(&last).is_some_and(|it| it.share() < 1.0))
    });
    table.print();
}

fn median_and_greatest(samples: &Samples) -> String {
    let millis = |figure: f64| rounded(figure, if figure < 10.0 { 2 } else { 1 });
    let (median, greatest) = (samples.median(), samples.greatest());
    format!("{} / {}", millis(median), millis(greatest))
}

impl Setting {
    fn new(plan: &Plan, row: &Row, weights: Weights) -> Self {
        let pool = numbered(plan.pool, weights);
        let handles = pool.list().iter().map(BackendInfo::handle).collect();
        let selector = Selector::new(pool.clone(), Look((row.picker)()));
        // From the end; the others take theirs from the beginning.
        let those = (plan.pool - plan.changes..plan.pool).map(|it| (it, Gate::default()));
        let gates = Arc::new(Gates {
            gates: those.collect(),
            waiting: AtomicUsize::new(0),
        });
        let watching = Some(watch(&pool, &gates));
        // All have been probed once.
        until(Instant::now(), || {
            gates.waiting.load(Ordering::Relaxed) == plan.changes
        });
        thread::sleep(QUIET);
        Self {
            selector,
            handles,
            gates,
            watching,
            fresh: 0,
        }
    }

    fn next(&mut self) -> usize {
        // Not the next one, so that each is in another piece of what is copied.
        let next = self.fresh;
        self.fresh += 1;
        let (pieces, many) = (10, self.handles.len() / 10);
        next % pieces * many + next / pieces
    }

    fn start(&self, backend: usize) -> Completion {
        let slot = self.handles[backend].slot();
        let started = self.selector.pool().start(|set| set.rank_of(slot));
        started.expect("it is eligible").1
    }

    /// So many fail as often as is needed; returns the last of them, and when that was.
    fn fail(&mut self, number: usize) -> (Handle, Instant) {
        let failure = Outcome::Failure(Failure::Connect);
        let backends: Vec<usize> = (0..number).map(|_| self.next()).collect();
        let mut last = Vec::with_capacity(number);
        for &backend in &backends {
            for _ in 1..IN_A_ROW {
                self.start(backend).finish(failure);
            }
            last.push(self.start(backend));
        }
        thread::sleep(QUIET);
        let cause = Instant::now();
        for completion in last {
            completion.finish(failure);
        }
        (self.handles[backends[number - 1]], cause)
    }

    /// A request fails, so long after what was before.
    fn failure(&mut self, quiet: Duration) -> Duration {
        let failure = Outcome::Failure(Failure::Connect);
        let backend = self.next();
        for _ in 1..IN_A_ROW {
            self.start(backend).finish(failure);
        }
        let last = self.start(backend);
        thread::sleep(quiet);
        let cause = Instant::now();
        last.finish(failure);
        until_gone(&self.selector, self.handles[backend], cause)
    }

    fn probe(&self, change: usize) -> Duration {
        let backend = self.handles.len() - 1 - change;
        let gate = &self.gates.gates[&backend];
        thread::sleep(QUIET);
        let cause = Instant::now();
        gate.open.store(true, Ordering::Relaxed);
        gate.told.notify_one();
        until_gone(&self.selector, self.handles[backend], cause)
    }

    /// The call alone, after which every pick sees it.
    fn force_down(&mut self) -> Duration {
        let backend = self.next();
        let (pool, id) = (self.selector.pool(), id(backend));
        thread::sleep(QUIET);
        let cause = Instant::now();
        assert!(pool.force_down(&id));
        let took = cause.elapsed();
        assert!(
            self.selector
                .select(&(self.handles[backend].slot() as u64))
                .is_err()
        );
        took
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        // The watch ends with the pool.
        self.selector = Selector::new(Pool::new(), Look((LEAST_REQUESTS.picker)()));
        let watching = self.watching.take();
        watching.map(JoinHandle::join);
    }
}

/// Each backend's value is its place.
fn numbered(size: usize, weights: Weights) -> Pool<usize> {
    let pool = Pool::new();
    pool.edit(|edit| {
        for n in 0..size {
            edit.insert(evenkeel::Backend::new(id(n), n).weight(weights.of(n)));
        }
    });
    pool
}

fn watch(pool: &Pool<usize>, gates: &Arc<Gates>) -> JoinHandle<()> {
    const LONG: Duration = Duration::from_secs(3600);
    let ejection = Ejection::new().base_time(LONG).expect("a valid time");
    let settings = ProbeSettings::new()
        .timeout(LONG)
        .and_then(|settings| settings.fall(1))
        .expect("valid settings");
    let gates = Arc::clone(gates);
    let probe = move |target: Target<usize>| {
        let gates = Arc::clone(&gates);
        async move {
            let Some(gate) = gates.gates.get(target.value()) else {
                return Ok(());
            };
            if !gate.open.load(Ordering::Relaxed) {
                gates.waiting.fetch_add(1, Ordering::Relaxed);
                gate.told.notified().await;
            }
            Err("it was told to fail")
        }
    };
    let watch = Health::new()
        .ejection(ejection)
        .probe(probe, settings)
        .watch(pool);
    thread::spawn(move || {
        runtime().block_on(watch);
    })
}

/// A task on another thread, to see what the machine itself makes of it.
struct Other {
    told: Arc<Notify>,
    answers: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Other {
    fn new() -> Self {
        let (told, answers, over): (Arc<Notify>, Arc<AtomicUsize>, Arc<AtomicBool>) =
            Default::default();
        let task = {
            let (told, answers, over) = (told.clone(), answers.clone(), over.clone());
            async move {
                while !over.load(Ordering::Relaxed) {
                    told.notified().await;
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let thread = thread::spawn(move || runtime().block_on(task));
        Self {
            told,
            answers,
            over,
            thread: Some(thread),
        }
    }

    fn wake(&self) -> Duration {
        thread::sleep(QUIET);
        let before = self.answers.load(Ordering::Relaxed);
        let cause = Instant::now();
        self.told.notify_one();
        until(cause, || self.answers.load(Ordering::Relaxed) > before)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.told.notify_one();
        self.thread.take().map(JoinHandle::join);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}
