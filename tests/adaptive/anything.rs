//! Whatever happens, in any order and at any time: somebody is picked as long as anybody can be,
//! and every request is counted back.

use std::time::Duration;

use evenkeel::backend::{BackendInfo, Failure, Outcome};
use evenkeel::load::LoadReport;
use evenkeel::picker::Algorithm;
use evenkeel::{Backend, Pool};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::world::{Request, World};
use crate::{cases, in_flight, millis};

/// Those that observe, and those that go by the counts that the pool keeps.
const PICKERS: [Algorithm; 7] = [
    Algorithm::Adaptive,
    Algorithm::Prequal,
    Algorithm::C3,
    Algorithm::ReportedWeightedRoundRobin,
    Algorithm::LeastRequests,
    Algorithm::ExactLeastRequests,
    Algorithm::LeastResponseTime,
];

/// More than Adaptive has candidates.
const IDS: usize = 40;

#[derive(Clone, Debug)]
enum Step {
    Begin(u8),
    Head(Index),
    Settle(Index, Outcome),
    Finish(Index, Outcome),
    Cancel(Index),
    Report(Index, LoadReport),
    Probe(Index, LoadReport),
    Insert(usize, u32),
    Remove(usize),
    Weight(usize, u32),
    Drain(usize, bool),
    Time(i64),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    select(vec![
        Outcome::Success,
        Outcome::Success,
        Outcome::Failure(Failure::Connect),
        Outcome::Failure(Failure::Body),
        Outcome::Rejected,
        Outcome::Cancelled,
    ])
}

fn report() -> impl Strategy<Value = LoadReport> {
    let load = prop_oneof![0..10_u32, Just(u32::MAX), any::<u32>()];
    let time = || {
        prop_oneof![
            (0..1_000_u64).prop_map(Duration::from_millis),
            Just(Duration::ZERO),
            Just(Duration::from_nanos(1)),
            Just(Duration::MAX),
        ]
    };
    let number = || select(vec![0.0, 0.5, 1e-300, 1e300, f64::MAX, f64::NAN, -1.0]);
    let option = prop::option::of::<BoxedStrategy<_>>;
    let times = (option(time().boxed()), option(time().boxed()));
    let numbers = (number(), number(), number());
    let load = prop::option::of(load);
    (load, times, numbers).prop_map(|(load, (latency, service), (used, rate, errors))| {
        let mut report = LoadReport::new()
            .with_application_utilization(used)
            .with_requests_per_second(rate)
            .with_errors_per_second(errors);
        if let Some(load) = load {
            report = report.with_in_flight(load);
        }
        if let Some(latency) = latency {
            report = report.with_latency(latency);
        }
        if let Some(service) = service {
            report = report.with_service_time(service);
        }
        report
    })
}

