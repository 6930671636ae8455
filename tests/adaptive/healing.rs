//! What one odd number, a late table or many threads at once leave behind: nothing for good.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use evenkeel::backend::{Event, Observation, Outcome};
use evenkeel::load::LoadReport;
use evenkeel::picker::{Adaptive, Context, Update};
use evenkeel::{BackendSet, Picker};

use crate::{in_flight, millis};

type Shared = Arc<dyn Picker<()>>;

const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

fn prepared(set: &dyn BackendSet) -> Shared {
    let picker = Picker::<()>::prepare(&Adaptive::new(), &Update::new(set, set));
    picker.expect("it has a table")
}

/// Sends a request each millisecond, of which one to backend 0 tells something odd, once; returns
/// how many of the second half go to that. What is reported does not depend on what is sent, so
/// that shares are far from even.
fn last_share(
    odd: &dyn Fn(&Shared, usize, Instant),
    sane: &mut dyn FnMut() -> (Event, Duration),
) -> usize {
    const REQUESTS: u64 = 120_000;
    let picker = prepared(&NAMES);
    let mut now = Instant::now();
    let (mut share, mut told) = (0, false);
    for request in 0..REQUESTS {
        now += millis(1);
        let mut cx = Context::new().at(now).seed(request);
        let rank = picker.pick(&NAMES, &(), &mut cx).expect("there are ten");
        share += usize::from(rank == 0 && request >= REQUESTS / 2);
        let backend = NAMES.handle(rank);
        picker.observe(backend, &Observation::new(now, Event::Dispatched));
        if rank == 0 && request > 5_000 && !told {
            told = true;
            odd(&picker, rank, now);
        }
        let (report, took) = sane();
        for event in [
            report,
            Event::head(took, Outcome::Success),
            Event::ended(took, Outcome::Success, true),
        ] {
            picker.observe(backend, &Observation::new(now, event));
        }
    }
    assert!(told);
    share
}

#[test]
fn a_backend_that_once_said_too_much_is_asked_again() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut sane = || {
        let report = in_flight(random.u32(3..9)).with_latency(millis(random.u64(8..12)));
        (Event::Reported(report), millis(10))
    };
    for odd in [
        in_flight(50),
        in_flight(10_000),
        in_flight(u32::MAX),
        in_flight(5).with_latency(Duration::MAX),
        in_flight(5).with_latency(Duration::ZERO),
    ] {
        let tell = |picker: &Shared, rank: usize, now| {
            let event = Event::Reported(odd);
            picker.observe(NAMES.handle(rank), &Observation::new(now, event));
        };
        let share = last_share(&tell, &mut sane);
        assert!(share >= 2, "{odd:?}: {share}");
    }
}

#[test]
fn a_table_that_is_thrown_away_changes_no_weights() {
    let (old, new) = ([("a", 1), ("b", 1)], [("a", 1), ("b", 1_000)]);
    let first = prepared(&old);
    let newer = first.prepare(&Update::new(&new, &new)).expect("a table");
    // It was late.
    drop(first.prepare(&Update::new(&old, &old)));
    let now = Instant::now();
    let mut picks = [0; 2];
    for seed in 0..100 {
        // Much more than the first, but little for its weight.
        for (rank, load) in [(0, 5), (1, 50)] {
            let event = Event::Reported(in_flight(load));
            newer.observe(new.handle(rank), &Observation::new(now, event));
        }
        let mut cx = Context::new().at(now).seed(seed);
        picks[newer.pick(&new, &(), &mut cx).expect("there are two")] += 1;
    }
    assert_eq!(picks, [0, 100]);
}

#[test]
fn what_threads_report_at_once_adds_up() {
    let picker = prepared(&NAMES);
    let now = Instant::now();
    let tell = |rank: usize, load: u32| {
        let event = Event::Reported(in_flight(load));
        picker.observe(NAMES.handle(rank), &Observation::new(now, event));
    };
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                for _ in 0..200_000 {
                    tell(random.usize(..2), random.u32(..50));
                }
            });
        }
    });
    (0..NAMES.len()).for_each(|rank| tell(rank, 0));
    // Where nobody else sends anything, hardly any pick asks for a probe.
    let asks = |seed| {
        let mut cx = Context::new().at(now).seed(seed).with_probes();
        picker.pick(&NAMES, &(), &mut cx);
        cx.probes().count()
    };
    let asked: usize = (0..1_600).map(asks).sum();
    assert!(asked < 200, "{asked}");
}

#[test]
fn a_report_without_requests_in_flight_changes_nothing() {
    let picker = prepared(&NAMES);
    let now = Instant::now();
    let report = LoadReport::new()
        .with_latency(millis(1))
        .with_cpu_utilization(0.1);
    for rank in 0..NAMES.len() {
        let event = Event::Reported(report);
        picker.observe(NAMES.handle(rank), &Observation::new(now, event));
    }
    let picks: Vec<_> = (0..1_000)
        .map(|seed| picker.pick(&NAMES, &(), &mut Context::new().at(now).seed(seed)))
        .collect();
    for rank in 0..NAMES.len() {
        let share = picks.iter().filter(|&&pick| pick == Some(rank)).count();
        assert!((50..160).contains(&share), "{rank}: {share}");
    }
}
