//! Who is a member, with what settings, and what is remembered of it.

use std::collections::HashSet;

use evenkeel::Pool;
use evenkeel::backend::{BackendInfo, Completion, Outcome, State};
use evenkeel::picker::{Context, ExactLeastRequests, Picker, RoundRobin, Selector};

use crate::{Value, backend, ids, start};

#[test]
fn inserting_a_live_id_replaces_value_and_settings_and_keeps_the_rest() {
    let pool = Pool::from([backend("a", 1), backend("b", 2)]);
    start(&pool, "a").1.finish(Outcome::Success);
    let (_, running) = start(&pool, "a");
    let before = pool.get("a").unwrap();
    pool.drain("a");

    let changed = backend("a", 3)
        .weight(7)
        .zone("z")
        .priority(1)
        .metadata("k", "v");
    assert!(!pool.insert(changed));
    let after = pool.get("a").unwrap();
    assert_eq!(
        (after.weight(), after.zone(), after.priority()),
        (7, Some("z"), 1)
    );
    assert_eq!(after.metadata("k"), Some("v"));
    assert_eq!(after.handle(), before.handle());
    assert_eq!(after.in_flight(), 1);
    assert!(after.latency().is_some());
    assert_eq!(after.state(), State::Draining);
    assert_eq!(ids(&pool), ["a", "b"]);

    running.finish(Outcome::Success);
    assert_eq!(pool.get("a").unwrap().in_flight(), 0);
    pool.undrain("a");
    // It is a backup now.
    pool.remove("b");
    assert_eq!(start(&pool, "a").0, Value(3));
}

#[test]
fn an_id_that_is_removed_and_inserted_again_is_a_new_member() {
    let again_in_one_edit = |pool: &Pool<Value>| {
        pool.edit(|edit| {
            edit.remove("a");
            edit.insert(backend("a", 2));
        });
    };
    let again_in_two_calls = |pool: &Pool<Value>| {
        assert!(pool.remove("a"));
        assert!(pool.insert(backend("a", 2)));
    };
    for again in [
        &again_in_one_edit as &dyn Fn(&Pool<Value>),
        &again_in_two_calls,
    ] {
        let pool = Pool::from([backend("a", 1), backend("b", 0)]);
        start(&pool, "a").1.finish(Outcome::Success);
        let (_, running) = start(&pool, "a");
        let old = pool.get("a").unwrap();
        pool.drain("a");

        again(&pool);
        let new = pool.get("a").unwrap();
        assert_ne!(new.handle(), old.handle());
        assert_eq!((new.in_flight(), new.latency()), (0, None));
        assert_eq!(new.state(), State::Healthy);
        assert_eq!(ids(&pool), ["b", "a"]);

        let (value, _second) = start(&pool, "a");
        assert_eq!(value, Value(2));
        drop(running);
        let new = pool.get("a").unwrap();
        assert_eq!(
            new.in_flight(),
            1,
            "the old member's request is not the new one's"
        );
    }
}

#[test]
fn a_handle_is_never_given_again_and_slots_do_not_grow_with_turnover() {
    let pool = Pool::new();
    let mut handles = HashSet::new();
    for round in 0..50 {
        let list = (0..10).map(|at| backend(&format!("{}", round * 5 + at), 0));
        assert_eq!(
            pool.replace_all(list).inserted(),
            if round == 0 { 10 } else { 5 }
        );
        handles.extend(pool.list().iter().map(BackendInfo::handle));
    }
    assert_eq!(handles.len(), 10 + 49 * 5);
    assert!(handles.iter().all(|handle| handle.slot() < 20));
}

#[test]
fn calls_say_whether_the_backend_is_a_member() {
    let pool = Pool::new();
    assert!(pool.insert(backend("a", 1)));
    assert!(!pool.insert(backend("a", 1)));
    // The second time there is nothing to change, and it is still a member.
    for _ in 0..2 {
        assert!(pool.set_weight("a", 4));
        assert!(pool.drain("a"));
    }
    assert!(pool.undrain("a") && pool.undrain("a"));
    assert!(!pool.set_weight("b", 4) && !pool.drain("b") && !pool.undrain("b"));
    assert!(pool.get("b").is_none());
    assert!(pool.remove("a") && !pool.remove("a"));
    assert!(pool.is_empty());
}

