//! What is made of the load that others put on the backends.

use crate::virtual_time::Clock;
use crate::world::World;
use crate::{in_flight, millis};

/// What each backend answers to a probe.
fn told(world: &World, loads: &[u32]) {
    for (backend, &load) in loads.iter().enumerate() {
        world.probed(backend, in_flight(load));
    }
}

#[test]
fn a_backend_is_left_alone_until_the_others_have_as_many_requests_as_it_reports() {
    let world = World::new(3);
    told(&world, &[10, 0, 0]);
    let (first, _held) = world.begin_many(20);
    assert!(!first.contains(&0), "{first:?}");
    // From then on all are alike.
    let (next, _held) = world.begin_many(30);
    assert_eq!(next.iter().filter(|&&picked| picked == 0).count(), 10);
}

#[test]
fn reports_on_responses_do_the_same_without_the_requests_that_they_come_with() {
    let world = World::new(2);
    for (backend, load) in [(0, 6), (1, 1)] {
        let mut request = world.begin_at(backend);
        request.report(in_flight(load));
        request.succeed();
    }
    // 5 others, and none.
    let (first, _held) = world.begin_many(5);
    assert_eq!(first, [1; 5]);
    let (next, _held) = world.begin_many(10);
    assert_eq!(next.iter().filter(|&&picked| picked == 0).count(), 5);
}

#[test]
fn own_requests_are_not_counted_twice_and_change_at_once() {
    let world = World::new(2);
    let mut held: Vec<_> = (0..5).map(|_| world.begin_at(0)).collect();
    held[0].report(in_flight(7));
    world.probed(1, in_flight(4));
    // 5 own and 2 others, against 4.
    let (picked, _kept) = world.begin_many(3);
    assert_eq!(picked, [1; 3]);
    // 2 others, against 3 own and 4 others.
    held.clear();
    let (picked, _kept) = world.begin_many(5);
    assert_eq!(picked, [0; 5]);
}

#[test]
fn a_report_of_fewer_than_are_our_own_is_none_of_others() {
    let world = World::new(2);
    let held: Vec<_> = (0..5).map(|_| world.begin_at(0)).collect();
    world.probed(0, in_flight(2));
    world.probed(1, in_flight(1));
    drop(held);
    assert_eq!(world.begin().0, 0);
}

/// How many requests the others get, that report 5, before the one is picked that once reported 15.
fn reluctance(after: u64) -> usize {
    let world = World::new(3);
    world.warm_up();
    for _ in 0..30 {
        told(&world, &[5; 3]);
    }
    world.probed(0, in_flight(15));
    world.pass(millis(after));
    // So that it goes by reports still.
    world.probed(1, in_flight(5));
    let (picked, _held) = world.begin_many(60);
    picked.iter().position(|&picked| picked == 0).unwrap_or(60)
}

#[test]
fn what_was_seen_fades_with_the_time_that_a_request_takes() {
    const HOUR: u64 = 3_600_000;
    assert_eq!(reluctance(0), 20);
    let (soon, later) = (reluctance(50), reluctance(200));
    assert!((8..16).contains(&soon), "{soon}");
    assert!((3..8).contains(&later), "{later}");
    // Until it is looked at again, because nobody has for so long.
    for long in [60_000, HOUR, 4 * HOUR, 6 * HOUR, 8 * HOUR, 30 * HOUR] {
        let left = reluctance(long);
        assert!(left < 8, "{left} after {long} ms");
    }
}

#[test]
fn a_clock_that_goes_back_a_little_changes_nothing() {
    let world = World::new(3);
    world.warm_up();
    told(&world, &[10, 0, 0]);
    let back = |clock: &Clock, by: u64| clock.set(clock.now() - millis(by).as_nanos() as i64);
    back(&world.clock, 1_000);
    let (first, _held) = world.begin_many(20);
    assert!(!first.contains(&0), "{first:?}");
}

#[test]
fn without_reports_response_times_count_where_they_foretell_something() {
    let world = World::new(10);
    // Backend 0 is three times as slow as the others, since others use it.
    for round in 0..200 {
        for backend in 0..10 {
            let request = world.begin_at(backend);
            let noise = (round * 7 + backend as u64 * 3) % 11;
            world.pass(millis(if backend == 0 { 300 } else { 100 } + noise));
            request.succeed();
        }
    }
    let spread = world.spread(100);
    assert!(spread[0] <= 9, "{spread:?}");
    assert!(spread[1..].iter().all(|&count| count >= 9), "{spread:?}");
}

#[test]
fn a_slow_backend_gets_less_where_latency_is_reported_and_shows() {
    let world = World::new(4);
    for round in 0..400 {
        for backend in 0..4 {
            let mut request = world.begin_at(backend);
            let took = millis(if backend == 0 { 300 } else { 100 } + round % 7);
            request.report(in_flight(2).with_latency(took));
            world.pass(took);
            request.succeed();
        }
    }
    let spread = world.spread(60);
    assert!((3..=10).contains(&spread[0]), "{spread:?}");
}

#[test]
fn two_pickers_over_one_pool_know_each_others_requests_from_reports() {
    use evenkeel::picker::{Adaptive, Selector};
    let world = World::new(3);
    let other = Selector::<_, ()>::new(world.pool.clone(), Adaptive::new()).seed(2);
    // Without reports both go by the pool's own count.
    let held: Vec<_> = (0..30).map(|_| other.select(&()).expect("some")).collect();
    let (picked, kept) = world.begin_many(30);
    for backend in 0..3 {
        assert_eq!(held.iter().filter(|(at, _)| *at == backend).count(), 10);
        assert_eq!(picked.iter().filter(|&&at| at == backend).count(), 10);
    }
    drop(kept);
    told(&world, &[10, 10, 4]);
    drop(held);
    // What the other one has ended is known with the next report.
    assert_eq!(world.begin_many(6).0, [2; 6]);
    told(&world, &[0, 10, 4]);
    assert_eq!(world.begin_many(4).0, [0; 4]);
}
