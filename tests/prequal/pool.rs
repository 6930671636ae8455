//! Which answers the pool holds.

use evenkeel::backend::{Event, Handle, Observation};
use evenkeel::picker::{Context, Prequal, Selector};
use evenkeel::{Backend, BackendSet, Picker, Pool};

use crate::{answer, answers, backends, fastest, millis, pick_at, report, shares, start};

#[test]
fn an_answer_counts_for_a_second() {
    let now = start();
    let make = || {
        let picker = fastest();
        answers(&picker, now, &[(0, 1), (0, 2)]);
        picker
    };
    let set = backends(2);
    assert_eq!(shares(make, &set, now + millis(1_000)), [3_000, 0]);
    let late = now + millis(1_001);
    assert!(shares(make, &set, late)[1] > 1_000);

    // Dropped for good: a clock that goes back does not bring them back.
    let picker = make();
    pick_at(&picker, &set, late, 1);
    let picks = (0..50).map(|seed| pick_at(&picker, &set, now, seed));
    assert!(picks.into_iter().any(|picked| picked == Some(1)));
}

#[test]
fn a_newer_answer_of_a_backend_replaces_the_older() {
    let (picker, now) = (fastest(), start());
    let set = backends(3);
    answers(&picker, now, &[(0, 1), (0, 5)]);
    answer(&picker, set.handle(0), now + millis(1), report(0, 9));
    assert_eq!(pick_at(&picker, &set, now, 1), Some(1));
    // One that was under way for longer says nothing new.
    answer(&picker, set.handle(0), now, report(0, 2));
    assert_eq!(pick_at(&picker, &set, now, 1), Some(1));

    // And it is one answer: the other's alone is not enough once it is gone.
    let make = || {
        let picker = fastest();
        answer(&picker, Handle::of_slot(0), now, report(0, 1));
        answer(&picker, Handle::of_slot(0), now, report(0, 1));
        picker
    };
    assert!(shares(make, &backends(2), now)[1] > 1_000);
}

#[test]
fn the_oldest_makes_room_for_a_seventeenth() {
    let now = start();
    let set = backends(17);
    let picker = fastest();
    // The oldest is the fastest, and neither the first nor the last that came.
    for slot in 0..16 {
        let at = if slot == 5 { 0 } else { 1 + slot };
        let latency = if slot == 5 { 1 } else { 100 + slot };
        let backend = set.handle(slot as usize);
        answer(&picker, backend, now + millis(at), report(0, latency));
    }
    assert_eq!(pick_at(&picker, &set, now, 1), Some(5));
    answer(&picker, set.handle(16), now + millis(50), report(0, 50));
    assert_eq!(pick_at(&picker, &set, now, 1), Some(16));
    // What is older than all of them does not get in.
    answer(&picker, set.handle(5), now, report(0, 1));
    assert_eq!(pick_at(&picker, &set, now, 1), Some(16));
}

#[test]
fn what_a_backend_answered_is_not_believed_of_the_one_in_its_place() {
    let now = start();
    let pool = Pool::from([("a", 0), ("b", 1), ("c", 2)].map(|(id, at)| Backend::new(id, at)));
    let selector = Selector::<_, ()>::new(pool.clone(), fastest()).seed(1);
    let tell = |id: &str, latency| {
        let handle = pool.get(id).expect("a member").handle();
        let probed = Observation::new(now, Event::Probed(report(0, latency)));
        selector.observe(handle, &probed);
        handle
    };
    let select = || {
        let mut cx = Context::new().at(now).seed(1);
        selector.select_with(&(), &mut cx).expect("some").0
    };
    let old = tell("a", 1);
    tell("b", 5);
    tell("c", 6);
    assert_eq!(select(), 0);
    pool.remove("a");
    pool.insert(Backend::new("d", 3));
    let new = pool.get("d").expect("a member").handle();
    assert_eq!(new.slot(), old.slot());
    for _ in 0..100 {
        assert_eq!(select(), 1);
    }
    // And what it answers now is not taken in.
    assert_eq!(selector.value(old), None);
    assert_eq!(selector.value(new), Some(3));
    let late = Observation::new(now, Event::Probed(report(0, 0)));
    selector.observe(old, &late);
    assert_eq!(select(), 1);
}

#[test]
fn answers_outlive_changes_of_the_set_and_reach_whoever_was_prepared() {
    let now = start();
    let pool = Pool::from(["a", "b", "c"].map(|id| Backend::new(id, id)));
    let picker = std::sync::Arc::new(fastest());
    let selector = Selector::<_, ()>::new(pool.clone(), std::sync::Arc::clone(&picker));
    for (id, latency) in [("a", 9), ("b", 1), ("c", 5)] {
        let handle = pool.get(id).expect("a member").handle();
        // Told to the picker that was given, and not to the one that was made of it.
        answer(&picker, handle, now, report(0, latency));
    }
    for at in 0..12 {
        let mut cx = Context::new().at(now);
        let (found, _completion) = selector.select_with(&(), &mut cx).expect("some");
        assert_eq!(found, "b");
        pool.insert(Backend::new(format!("more {at}"), "more"));
    }
}

#[test]
fn without_anybody_who_probes_each_pick_is_random() {
    let pool = Pool::from(["a", "b", "c"].map(|id| Backend::new(id, id)));
    let selector = Selector::<_, ()>::new(pool, Prequal::new()).seed(7);
    let mut counts = std::collections::HashMap::new();
    for _ in 0..3_000 {
        *counts
            .entry(selector.select(&()).expect("some").0)
            .or_insert(0) += 1;
    }
    assert!(counts.values().all(|count| (900..1_100).contains(count)));
    assert_eq!(counts.len(), 3);
}

#[test]
fn an_empty_set_gives_nobody() {
    let picker = fastest();
    answers(&picker, start(), &[(0, 1), (0, 2)]);
    let none: [&str; 0] = [];
    let mut cx = Context::new().at(start()).with_probes();
    assert_eq!(Picker::<()>::pick(&picker, &none, &(), &mut cx), None);
}
