//! How many may be ejected at once.

use evenkeel::Pool;
use evenkeel::backend::State;
use evenkeel::health::{Ejection, Health};
use tokio::time::Instant;

use crate::setup::{
    FAILURE, Says, Table, at, at_once, exact, pool, probed, request, requests, settle, start, state,
};

fn share(share: f64) -> Ejection {
    exact().max_ejected(share).unwrap()
}

/// Lets each backend in turn fail as often as ejects it.
async fn all_fail<T: Clone>(pool: &Pool<T>) {
    let list = pool.list();
    let running: Vec<_> = list
        .iter()
        .filter(|info| info.is_eligible())
        .flat_map(|info| (0..6).map(|_| start(pool, info.id())))
        .collect();
    for completion in running {
        completion.finish(FAILURE);
        settle().await;
    }
}

fn ejected<T: Clone>(pool: &Pool<T>) -> Vec<String> {
    let out = pool.list().into_iter();
    let out = out.filter(|info| info.state() == State::Ejected);
    out.map(|info| info.id().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_share_and_at_least_one_and_never_all_are_ejected() {
    // By pool, for shares of 0, 0.1, 0.34, 0.5 and 1.
    for (count, most) in [
        (1, [0, 0, 0, 0, 0]),
        (2, [1, 1, 1, 1, 1]),
        (3, [1, 1, 1, 1, 2]),
        (5, [1, 1, 1, 2, 4]),
        (9, [1, 1, 3, 4, 8]),
        (10, [1, 1, 3, 5, 9]),
        (20, [1, 2, 6, 10, 19]),
        (30, [1, 3, 10, 15, 29]),
    ] {
        for (of, most) in [0.0, 0.1, 0.34, 0.5, 1.0].into_iter().zip(most) {
            let pool = pool(count);
            let _watching = Health::new().ejection(share(of)).spawn(&pool);
            all_fail(&pool).await;
            assert_eq!(pool.status().ejected(), most, "{of} of {count}");
            assert!(
                pool.list()
                    .iter()
                    .any(evenkeel::backend::BackendInfo::is_eligible)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_is_exact_where_floating_point_is_not() {
    for (count, of, most) in [(10, 0.3, 3), (10, 0.7, 7), (100, 0.29, 29), (100, 0.57, 57)] {
        let pool = pool(count);
        let _watching = Health::new().ejection(share(of)).spawn(&pool);
        all_fail(&pool).await;
        assert_eq!(pool.status().ejected(), most, "{of} of {count}");
    }
}

#[tokio::test(start_paused = true)]
async fn backends_that_fail_their_probes_count_towards_the_bound() {
    let (pool, table) = (pool(10), Table::new());
    table.set(0, Says::Down);
    table.set(1, Says::Down);
    let _watching = table.health(at_once()).ejection(share(0.3)).spawn(&pool);
    probed().await;
    assert_eq!(pool.status().count_of(State::Unhealthy), 2);
    all_fail(&pool).await;
    assert_eq!(pool.status().ejected(), 1);

    table.set(0, Says::Well);
    probed().await;
    all_fail(&pool).await;
    assert_eq!(pool.status().ejected(), 2);
}

#[tokio::test(start_paused = true)]
async fn backends_that_an_operator_holds_are_not_part_of_it() {
    let pool = pool(10);
    let _watching = Health::new().ejection(share(0.34)).spawn(&pool);
    // Six are left, of which two may be.
    pool.force_down("0");
    pool.force_up("1");
    pool.drain("2");
    pool.set_weight("3", 0);
    all_fail(&pool).await;
    assert_eq!(ejected(&pool), ["4", "5"]);
    assert_eq!(state(&pool, "1"), State::ForcedUp);
}

#[tokio::test(start_paused = true)]
async fn when_members_leave_those_go_back_that_are_due_first() {
    let pool = pool(10);
    let _watching = Health::new().ejection(share(0.3)).spawn(&pool);
    for id in ["7", "2", "5"] {
        requests(&pool, id, 5, FAILURE);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert_eq!(ejected(&pool), ["2", "5", "7"]);
    pool.remove("0");
    assert_eq!(ejected(&pool), ["2", "5"]);
    assert_eq!(state(&pool, "7"), State::Healthy);
    assert!(pool.get("7").unwrap().is_eligible());

    // By any way of leaving.
    pool.edit(|edit| {
        edit.drain("1");
        edit.force_down("3");
        edit.set_weight("4", 0);
    });
    assert_eq!(ejected(&pool), ["5"]);
    // One that went back can be ejected again, as often as it takes.
    pool.edit(|edit| {
        for id in ["10", "11", "12", "13"] {
            edit.insert(evenkeel::Backend::new(id, 0));
        }
        edit.undrain("1");
    });
    settle().await;
    requests(&pool, "7", 4, FAILURE);
    settle().await;
    assert_eq!(ejected(&pool), ["5"]);
    request(&pool, "7", FAILURE);
    settle().await;
    assert_eq!(ejected(&pool), ["5", "7"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_held_while_ejected_counts_again_when_it_is_let_go() {
    let pool = pool(4);
    let _watching = Health::new().ejection(share(0.3)).spawn(&pool);
    requests(&pool, "0", 5, FAILURE);
    settle().await;
    pool.drain("0");
    settle().await;
    requests(&pool, "1", 5, FAILURE);
    settle().await;
    assert_eq!(ejected(&pool), ["1"]);
    pool.undrain("0");
    assert_eq!(pool.status().ejected(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_could_not_be_ejected_for_lack_of_room_is_as_soon_as_there_is_some() {
    let pool = pool(3);
    let _watching = Health::new().ejection(share(0.1)).spawn(&pool);
    let begin = Instant::now();
    requests(&pool, "0", 5, FAILURE);
    settle().await;
    // It goes on failing, and stays for now.
    requests(&pool, "1", 8, FAILURE);
    settle().await;
    assert_eq!(ejected(&pool), ["0"]);
    at(begin, 41.0).await;
    assert_eq!(pool.status().ejected(), 0);
    request(&pool, "1", FAILURE);
    settle().await;
    assert_eq!(ejected(&pool), ["1"]);
    let why = pool.get("1").unwrap().why().unwrap().to_string();
    assert_eq!(why, "9 failures in a row");

    // The same when the one that is out leaves, or more are let in.
    requests(&pool, "2", 8, FAILURE);
    settle().await;
    assert_eq!(ejected(&pool), ["1"]);
    pool.force_down("1");
    pool.insert(evenkeel::Backend::new("3", 3));
    request(&pool, "2", FAILURE);
    settle().await;
    assert_eq!(ejected(&pool), ["2"]);
}
