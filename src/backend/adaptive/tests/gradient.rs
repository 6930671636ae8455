use super::model::{MILLISECOND, Model, middle};
use super::take;
use crate::backend::Outcome;
use crate::backend::adaptive::word::ONE;
use crate::backend::adaptive::{Adaptive, AdaptiveLimit};

const SLOTS: [u32; 4] = [5, 10, 50, 200];

/// As many responses as some rounds have, when the limit has found itself.
fn rounds(slots: u32, rounds: usize) -> usize {
    slots.max(10) as usize * rounds
}

#[test]
fn a_limit_ends_at_one_to_two_times_the_slots_and_stays_there() {
    for slots in SLOTS {
        let mut model = Model::new(AdaptiveLimit::gradient(), slots, 0);
        model.run(rounds(slots, 500));
        // Dozens of measurements of the latency without a queue.
        let limits = model.run(rounds(slots, 2000));
        let most = limits.iter().max().copied().unwrap_or(0);
        assert!(most <= slots * 5 / 2, "{slots} slots: {most}");
        let (low, high) = middle(limits).into_inner();
        assert!(
            low >= slots && high <= slots * 9 / 4,
            "{slots} slots: {low} to {high}"
        );
        let worked = model.utilisation(rounds(slots, 1000));
        assert!(worked > 0.94, "{slots} slots: {worked}");
    }
}

#[test]
fn a_limit_ends_at_one_to_four_times_the_slots_when_service_times_differ() {
    for seed in 0..20 {
        for slots in [10, 50] {
            let mut model = Model::new(AdaptiveLimit::gradient(), slots, seed);
            model.noisy = true;
            model.run(rounds(slots, 500));
            let (low, high) = middle(model.run(rounds(slots, 1000))).into_inner();
            let fits = low >= slots && high <= 4 * slots;
            assert!(fits, "seed {seed}, {slots} slots: {low} to {high}");
        }
    }
}

#[test]
fn a_beginning_with_a_queue_is_forgotten() {
    for slots in [5, 20] {
        let settings = AdaptiveLimit::gradient().initial(50 * slots);
        let mut model = Model::new(settings.expect("it is valid"), slots, 0);
        model.run(rounds(slots, 10_000));
        let (low, high) = middle(model.run(rounds(slots, 500))).into_inner();
        assert!(
            low >= slots && high <= slots * 9 / 4,
            "{slots} slots: {low} to {high}"
        );
    }
}

#[test]
fn a_limit_follows_a_server_that_loses_half_of_its_slots_and_gets_them_back() {
    for slots in [20, 50, 200] {
        let mut model = Model::new(AdaptiveLimit::gradient(), slots, 0);
        model.run(rounds(slots, 500));
        for slots in [slots / 2, slots] {
            model.set_slots(slots);
            model.run(rounds(slots, 60));
            let (low, high) = middle(model.run(rounds(slots, 200))).into_inner();
            assert!(
                low >= slots && high <= slots * 9 / 4,
                "{slots} slots: {low} to {high}"
            );
        }
    }
}

#[test]
fn a_server_that_works_slower_or_faster_for_good_gets_its_limit_back() {
    for slots in [10, 50, 200] {
        // The least is near to the limit of the few.
        let settings = AdaptiveLimit::gradient().bounds(8, 1000).expect("valid");
        let mut model = Model::new(settings, slots, 0);
        model.run(rounds(slots, 500));
        for service in [30, 3] {
            model.service = service * MILLISECOND;
            model.run(rounds(slots, 1000));
            let (low, high) = middle(model.run(rounds(slots, 200))).into_inner();
            // Of the few, a half can be measured, and no quarter.
            let fits = low >= slots && high <= slots * 11 / 4;
            assert!(fits, "{slots} slots, {service} ms: {low} to {high}");
        }
    }
}

#[test]
fn a_server_that_is_never_full_is_never_held_back_to_measure() {
    let mut model = Model::new(AdaptiveLimit::gradient(), 100, 0);
    model.demand = 60;
    model.run(10_000);
    let limits = model.run(100_000);
    assert_eq!(limits.iter().min(), limits.iter().max());
    assert!(limits[0] > 100, "{}", limits[0]);
}

