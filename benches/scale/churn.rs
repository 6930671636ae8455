//! Picks of two threads while 10,000 backends a second change, beside those in a quiet pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel::backend::BackendInfo;
use evenkeel::discover::{Follow, Update, once};
use evenkeel::picker::{Adaptive, LeastRequests, RoundRobin, Selector};
use evenkeel::{Backend, Pool};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::changes::{hundred, over};
use super::common::report::{Table, Target, ratio};
use super::{Plan, ids, pool};

/// A batch of a hundred each 10 ms.
const PAUSE: Duration = Duration::from_millis(10);

/// How a hundred changes reach the pool.
enum Way {
    Nothing,
    Batches,
    Source,
}

/// Nanoseconds of picks, and how many changes there were.
struct Stretch {
    picks: Vec<u32>,
    changes: usize,
    late: usize,
    took: Duration,
}

type Over = fn(&Pool<()>) -> Selector<(), str>;

const PICKERS: [(&str, Over); 3] = [
    ("round_robin", |pool| over(pool, RoundRobin::new())),
    ("least_requests", |pool| over(pool, LeastRequests::new())),
    ("adaptive", |pool| over(pool, Adaptive::new())),
];

pub(crate) fn measure(plan: &Plan, targets: &mut Vec<Target>) {
    let ids = ids(plan.backends);
    let columns = ["p50", "p99", "p99 / quiet", "changes/s"].map(str::to_owned);
    let title = "Nanoseconds for a pick, the clock included, by two threads; medians of the rounds";
    let mut table = Table::new(title, columns);
    for (name, over) in PICKERS {
        let pool = pool(&ids, false);
        let selector = over(&pool);
        let ways = [Way::Nothing, Way::Batches, Way::Source];
        let mut figures: [Vec<[f64; 4]>; 3] = Default::default();
        let mut time = 0;
        for _ in 0..plan.rounds {
            let mut quiet = f64::NAN;
            for (way, figures) in ways.iter().zip(&mut figures) {
                let stretch = run(way, plan.stretch, (&pool, &selector, &ids), &mut time);
                let p99 = percentile(&stretch.picks, 0.99);
                if matches!(way, Way::Nothing) {
                    quiet = p99;
                }
                let rate = stretch.changes as f64 / stretch.took.as_secs_f64();
                figures.push([percentile(&stretch.picks, 0.5), p99, p99 / quiet, rate]);
                // Who is behind is not keeping up with 10,000.
                if stretch.late > 0 {
                    eprintln!("{name}: {} batches were late", stretch.late);
                }
            }
        }
        let rows = ["quiet", "in batches of 100", "through a source"];
        for (way, figures) in rows.iter().zip(&mut figures) {
            let [p50, p99, to_quiet, rate] = std::array::from_fn(|column| {
                let mut column: Vec<f64> = figures.iter().map(|row| row[column]).collect();
                column.sort_unstable_by(f64::total_cmp);
                column[column.len() / 2]
            });
            let figures = [
                format!("{p50:.0}"),
                format!("{p99:.0}"),
                ratio(to_quiet),
                format!("{rate:.0}"),
            ];
            table.row(&format!("{name}, {way}"), figures);
            if *way != "quiet" {
                let what = format!("p99 of {name} / quiet, {way}");
                targets.push(Target::at_most(2.0, to_quiet, "", &what));
            }
        }
    }
    table.print();
}

fn run(
    way: &Way,
    stretch: Duration,
    (pool, selector, ids): (&Pool<()>, &Selector<(), str>, &[Arc<str>]),
    time: &mut usize,
) -> Stretch {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let pickers = [(); 2].map(|()| scope.spawn(|| picks(selector, &stop)));
        let start = Instant::now();
        let first = *time;
        let late = match way {
            Way::Nothing => {
                thread::sleep(stretch);
                0
            }
            Way::Batches => batches(stretch, time, |time| {
                let weight = weight(time);
                pool.edit(|edit| hundred(ids, time).for_each(|id| edit.set_weight(id, weight)));
            }),
            Way::Source => through_a_source(stretch, time, pool, ids),
        };
        let took = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        let picks = pickers.map(|picker| picker.join().expect("picks do not panic"));
        // Nothing is lost: neither a change nor a request that has ended.
        for time in first..*time {
            for id in hundred(ids, time) {
                let info = pool.get(id).expect("nobody has left");
                assert!(info.weight() >= 2, "{info}");
            }
        }
        if let Some(last) = (first..*time).next_back() {
            let weights = hundred(ids, last).map(|id| pool.get(id).map(|info| info.weight()));
            assert!(weights.into_iter().all(|found| found == Some(weight(last))));
        }
        assert!(
            pool.list()
                .iter()
                .all(|info: &BackendInfo| info.in_flight() == 0)
        );
        let mut picks: Vec<u32> = picks.concat();
        picks.sort_unstable();
        Stretch {
            picks,
            changes: 100 * (*time - first),
            late,
            took,
        }
    })
}

fn weight(time: usize) -> u32 {
    2 + time as u32 % 7
}

/// Changes a hundred at each pause; returns how often it was late by more than a pause.
fn batches(stretch: Duration, time: &mut usize, mut change: impl FnMut(usize)) -> usize {
    let start = Instant::now();
    let (mut due, mut late) = (start, 0);
    while start.elapsed() < stretch {
        change(*time);
        *time += 1;
        due += PAUSE;
        match due.checked_duration_since(Instant::now()) {
            Some(left) => thread::sleep(left),
            None => late += usize::from(due.elapsed() > PAUSE),
        }
    }
    late
}

fn through_a_source(
    stretch: Duration,
    time: &mut usize,
    pool: &Pool<()>,
    ids: &[Arc<str>],
) -> usize {
    let (says, updates) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let follow = Follow::new(once("changes", UnboundedReceiverStream::new(updates)));
    thread::scope(|scope| {
        // It ends when nobody has the other end any more.
        scope.spawn(move || runtime.block_on(follow.feed(pool)));
        let late = batches(stretch, time, |time| {
            let put = |update: Update<()>, id: &Arc<str>| {
                update.put(Backend::new(Arc::clone(id), ()).weight(weight(time)))
            };
            // Fails only if the follower has panicked, which is found out at the end.
            let _ = says.send(Ok(hundred(ids, time).fold(Update::changes(), put)));
        });
        drop(says);
        late
    })
}

/// Picks, and ends what it began, over and over; returns how long each pick took.
fn picks(selector: &Selector<(), str>, stop: &AtomicBool) -> Vec<u32> {
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let selected = selector.select("");
        took.push(start.elapsed().as_nanos() as u32);
        drop(selected);
        // About a microsecond of work.
        for _ in 0..50 {
            std::hint::spin_loop();
        }
    }
    took
}

/// Of sorted ones.
fn percentile(sorted: &[u32], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last as f64 * part) as usize)
        .map_or(f64::NAN, |&nanos| f64::from(nanos))
}
