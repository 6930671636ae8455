//! Weights, and backends that come and go.

use std::sync::Arc;

use evenkeel::backend::{Event, Handle, Observation};
use evenkeel::picker::{Adaptive, Context, Update};
use evenkeel::set::Masked;
use evenkeel::{Backend, BackendSet, Picker};

use crate::in_flight;
use crate::world::World;

/// So that it goes by reports, whatever they say.
fn told(world: &World, load: u32) {
    for info in world.pool.list() {
        let backend = info.id().parse().expect("a number");
        world.probed(backend, in_flight(load));
    }
}

#[test]
fn of_weights_1_2_and_3_they_take_1_2_and_3_parts_of_what_is_in_flight() {
    for load in [0, 1] {
        let world = World::new(3);
        for (id, weight) in [("1", 2), ("2", 3)] {
            world.pool.set_weight(id, weight);
        }
        told(&world, load);
        let spread = world.spread(600);
        for (count, expected) in spread.iter().zip([100_usize, 200, 300]) {
            assert!(count.abs_diff(expected) <= 3, "{spread:?}, others: {load}");
        }
    }
}

#[test]
fn a_weight_that_changes_counts_from_then_on() {
    let world = World::new(2);
    told(&world, 1);
    let spread = world.spread(40);
    assert_eq!(spread, [20, 20]);
    world.pool.set_weight("1", 3);
    let spread = world.spread(40);
    assert!((9..=11).contains(&spread[0]), "{spread:?}");
}

/// Of all that were seen lately, the ones that look best.
#[test]
fn those_that_are_masked_are_never_picked_though_they_were_seen_lately() {
    let set = [""; 12];
    let picker = Adaptive::new();
    let picker = Picker::<()>::prepare(&picker, &Update::new(&set, &set)).expect("a table");
    let cx = || Context::new().seed(1);
    let now = cx().now();
    for slot in (0..12).rev() {
        let report = in_flight(11 - slot as u32);
        let probed = Observation::new(now, Event::Probed(report));
        picker.observe(Handle::of_slot(slot), &probed);
    }
    let mut masked = Masked::new(&set);
    for out in (0..12).rev() {
        let mut cx = cx().at(now);
        let rank = picker.pick(&masked, &(), &mut cx).expect("some are left");
        assert_eq!(masked.unmasked(rank), out);
        masked.mask_original(out);
    }
    assert_eq!(picker.pick(&masked, &(), &mut cx()), None);
}

#[test]
fn those_that_are_drained_or_have_left_are_never_picked_though_they_were_seen_lately() {
    let world = World::new(12);
    for backend in (0..12).rev() {
        world.probed(backend, in_flight(11 - backend as u32));
    }
    for out in (1..12).rev() {
        let (picked, _over) = world.begin();
        assert_eq!(picked, out);
        let id = out.to_string();
        if out % 2 == 0 {
            world.pool.drain(&id);
        } else {
            world.pool.remove(&id);
        }
    }
    assert_eq!(world.spread(5)[0], 5);
}

#[test]
fn a_set_of_ones_own_with_a_backend_of_weight_0_never_has_it_picked() {
    let set = [("a", 1), ("b", 0), ("c", 1)];
    let picker = Picker::<()>::prepare(&Adaptive::new(), &Update::new(&set, &set)).expect("one");
    let now = Context::new().now();
    for (slot, load) in [(0, 50), (1, 0), (2, 50)] {
        let probed = Observation::new(now, Event::Probed(in_flight(load)));
        picker.observe(set.handle(slot), &probed);
    }
    for seed in 0..100 {
        let mut cx = Context::new().at(now).seed(seed);
        let rank = picker.pick(&set, &(), &mut cx);
        assert!(matches!(rank, Some(0 | 2)), "{rank:?}");
    }
}

/// A world whose backend 3 has the slot that was backend 0's, of whom much was known.
fn succeeded(world: &World) -> Handle {
    let old = world.handle(0);
    world.pool.remove("0");
    world.pool.insert(Backend::new("3", 3));
    let new = world.handle(3);
    assert_eq!(new.slot(), old.slot());
    assert_ne!(new, old);
    old
}

#[test]
fn who_gets_the_slot_of_one_that_has_left_begins_from_nothing() {
    for load in [0, 1_000] {
        let world = World::new(3);
        world.probed(0, in_flight(load));
        world.probed(1, in_flight(10));
        world.probed(2, in_flight(10));
        succeeded(&world);
        // It is expected to have a little less than the others, so that it is looked at.
        let spread = world.spread(30);
        assert!((9..=16).contains(&spread[3]), "{spread:?}, before: {load}");
    }
}

#[test]
fn failures_stay_with_the_one_that_failed() {
    use evenkeel::backend::{Failure, Outcome};
    let world = World::new(3);
    for _ in 0..20 {
        world.begin_at(0).finish(Outcome::Failure(Failure::Connect));
    }
    world.probed(1, in_flight(0));
    world.probed(2, in_flight(0));
    assert_eq!(world.spread(30)[0], 0);
    succeeded(&world);
    assert_eq!(world.spread(30)[3], 10);
}

#[test]
fn a_request_that_ends_after_its_backend_has_left_changes_nothing_for_the_one_in_its_place() {
    let world = World::new(3);
    let late: Vec<_> = (0..2).map(|_| world.begin_at(0)).collect();
    succeeded(&world);
    let _held: Vec<_> = (0..3).map(|_| world.begin_at(3)).collect();
    world.probed(3, in_flight(3));
    world.probed(1, in_flight(4));
    world.probed(2, in_flight(4));
    for request in late {
        request.succeed();
    }
    // 3 own against 4 others: one more, and they are alike.
    let (picked, _held) = world.begin_many(4);
    assert_eq!(picked[0], 3);
    assert_eq!(
        picked.iter().filter(|&&at| at == 3).count(),
        2,
        "{picked:?}"
    );
}

#[test]
fn what_one_that_has_left_still_reports_changes_nothing_for_those_who_stay() {
    let world = World::new(3);
    let mut late = world.begin_at(0);
    for (backend, load) in [(0, 101), (1, 10), (2, 0)] {
        world.probed(backend, in_flight(load));
    }
    world.pool.remove("0");
    late.report(in_flight(1));
    late.succeed();
    assert_eq!(world.begin_many(10).0, [2; 10]);
}

#[test]
fn what_is_known_outlives_changes_of_the_set() {
    let world = World::new(3);
    for (backend, load) in [(0, 10), (1, 0), (2, 0)] {
        world.probed(backend, in_flight(load));
    }
    let _held: Vec<_> = (0..4).map(|_| world.begin_at(1)).collect();
    for at in 3..200 {
        world.pool.insert(Backend::new(at.to_string(), at));
    }
    for at in 3..200 {
        world.pool.remove(&at.to_string());
    }
    assert_eq!(world.begin_many(4).0, [2; 4]);
    let (picked, _held) = world.begin_many(12);
    assert!(!picked.contains(&0), "{picked:?}");
}

#[test]
fn a_picker_that_was_given_away_to_be_looked_at_is_still_the_same() {
    let picker: Arc<dyn Picker<()>> = Arc::new(Adaptive::new());
    let world = World::new(2);
    let other = World::over(world.pool.clone(), Arc::clone(&picker));
    // It was never prepared itself, and so learns nothing, and goes by what the pool counts.
    let probed = Observation::new(std::time::Instant::now(), Event::Probed(in_flight(9)));
    picker.observe(other.handle(0), &probed);
    assert_eq!(other.spread(10), [5, 5]);
}