/// By how much the clock moves: usually a little, at times to where its ticks wrap, or back.
fn time() -> impl Strategy<Value = i64> {
    const HOUR: i64 = 3_600_000_000_000;
    prop_oneof![
        4 => 0..100_000_000_i64,
        2 => -100_000_000..0_i64,
        1 => select(vec![HOUR / 60, 5 * HOUR, 9 * HOUR, 10 * HOUR, -HOUR, -10 * HOUR, 100 * HOUR]),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = || 0..IDS;
    let at = any::<Index>;
    let weight = || select(vec![0, 1, 1, 1, 2, 3, 100, u32::MAX]);
    let step = prop_oneof![
        8 => (1..6_u8).prop_map(Step::Begin),
        4 => at().prop_map(Step::Head),
        2 => (at(), outcome()).prop_map(|(at, outcome)| Step::Settle(at, outcome)),
        6 => (at(), outcome()).prop_map(|(at, outcome)| Step::Finish(at, outcome)),
        1 => at().prop_map(Step::Cancel),
        4 => (at(), report()).prop_map(|(at, report)| Step::Report(at, report)),
        4 => (at(), report()).prop_map(|(at, report)| Step::Probe(at, report)),
        3 => (id(), weight()).prop_map(|(id, weight)| Step::Insert(id, weight)),
        2 => id().prop_map(Step::Remove),
        1 => (id(), weight()).prop_map(|(id, weight)| Step::Weight(id, weight)),
        1 => (id(), any::<bool>()).prop_map(|(id, on)| Step::Drain(id, on)),
        6 => time().prop_map(Step::Time),
    ];
    prop::collection::vec(step, 1..250)
}

fn begin(world: &World, running: &mut Vec<Request>) {
    let mut eligible = world.pool.list();
    eligible.retain(BackendInfo::is_eligible);
    match world.selector.select(&()) {
        Ok((_, completion)) => {
            let is_it = |info: &BackendInfo| info.id() == completion.backend();
            assert!(eligible.iter().any(is_it), "{}", completion.backend());
            running.push(world.request(completion));
        }
        Err(error) => assert!(eligible.is_empty(), "{error}"),
    }
}

fn take(world: &World, running: &mut Vec<Request>, step: &Step) {
    let place = |at: Index| (!running.is_empty()).then(|| at.index(running.len()));
    match *step {
        Step::Begin(requests) => (0..requests).for_each(|_| begin(world, running)),
        Step::Head(at) => {
            if let Some(at) = place(at) {
                running[at].head();
            }
        }
        Step::Settle(at, outcome) => {
            if let Some(at) = place(at) {
                running[at].settle(outcome);
            }
        }
        Step::Finish(at, outcome) => {
            if let Some(at) = place(at) {
                running.swap_remove(at).finish(outcome);
            }
        }
        Step::Cancel(at) => {
            if let Some(at) = place(at) {
                running.swap_remove(at).cancel();
            }
        }
        Step::Report(at, report) => {
            if let Some(at) = place(at) {
                running[at].report(report);
            }
        }
        Step::Probe(at, report) => {
            let members = world.pool.list();
            if !members.is_empty() {
                world.probed_at(at.get(&members).handle(), report);
            }
        }
        Step::Insert(id, weight) => {
            let backend = Backend::new(id.to_string(), id).weight(weight);
            world.pool.insert(backend);
        }
        Step::Remove(id) => {
            world.pool.remove(&id.to_string());
        }
        Step::Weight(id, weight) => {
            world.pool.set_weight(&id.to_string(), weight);
        }
        Step::Drain(id, on) => {
            let change = if on { Pool::drain } else { Pool::undrain };
            change(&world.pool, &id.to_string());
        }
        Step::Time(by) => world.clock.set(world.clock.now() + by),
    }
}

/// So many backends from the start.
fn world(algorithm: Algorithm, backends: usize) -> World {
    let pool: Pool<_> = (0..backends)
        .map(|at| Backend::new(at.to_string(), at))
        .collect();
    World::over(pool, algorithm.picker())
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn somebody_is_picked_and_every_request_is_counted_back(
        algorithm in select(PICKERS.to_vec()), backends in 0..IDS, steps in steps(),
    ) {
        let (world, mut running) = (world(algorithm, backends), Vec::new());
        for step in steps {
            take(&world, &mut running, &step);
        }
        begin(&world, &mut running);
        let counted = |world: &World| -> usize {
            world.pool.list().iter().map(BackendInfo::in_flight).sum()
        };
        prop_assert!(counted(&world) <= running.len());
        drop(running);
        prop_assert_eq!(counted(&world), 0);
    }
}

proptest! {
    #![proptest_config(cases(40))]

    /// Nothing that was ever reported or measured stays in the way: after a while without any of
    /// it the adaptive picker does again as one that begins.
    #[test]
    fn the_adaptive_picker_gets_over_anything(backends in 2..12_usize, steps in steps()) {
        let (world, mut running) = (world(Algorithm::Adaptive, backends), Vec::new());
        for step in steps {
            take(&world, &mut running, &step);
        }
        drop(running);
        let fresh = (0..backends).map(|at| Backend::new(at.to_string(), at));
        world.pool.replace_all(fresh);
        for id in 0..backends {
            world.pool.undrain(&id.to_string());
        }
        // To learn once more how long requests take: 100 ms everywhere.
        for _ in 0..20 {
            for backend in 0..backends {
                let mut request = world.begin_at(backend);
                request.report(in_flight(1).with_latency(millis(100)));
                world.pass(millis(100));
                request.succeed();
            }
        }
        world.pass(Duration::from_secs(600));
        for backend in 0..backends {
            world.probed(backend, in_flight(1));
        }
        let spread = world.spread(10 * backends);
        prop_assert!(spread.iter().all(|count| (9..=11).contains(count)), "{:?}", spread);
    }
}
