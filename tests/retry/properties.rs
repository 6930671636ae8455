//! What holds for any load, any failures and any delays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evenkeel::Balance;
use evenkeel::balance::Head;
use evenkeel::picker::Algorithm;
use evenkeel::retry::{Budget, Hedge};
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower::{Layer, ServiceExt};

use crate::setup::{
    BROKEN, ByAnswer, GATEWAY, LATE, REFUSED, Says, Step, UNSAFE, World, gateway, layer,
};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Debug)]
struct Load {
    backends: Vec<Vec<Step>>,
    algorithm: usize,
    attempts: u32,
    hedge: Option<u64>,
    timeout: Option<u64>,
    total: Option<u64>,
    share: f64,
    per_second: f64,
    /// The pauses between requests, in milliseconds, and whether each is safe.
    requests: Vec<(u64, bool)>,
}

fn step() -> impl Strategy<Value = Step> {
    let wait = |millis| Says::Head(GATEWAY, Head::failed(GATEWAY).retry_after(millis));
    let says = prop_oneof![
        4 => Just(Says::Well),
        2 => Just(BROKEN),
        2 => Just(REFUSED),
        1 => Just(LATE),
        2 => Just(gateway()),
        1 => (0..300_u64).prop_map(move |millis| wait(Duration::from_millis(millis))),
        1 => Just(Says::Never),
    ];
    (0..80_u64, says)
}

fn load() -> impl Strategy<Value = Load> {
    let backends = prop::collection::vec(prop::collection::vec(step(), 1..12), 1..=4);
    let millis = |range| prop::option::of(range);
    let times = (millis(0..60_u64), millis(1..60_u64), millis(1..400_u64));
    let budget = (0.0..1.5, 0.0..20.0);
    let requests = prop::collection::vec((0..400_u64, prop::bool::weighted(0.8)), 1..80);
    (
        backends,
        0..Algorithm::ALL.len(),
        1..6_u32,
        times,
        budget,
        requests,
    )
        .prop_map(
            |(
                backends,
                algorithm,
                attempts,
                (hedge, timeout, total),
                (share, per_second),
                requests,
            )| {
                Load {
                    backends,
                    algorithm,
                    attempts,
                    hedge,
                    timeout,
                    total,
                    share,
                    per_second,
                    requests,
                }
            },
        )
}

/// Lets the load run, and looks at who was asked.
async fn run(load: Load) -> Result<(), TestCaseError> {
    let world = World::empty();
    let count = load.backends.len();
    for (&name, steps) in NAMES.iter().zip(&load.backends) {
        world.says(name, steps.iter().copied());
        world
            .pool
            .insert(evenkeel::Backend::new(name, world.server(name)));
    }
    let budget = Budget::new()
        .share(load.share)
        .and_then(|budget| budget.per_second(load.per_second));
    let budget = budget
        .and_then(|budget| budget.window(Duration::from_secs(5)))
        .unwrap();
    let mut layer = layer().attempts(load.attempts).unwrap().budget(budget);
    let picker = Algorithm::ALL[load.algorithm].picker();
    let mut balance = Balance::new(world.pool.clone(), picker)
        .seed(1)
        .track(ByAnswer);
    if let Some(hedge) = load.hedge {
        layer = layer.hedge(Hedge::after(Duration::from_millis(hedge)));
    }
    if let Some(timeout) = load.timeout {
        balance = balance.attempt_timeout(Duration::from_millis(timeout));
    }
    if let Some(total) = load.total {
        layer = layer.total_time(Duration::from_millis(total));
    }
    let service = layer.layer(balance);
    let mut asking = JoinSet::new();
    for (number, (pause, safe)) in (0..).zip(&load.requests) {
        sleep(Duration::from_millis(*pause)).await;
        let request = if *safe { number } else { UNSAFE + number };
        asking.spawn(tokio::time::timeout(
            Duration::from_secs(2),
            service.clone().oneshot(request),
        ));
    }
    asking.join_all().await;

    prop_assert_eq!(world.in_flight(), 0);
    let log = world.log();
    let most = load.requests.len() as f64 * (1.0 + load.share)
        + load.per_second * (world.now() as f64 / 1000.0 + 5.0);
    prop_assert!(log.len() as f64 <= most + 1e-3, "{} of {most}", log.len());
    let mut by_request = BTreeMap::<u64, Vec<&str>>::new();
    for asked in &log {
        by_request
            .entry(asked.request)
            .or_default()
            .push(asked.name);
    }
    for (request, asked) in by_request {
        prop_assert!(
            asked.len() <= load.attempts as usize,
            "{request}: {asked:?}"
        );
        let first = &asked[..asked.len().min(count)];
        let different: BTreeSet<_> = first.iter().collect();
        prop_assert_eq!(different.len(), first.len(), "{}: {:?}", request, &asked);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn attempts_are_bounded_and_none_goes_twice_to_one_before_all_had_it(load in load()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(load))?;
    }
}