#[test]
fn replace_all_is_a_diff_and_takes_over_the_order() {
    let pool = Pool::from([
        backend("a", 1),
        backend("b", 2),
        backend("c", 3),
        backend("d", 4),
    ]);
    pool.drain("c");
    let before = pool.list();
    let (_, running) = start(&pool, "d");

    let list = [
        backend("d", 4),
        backend("e", 5),
        backend("c", 3),
        backend("b", 9).weight(2),
    ];
    let changes = pool.replace_all(list);
    assert_eq!((changes.inserted(), changes.removed()), (1, 1));
    assert_eq!((changes.updated(), changes.unchanged()), (1, 2));
    let after = pool.list();
    assert_eq!(ids(&pool), ["d", "e", "c", "b"]);
    for (new, old) in [(0, 3), (2, 2), (3, 1)] {
        assert_eq!(after[new].handle(), before[old].handle());
    }
    assert_eq!(after[0].in_flight(), 1);
    assert_eq!(after[2].state(), State::Draining);
    assert_eq!((after[3].weight(), start(&pool, "b").0), (2, Value(9)));
    drop(running);

    assert_eq!(pool.replace_all([]).removed(), 4);
    assert!(pool.is_empty());
}

#[test]
fn of_duplicates_the_last_wins_in_the_place_of_the_first() {
    let list = || [backend("a", 1), backend("b", 2), backend("a", 3).weight(9)];
    let assert_last_won = |pool: &Pool<Value>| {
        assert_eq!(ids(pool), ["a", "b"]);
        assert_eq!(pool.get("a").unwrap().weight(), 9);
        assert_eq!(start(pool, "a").0, Value(3));
    };
    assert_last_won(&Pool::from(list()));

    let pool = Pool::new();
    let changes = pool.edit(|edit| list().into_iter().for_each(|backend| edit.insert(backend)));
    assert_eq!(changes.inserted(), 2);
    assert_last_won(&pool);

    let pool = Pool::new();
    assert_eq!(pool.replace_all(list()).inserted(), 2);
    assert_last_won(&pool);
    assert!(
        !pool
            .replace_all([backend("a", 3).weight(9), backend("b", 2)])
            .any()
    );
}

#[test]
fn of_duplicates_in_replace_all_with_the_last_wins_too() {
    let pool = Pool::new();
    let list = [backend("a", 1), backend("b", 2), backend("a", 3).weight(9)];
    pool.replace_all_with(list, |value| value);
    assert_eq!(ids(&pool), ["a", "b"]);
    assert_eq!(pool.get("a").unwrap().weight(), 9);
    assert_eq!(start(&pool, "a").0, Value(3));
}

#[test]
fn replace_all_with_makes_values_for_new_ids_only() {
    let pool = Pool::from([backend("a", 1), backend("b", 2)]);
    let mut made = Vec::new();
    let list = [
        backend("b", 20),
        backend("c", 30),
        backend("a", 10).weight(3),
    ];
    let changes = pool.replace_all_with(list, |value| {
        made.push(value);
        value
    });
    assert_eq!(made, [Value(30)]);
    assert_eq!(
        (changes.inserted(), changes.updated(), changes.unchanged()),
        (1, 1, 1)
    );
    assert_eq!(ids(&pool), ["b", "c", "a"]);
    assert_eq!(start(&pool, "a").0, Value(1));
    assert_eq!(pool.get("a").unwrap().weight(), 3);
}

#[test]
fn a_value_that_is_made_for_an_id_that_someone_else_inserts_meanwhile_is_dropped() {
    let pool = Pool::new();
    pool.replace_all_with([backend("a", 1)], |value| {
        // No lock is held: this would hang otherwise.
        pool.insert(backend("a", 2));
        value
    });
    assert_eq!(start(&pool, "a").0, Value(2));
}

#[test]
fn a_backend_that_someone_else_removes_while_values_are_made_is_made_too() {
    let pool = Pool::from([backend("a", 1)]);
    pool.replace_all_with([backend("a", 10), backend("b", 20)], |value| {
        pool.remove("a");
        value
    });
    assert_eq!(ids(&pool), ["a", "b"]);
    assert_eq!(start(&pool, "a").0, Value(10));
}