#[test]
fn a_slow_round_of_few_requests_lowers_nothing_and_is_learnt() {
    let settings = AdaptiveLimit::gradient();
    let adaptive = Adaptive::new(&settings);
    take(
        &adaptive,
        &settings,
        200,
        (MILLISECOND, 5, Outcome::Success),
    );
    take(
        &adaptive,
        &settings,
        1000,
        (50 * MILLISECOND, 5, Outcome::Success),
    );
    assert_eq!(adaptive.limit(), 20);
    // What is usual now is no reason to lower the limit under load either.
    take(
        &adaptive,
        &settings,
        20,
        (50 * MILLISECOND, 20, Outcome::Success),
    );
    assert!(adaptive.state().limit > 20 * ONE, "{adaptive:?}");
}

#[test]
fn one_round_at_twice_the_latency_takes_the_stated_step() {
    let settings = AdaptiveLimit::gradient().initial(100).expect("valid");
    let adaptive = Adaptive::new(&settings);
    take(
        &adaptive,
        &settings,
        200,
        (10 * MILLISECOND, 40, Outcome::Success),
    );
    take(
        &adaptive,
        &settings,
        100,
        (20 * MILLISECOND, 100, Outcome::Success),
    );
    // 0.8 × 100 + 0.2 × (100 × 1.5 / 2 + √100) = 97
    assert_eq!(adaptive.limit(), 97);
    // At ten times the latency: 0.8 × 97 + 0.2 × (97 × 0.5 + √97) = 89.27
    take(
        &adaptive,
        &settings,
        97,
        (100 * MILLISECOND, 97, Outcome::Success),
    );
    assert_eq!(adaptive.limit(), 89);
}

/// A model in the first round of a measurement, and the limit before it.
fn measuring() -> (Model, u32) {
    let mut model = Model::new(AdaptiveLimit::gradient(), 50, 0);
    model.run(rounds(50, 500));
    for _ in 0..rounds(50, 100) {
        let before = model.adaptive.limit();
        model.run(1);
        if model.adaptive.limit() < before / 2 {
            return (model, before);
        }
    }
    panic!("it never measures: {:?}", model.adaptive);
}

#[test]
fn the_limit_in_force_is_a_quarter_while_latency_is_measured_and_comes_back() {
    let (mut model, before) = measuring();
    let low = model.adaptive.limit();
    assert_eq!(low, before / 4);
    let limits = model.run(rounds(50, 10));
    let after = limits.iter().find(|limit| **limit != low);
    assert!(
        after.is_some_and(|after| after.abs_diff(before) <= 2),
        "{before} {after:?}"
    );
}

#[test]
fn an_overload_ends_a_measurement() {
    let (model, before) = measuring();
    let overload = (MILLISECOND, before, Outcome::Rejected);
    take(&model.adaptive, &model.settings, 1, overload);
    let after = model.adaptive.limit();
    let fits = after.abs_diff(before * 9 / 10) <= 2;
    assert!(fits, "{before}, then {after}");
}

#[test]
fn a_limit_too_small_to_divide_is_measured_at_the_least() {
    let settings = AdaptiveLimit::gradient().bounds(14, 1000).expect("valid");
    let adaptive = Adaptive::new(&settings);
    take(
        &adaptive,
        &settings,
        40,
        (10 * MILLISECOND, 20, Outcome::Success),
    );
    // This alone would end at 16.
    let least = (0..30 * 20).map(|_| {
        take(
            &adaptive,
            &settings,
            1,
            (20 * MILLISECOND, 20, Outcome::Success),
        );
        adaptive.limit()
    });
    assert_eq!(least.min(), Some(14));
}

#[test]
fn a_limit_that_grows_without_a_queue_is_not_held_back_to_measure() {
    let mut model = Model::new(AdaptiveLimit::gradient(), 900, 0);
    let limits = model.run(80_000);
    assert!(limits.is_sorted(), "it was lowered");
    assert!(
        limits.last().is_some_and(|limit| *limit > 400),
        "{:?}",
        limits.last()
    );
}

#[test]
fn the_first_round_is_not_yet_the_usual_latency() {
    let settings = AdaptiveLimit::gradient();
    let adaptive = Adaptive::new(&settings);
    take(
        &adaptive,
        &settings,
        20,
        (MILLISECOND, 20, Outcome::Success),
    );
    assert_eq!(adaptive.state().long.get(), None);
    take(
        &adaptive,
        &settings,
        20,
        (10 * MILLISECOND, 20, Outcome::Success),
    );
    let long = adaptive.state().long.get().expect("it is measured");
    assert!((9.9e6..10.1e6).contains(&long), "{long}");
}
