//! An operator's word counts first.

use evenkeel::Pool;
use evenkeel::backend::{Outcome, State};
use evenkeel::health::Watching;
use tokio::time::Instant;

use crate::setup::{
    FAILURE, Says, Table, at, at_once, exact, only_one, pool, probed, requests, selector, settle,
    start, state,
};

type Order = fn(&Pool<usize>, &str) -> bool;

const ORDERS: [(Order, State, Order); 4] = [
    (Pool::drain, State::Draining, Pool::undrain),
    (Pool::force_down, State::ForcedDown, Pool::unforce),
    (Pool::force_up, State::ForcedUp, Pool::unforce),
    (
        |pool, id| pool.set_weight(id, 0),
        State::ZeroWeight,
        |pool, id| pool.set_weight(id, 1),
    ),
];

/// A pool of ten in which "0" can be in any state.
struct World {
    pool: Pool<usize>,
    table: Table,
    _watching: Watching,
}

impl World {
    fn new() -> Self {
        let (pool, table) = (pool(10), Table::new());
        let ejection = exact().max_ejected(0.5).unwrap();
        let health = table.health(at_once()).ejection(ejection);
        Self {
            _watching: health.spawn(&pool),
            pool,
            table,
        }
    }

    /// Lets "0" show itself in a state.
    async fn show(&self, state: State) {
        match state {
            State::Ejected => requests(&self.pool, "0", 5, FAILURE),
            State::Unhealthy => self.table.set(0, Says::Down),
            State::Degraded => self.table.set(0, Says::Degraded),
            _ => self.table.set(0, Says::Well),
        }
        probed().await;
    }

    fn state(&self) -> State {
        state(&self.pool, "0")
    }

    fn is_picked(&self) -> bool {
        let selector = selector(&self.pool);
        (0..30).any(|_| selector.select(&()).unwrap().0 == 0)
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_wins_over_whatever_health_shows_and_health_is_back_when_it_ends() {
    for shown in [
        State::Healthy,
        State::Degraded,
        State::Unhealthy,
        State::Ejected,
    ] {
        for (order, ordered, end) in ORDERS {
            let world = World::new();
            world.show(shown).await;
            assert_eq!(world.state(), shown);
            assert!(order(&world.pool, "0"));
            assert_eq!(world.state(), ordered, "{shown:?}");
            assert_eq!(world.is_picked(), ordered == State::ForcedUp, "{shown:?}");
            assert_eq!(world.pool.get("0").unwrap().why(), None);
            probed().await;
            assert_eq!(world.state(), ordered, "{shown:?}");
            assert!(end(&world.pool, "0"));
            assert_eq!(world.state(), shown, "{ordered:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_probes_find_while_an_order_holds_counts_when_it_ends() {
    let all = [State::Healthy, State::Degraded, State::Unhealthy];
    for (order, ordered, end) in ORDERS {
        for (before, after) in all.iter().flat_map(|&a| all.map(|b| (a, b))) {
            let world = World::new();
            world.show(before).await;
            order(&world.pool, "0");
            world.show(after).await;
            assert_eq!(world.state(), ordered, "{before:?} {after:?}");
            end(&world.pool, "0");
            assert_eq!(world.state(), after, "{before:?} {ordered:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_latest_order_counts_and_each_end_ends_its_own_kind_only() {
    let world = World::new();
    let pool = &world.pool;
    pool.force_down("0");
    pool.force_up("0");
    assert_eq!(world.state(), State::ForcedUp);
    assert!(pool.undrain("0"));
    assert_eq!(world.state(), State::ForcedUp);
    pool.drain("0");
    assert!(pool.unforce("0"));
    assert_eq!(world.state(), State::Draining);
    pool.undrain("0");
    assert_eq!(world.state(), State::Healthy);
    assert!(!pool.force_up("nobody"));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_forced_up_is_not_ejected_and_its_next_failure_counts_when_that_ends() {
    let world = World::new();
    world.pool.force_up("0");
    requests(&world.pool, "0", 20, FAILURE);
    settle().await;
    assert_eq!(world.state(), State::ForcedUp);
    world.pool.unforce("0");
    settle().await;
    assert_eq!(world.state(), State::Healthy);
    requests(&world.pool, "0", 1, FAILURE);
    settle().await;
    assert_eq!(world.state(), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn failures_of_running_requests_do_not_eject_one_that_is_drained() {
    let world = World::new();
    let running: Vec<_> = (0..20).map(|_| start(&world.pool, "0")).collect();
    world.pool.drain("0");
    for completion in running {
        completion.finish(FAILURE);
    }
    settle().await;
    assert_eq!(world.state(), State::Draining);
    assert_eq!(world.pool.status().ejected(), 0);
    world.pool.undrain("0");
    assert_eq!(world.state(), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn an_ejection_goes_on_while_an_order_holds() {
    for (order, ordered, end) in ORDERS {
        // It ends at 30, a trial then, and it is taken back at 40 if nobody tried.
        for (at_second, expected) in [
            (29.0, State::Ejected),
            (31.0, State::Trial),
            (41.0, State::Healthy),
        ] {
            let world = World::new();
            let begin = Instant::now();
            world.show(State::Ejected).await;
            order(&world.pool, "0");
            at(begin, at_second).await;
            assert_eq!(world.state(), ordered);
            end(&world.pool, "0");
            assert_eq!(world.state(), expected, "{ordered:?} {at_second}");
            if expected == State::Trial {
                only_one(&selector(&world.pool), 0).finish(Outcome::Success);
                settle().await;
                assert_eq!(world.state(), State::Healthy);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_during_a_trial_wins_and_afterwards_counts_what_the_trial_has_shown() {
    for (order, ordered, end) in ORDERS {
        let world = World::new();
        let begin = Instant::now();
        world.show(State::Ejected).await;
        at(begin, 31.0).await;
        let past = only_one(&selector(&world.pool), 0);
        order(&world.pool, "0");
        past.finish(FAILURE);
        settle().await;
        assert_eq!(world.state(), ordered);
        end(&world.pool, "0");
        // Forced up, it is used like any other, and the trial is over.
        if ordered != State::ForcedUp {
            assert_eq!(world.state(), State::Ejected, "{ordered:?}");
            continue;
        }
        assert_eq!(world.state(), State::Trial, "{ordered:?}");
        only_one(&selector(&world.pool), 0).finish(Outcome::Success);
        settle().await;
        assert_eq!(world.state(), State::Healthy, "{ordered:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_word_of_probes_counts_before_that_of_the_traffic() {
    let world = World::new();
    let begin = Instant::now();
    world.show(State::Ejected).await;
    world.show(State::Unhealthy).await;
    let info = world.pool.get("0").unwrap();
    assert_eq!(info.state(), State::Unhealthy);
    assert_eq!(info.why().unwrap().to_string(), "probe: it is down");
    assert_eq!(info.until(), None);
    // Neither ends the other.
    world.show(State::Healthy).await;
    assert_eq!(world.state(), State::Ejected);
    world.show(State::Unhealthy).await;
    at(begin, 31.0).await;
    assert_eq!(world.state(), State::Unhealthy);
    at(begin, 41.0).await;
    world.show(State::Healthy).await;
    assert_eq!(world.state(), State::Healthy);
}