#[test]
fn an_edit_may_use_the_pool_and_sees_it_as_it_was() {
    let pool = Pool::from([backend("a", 1)]);
    pool.edit(|edit| {
        edit.remove("a");
        edit.insert(backend("b", 2));
        assert_eq!(ids(&pool), ["a"]);
    });
    assert_eq!(ids(&pool), ["b"]);
}

#[test]
fn the_changes_of_an_edit_apply_in_their_order() {
    let pool = Pool::new();
    let changes = pool.edit(|edit| {
        edit.set_weight("a", 5); // not yet a member
        edit.insert(backend("a", 1));
        edit.insert(backend("b", 1));
        edit.set_weight("a", 2);
        edit.drain("a");
        edit.undrain("a");
        edit.remove("b");
        edit.drain("b");
    });
    assert_eq!(
        (changes.inserted(), changes.updated(), changes.removed()),
        (2, 3, 1)
    );
    assert_eq!(ids(&pool), ["a"]);
    let info = pool.get("a").unwrap();
    assert_eq!((info.weight(), info.state()), (2, State::Healthy));
}

#[test]
fn running_requests_of_a_removed_backend_finish() {
    let pool = Pool::from([backend("a", 1)]);
    let (value, running) = start(&pool, "a");
    pool.remove("a");
    assert!(pool.start(|_| Some(0)).is_none());
    assert_eq!((value, running.backend()), (Value(1), "a"));
    running.finish(Outcome::Success);
}

#[test]
fn a_rank_beyond_the_set_starts_nothing() {
    let pool = Pool::from([backend("a", 1), backend("b", 2)]);
    pool.drain("b");
    for rank in [1, 2, usize::MAX] {
        assert!(pool.start(|_| Some(rank)).is_none());
    }
    assert!(pool.list().iter().all(|info| info.in_flight() == 0));
}

#[test]
fn a_hundred_thousand_backends_work() {
    const N: usize = 100_000;
    let pool: Pool<_> = (0..N).map(|at| backend(&at.to_string(), at)).collect();
    assert_eq!(pool.len(), N);
    assert!(pool.set_weight("70000", 3) && pool.drain("0") && pool.remove("1"));
    assert!(pool.insert(backend("one more", N)));
    assert_eq!((pool.len(), pool.list()[N - 1].id()), (N, "one more"));

    let busy: Vec<_> = (2..2_002).map(|at| start_at(&pool, at)).collect();
    let (Value(picked), _running) = pool
        .start(|set| ExactLeastRequests::new().pick(set, &(), &mut Context::new()))
        .expect("nearly all are eligible");
    assert!(picked > 2_001, "{picked} is busy or out");
    drop(busy);

    let changes = pool.replace_all((0..N).rev().map(|at| backend(&at.to_string(), at)));
    assert_eq!(
        (changes.inserted(), changes.removed(), changes.updated()),
        (1, 1, 1)
    );
    assert_eq!(pool.get("0").unwrap().state(), State::Draining);
}

/// Starts a request at the backend with this value, knowing that only 0 and 1 are out.
fn start_at(pool: &Pool<Value>, value: usize) -> Completion {
    let (started, completion) = pool.start(|_| Some(value - 2)).expect("it is eligible");
    assert_eq!(started, Value(value));
    completion
}

#[test]
fn a_pool_that_shrank_becomes_narrow_again() {
    let pool: Pool<Value> = (0..300).map(|n| backend(&n.to_string(), n)).collect();
    pool.edit(|edit| (0..297).for_each(|n| edit.remove(&n.to_string())));
    for id in ["297", "298", "299"] {
        pool.remove(id);
        pool.insert(backend(id, 0));
    }
    let slots: Vec<_> = pool
        .list()
        .iter()
        .map(|info| info.handle().slot())
        .collect();
    assert_eq!(slots, [0, 1, 2]);
}

#[test]
fn selectors_that_are_dropped_leave_nothing_in_the_pool() {
    let pool = Pool::from([backend("a", 1)]);
    let picking = || drop(Selector::<_, ()>::new(pool.clone(), RoundRobin::new()));
    picking();
    let left = allocation_counter::measure(|| (0..10_000).for_each(|_| picking()));
    assert!(left.bytes_current < 10_000, "{} bytes", left.bytes_current);
}
