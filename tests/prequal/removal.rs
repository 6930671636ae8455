//! What is dropped from the pool with each pick.

use std::collections::HashSet;

use evenkeel::BackendSet;
use evenkeel::picker::Prequal;
use evenkeel::set::Masked;

use crate::{answer, backends, millis, pick_at, report, shares, start};

/// The fastest is picked however loaded, and answers are removed.
fn removing() -> Prequal {
    Prequal::new().hot_quantile(1.0).expect("valid")
}

/// Backends that have answered one after the other, from the fastest to the slowest.
fn fastest_first(picker: &Prequal, count: u64, now: std::time::Instant) {
    for at in 0..count {
        let backend = backends(count as usize).handle(at as usize);
        answer(picker, backend, now + millis(at), report(0, at + 1));
    }
}

#[test]
fn the_oldest_and_the_worst_go_in_turn() {
    let now = start();
    let picks = |seed| {
        let picker = removing();
        fastest_first(&picker, 6, now);
        let picks = (0..6u64).map(|pick| pick_at(&picker, &backends(6), now, seed + pick));
        picks.flatten().collect::<Vec<_>>()
    };
    // 0 goes, then 5, 1, 4, 2; and with 3 alone in the pool, any is picked.
    let mut last = HashSet::new();
    for seed in 0..100 {
        let picks = picks(seed * 100);
        assert_eq!(picks[..5], [0, 1, 1, 2, 2]);
        last.insert(picks[5]);
    }
    assert_eq!(last.len(), 6);
}

#[test]
fn the_worst_is_the_hot_one_of_the_most_requests_rather_than_the_slowest() {
    let now = start();
    let set = backends(7);
    // Half of them have 1 in flight at most, so the fourth and the fifth are hot.
    let loads = [(0, 50), (0, 1), (1, 900), (2, 1), (3, 1), (0, 60), (1, 70)];
    let [slowest, hot, hottest] = [2, 3, 4];
    // Who is picked among two of them, once the oldest and the worst have been removed.
    let among = |left: [usize; 2], seed| {
        let picker = Prequal::new().hot_quantile(0.5).expect("valid");
        for (slot, &(in_flight, latency)) in loads.iter().enumerate() {
            let load = report(in_flight, latency);
            answer(&picker, set.handle(slot), now + millis(slot as u64), load);
        }
        for _ in 0..2 {
            assert_eq!(pick_at(&picker, &set, now, seed), Some(1));
        }
        let mut masked = Masked::new(&set);
        let others = (0..7).filter(|rank| !left.contains(rank));
        others.for_each(|rank| masked.mask_original(rank));
        pick_at(&picker, &masked, now, seed).map(|rank| masked.unmasked(rank))
    };
    let seen = |left| {
        (0..100)
            .map(|seed| among(left, seed))
            .collect::<HashSet<_>>()
    };
    assert_eq!(seen([slowest, hot]), [Some(slowest)].into());
    assert_eq!(seen([hot, hottest]), [Some(hot), Some(hottest)].into());
}

#[test]
fn a_rate_of_removals_that_is_not_whole_is_right_on_average() {
    // One in two picks drops the oldest, which is the best.
    let now = start();
    let mut dropped = 0;
    for seed in 0..2_000 {
        let picker = removing().removals_per_request(0.5).expect("valid");
        fastest_first(&picker, 6, now);
        pick_at(&picker, &backends(6), now, seed);
        dropped += u32::from(pick_at(&picker, &backends(6), now, seed) == Some(1));
    }
    assert!((900..1_100).contains(&dropped), "{dropped} of 2,000");
}

/// Two picks of 100 backends, of which four have answered, the last of them as the fastest: how
/// often it is picked again.
fn used_again(make: impl Fn() -> Prequal) -> u32 {
    let now = start();
    let set = backends(100);
    let mut again = 0;
    for seed in 0..4_000 {
        let picker = make();
        for at in 0..4 {
            let load = report(0, 9 - at);
            answer(&picker, set.handle(at as usize), now + millis(at), load);
        }
        assert_eq!(pick_at(&picker, &set, now, seed), Some(3));
        again += u32::from(pick_at(&picker, &set, now, seed + 1) == Some(3));
    }
    again
}

#[test]
fn an_answer_is_used_as_often_as_the_formula_says() {
    // b_reuse = 2 / ((1 - 16/100) x 3 - 1) = 1.32: about one in three is used twice.
    let again = used_again(removing);
    assert!((1_170..1_360).contains(&again), "{again} of 4,000");

    // With δ = 0 it is max(1, 0.66), with δ = 2.04 it is 2.
    let with = |delta| move || removing().reuse_margin(delta).expect("valid");
    assert_eq!(used_again(with(0.0)), 0);
    assert_eq!(used_again(with(2.04)), 4_000);

    // A smaller pool is more of its own: 2 / ((1 - 4/100) x 3 - 1) = 1.06.
    let again = used_again(|| removing().pool_size(4).expect("valid"));
    assert!((180..320).contains(&again), "{again} of 4,000");
}

#[test]
fn an_answer_of_few_backends_is_not_used_up() {
    let now = start();
    let set = backends(24);
    let make = || {
        let picker = removing().removals_per_request(0.9).expect("valid");
        for at in 0..16 {
            let load = report(0, 100 - at);
            answer(&picker, set.handle(at as usize), now + millis(at), load);
        }
        picker
    };
    // Until the others are removed.
    let picker = make();
    for seed in 0..12 {
        assert_eq!(pick_at(&picker, &set, now, seed), Some(15));
    }
    assert_eq!(shares(make, &set, now)[15], 3_000);
}
