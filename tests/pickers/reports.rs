//! Whatever becomes of requests and whatever backends say of their load, in any order.

use std::time::{Duration, Instant};

use evenkeel::backend::{BackendInfo, Event, Failure, Handle, Observation, Outcome};
use evenkeel::load::LoadReport;
use evenkeel::picker::{Algorithm, Context, Picker, Prequal, Selector};
use evenkeel::{Backend, Pool};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::cases;

#[derive(Clone, Debug)]
enum Step {
    Select,
    Report(Index, LoadReport),
    Head(Index),
    Finish(Index, Outcome),
    Cancel(Index),
    Probed(Index, LoadReport),
    Join(u8),
    Leave(u8),
    Weigh(u8, u32),
    Wait(u64),
}

fn report() -> impl Strategy<Value = LoadReport> {
    let in_flight = prop_oneof![Just(None), (0u32..5).prop_map(Some), Just(Some(u32::MAX))];
    let latency = prop_oneof![
        Just(None),
        Just(Some(Duration::ZERO)),
        Just(Some(Duration::MAX)),
        (0u64..100).prop_map(|ms| Some(Duration::from_millis(ms))),
    ];
    (in_flight, latency).prop_map(|(in_flight, latency)| {
        let report = LoadReport::new();
        let report = in_flight.map_or(report, |in_flight| report.with_in_flight(in_flight));
        latency.map_or(report, |latency| report.with_latency(latency))
    })
}

fn step() -> impl Strategy<Value = Step> {
    let outcomes = vec![
        Outcome::Success,
        Outcome::Failure(Failure::Other),
        Outcome::Rejected,
        Outcome::Cancelled,
    ];
    prop_oneof![
        6 => Just(Step::Select),
        2 => (any::<Index>(), report()).prop_map(|(at, report)| Step::Report(at, report)),
        1 => any::<Index>().prop_map(Step::Head),
        2 => (any::<Index>(), prop::sample::select(outcomes))
            .prop_map(|(at, outcome)| Step::Finish(at, outcome)),
        1 => any::<Index>().prop_map(Step::Cancel),
        4 => (any::<Index>(), report()).prop_map(|(at, report)| Step::Probed(at, report)),
        1 => (0u8..8).prop_map(Step::Join),
        1 => (0u8..8).prop_map(Step::Leave),
        1 => (0u8..8, 0u32..4).prop_map(|(id, weight)| Step::Weigh(id, weight)),
        1 => (0u64..2_000).prop_map(Step::Wait),
    ]
}

fn run(picker: std::sync::Arc<dyn Picker<()>>, steps: &[Step], seed: u64) {
    let pool: Pool<u8> = (0..4).map(|id| Backend::new(id.to_string(), id)).collect();
    let selector = Selector::<_, ()>::new(pool.clone(), picker);
    let mut now = Instant::now();
    let mut running = Vec::new();
    // Of those who have left, too.
    let mut known: Vec<Handle> = pool.list().iter().map(BackendInfo::handle).collect();
    for (count, step) in steps.iter().enumerate() {
        match *step {
            Step::Select => {
                let mut cx = Context::new()
                    .at(now)
                    .seed(seed ^ count as u64)
                    .with_probes();
                let eligible = pool.list().iter().any(BackendInfo::is_eligible);
                match selector.select_with(&(), &mut cx) {
                    Ok((_, completion)) => running.push(completion),
                    Err(error) => assert!(!eligible, "{error}"),
                }
                for asked in cx.probes() {
                    assert!(selector.value(asked).is_some(), "a member is asked");
                }
            }
            Step::Join(id) => {
                pool.insert(Backend::new(id.to_string(), id));
                known.extend(pool.get(&id.to_string()).map(|info| info.handle()));
            }
            Step::Leave(id) => drop(pool.remove(&id.to_string())),
            Step::Weigh(id, weight) => drop(pool.set_weight(&id.to_string(), weight)),
            Step::Wait(millis) => now += Duration::from_millis(millis),
            Step::Probed(at, report) => {
                let probed = Observation::new(now, Event::Probed(report));
                selector.observe(known[at.index(known.len())], &probed);
            }
            Step::Report(..) | Step::Head(_) | Step::Finish(..) | Step::Cancel(_)
                if running.is_empty() => {}
            Step::Report(at, report) => {
                let at = at.index(running.len());
                running[at].report(report);
            }
            Step::Head(at) => {
                let at = at.index(running.len());
                running[at].head();
            }
            Step::Finish(at, outcome) => {
                let at = at.index(running.len());
                running.swap_remove(at).finish(outcome);
            }
            Step::Cancel(at) => {
                let at = at.index(running.len());
                drop(running.swap_remove(at));
            }
        }
        for info in pool.list() {
            let mine = running.iter();
            let mine = mine.filter(|completion| completion.backend() == info.id());
            // Who had an id before has left with its requests.
            assert!(info.in_flight() <= mine.count(), "{}", info.id());
        }
    }
    drop(running);
    let left: usize = pool.list().iter().map(BackendInfo::in_flight).sum();
    assert_eq!(left, 0);
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn nothing_that_is_reported_makes_a_picker_panic_pick_nobody_or_leak_a_request(
        steps in prop::collection::vec(step(), 0..120), seed: u64,
    ) {
        for &algorithm in Algorithm::ALL {
            run(algorithm.picker(), &steps, seed);
        }
        run(std::sync::Arc::new(Prequal::new().use_reports(true)), &steps, seed);
    }
}
