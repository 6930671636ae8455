//! Who is picked, given what the pool holds.

use evenkeel::backend::{Event, Handle, Observation};
use evenkeel::load::LoadReport;
use evenkeel::picker::{Context, Needs, Prequal, Update};
use evenkeel::set::Masked;
use evenkeel::{BackendSet, Picker};

use crate::{answer, answers, backends, keeping, millis, pick_at, report, shares, start};

#[test]
fn of_the_cold_the_fastest_is_picked_though_a_hot_one_is_faster() {
    let (picker, now) = (keeping(), start());
    // 84 % of seven answers is 3 requests in flight: the last is hot.
    let loads = [(0, 9), (3, 6), (1, 8), (2, 7), (3, 5), (0, 8), (20, 1)];
    answers(&picker, now, &loads);
    assert_eq!(pick_at(&picker, &backends(7), now, 1), Some(4));
}

#[test]
fn where_all_are_hot_the_least_loaded_is_picked_though_it_is_the_slowest() {
    let (picker, now) = (keeping(), start());
    let set = backends(22);
    // They are too old to be picked by, but count for what is hot.
    answers(&picker, now, &[(0, 1); 20]);
    let now = now + millis(1_500);
    answer(&picker, set.handle(20), now, report(5, 1));
    answer(&picker, set.handle(21), now, report(4, 9));
    assert_eq!(pick_at(&picker, &set, now, 1), Some(21));
}

#[test]
fn the_quantile_decides_between_latency_alone_and_requests_in_flight_alone()
-> Result<(), evenkeel::InvalidSetting> {
    let now = start();
    for (quantile, expected) in [(0.0, 0), (1.0, 1)] {
        let picker = keeping().hot_quantile(quantile)?;
        answers(&picker, now, &[(1, 900), (50, 2), (2, 3)]);
        assert_eq!(pick_at(&picker, &backends(3), now, 1), Some(expected));
    }
    Ok(())
}

#[test]
fn a_pick_counts_as_a_request_in_flight_until_the_next_answer() {
    let (picker, now) = (keeping().hot_quantile(0.0).expect("valid"), start());
    let set = backends(2);
    // The slower loses when they tie.
    answers(&picker, now, &[(0, 9), (2, 1)]);
    let picks = |count: u64| -> Vec<_> {
        let picks = (0..count).map(|seed| pick_at(&picker, &set, now, seed));
        picks.flatten().collect()
    };
    assert_eq!(picks(6), [0, 0, 1, 0, 1, 0]);
    answer(&picker, set.handle(1), now + millis(1), report(3, 1));
    assert_eq!(picks(3), [1, 1, 0]);
}

#[test]
fn with_fewer_than_two_answers_any_is_picked_with_the_same_chance() {
    let now = start();
    for answered in [0, 1] {
        let make = || {
            let picker = keeping();
            answers(&picker, now, &[(0, 1), (0, 1)][..answered]);
            picker
        };
        for count in shares(make, &backends(3), now) {
            assert!((900..1_100).contains(&count), "{count} of 3,000");
        }
    }
}

#[test]
fn an_answer_of_a_backend_that_cannot_be_picked_is_passed_over() {
    let now = start();
    let set = backends(4);
    let mut masked = Masked::new(&set);
    masked.mask(0);
    let make = |answered: usize| {
        let picker = keeping();
        answers(&picker, now, &[(0, 1), (0, 2), (0, 3)][..answered]);
        picker
    };
    // Masked ranks: 1 is 0 there.
    assert_eq!(pick_at(&make(3), &masked, now, 1), Some(0));
    // The one that is left is fewer than two.
    let shares = shares(|| make(2), &masked, now);
    assert!(shares.iter().all(|&count| count > 900), "{shares:?}");
}

#[test]
fn a_weight_of_0_is_never_picked_whatever_it_answers() {
    let now = start();
    let set = [("a", 0), ("b", 1), ("c", 3), ("d", 0)];
    for answered in 0..=4 {
        let make = || {
            let picker = keeping();
            answers(&picker, now, &[(0, 1), (0, 2), (0, 3), (0, 0)][..answered]);
            picker
        };
        let shares = shares(make, &set, now);
        assert_eq!((shares[0], shares[3]), (0, 0));
        if answered < 3 {
            // By weight, where chance decides.
            assert!((650..850).contains(&shares[1]), "{shares:?}");
        } else {
            assert_eq!(shares[1], 3_000);
        }
    }
}

#[test]
fn an_answer_without_requests_in_flight_is_none_and_one_without_latency_is_the_fastest() {
    let (picker, now) = (keeping(), start());
    let set = backends(3);
    let only_latency = LoadReport::new().with_latency(millis(1));
    answer(&picker, set.handle(0), now, only_latency);
    answer(
        &picker,
        set.handle(1),
        now,
        LoadReport::new().with_in_flight(0),
    );
    answer(&picker, set.handle(2), now, report(0, 1));
    assert_eq!(pick_at(&picker, &set, now, 1), Some(1));
}

#[test]
fn reports_on_responses_count_only_where_they_are_wanted_and_without_their_own_request() {
    let now = start();
    let set = backends(2);
    let make = |use_reports| {
        let picker = keeping().hot_quantile(0.0).expect("valid");
        let picker = picker.use_reports(use_reports);
        for (slot, in_flight) in [(0, 3), (1, 4)] {
            let reported = Observation::new(now, Event::Reported(report(in_flight, 1)));
            Picker::<()>::observe(&picker, Handle::of_slot(slot), &reported);
        }
        picker
    };
    assert_eq!(shares(|| make(true), &set, now), [3_000, 0]);
    assert!(shares(|| make(false), &set, now)[1] > 1_000);

    // Of the 3 that the first has said one is over: a probe that finds 3 is more, 2 as few.
    for (in_flight, expected) in [(3, 0), (2, 1)] {
        let picker = make(true);
        answer(&picker, set.handle(1), now, report(in_flight, 0));
        assert_eq!(pick_at(&picker, &set, now, 1), Some(expected));
    }

    assert_eq!(Picker::<()>::needs(&make(true)), Needs::OBSERVATIONS);
    assert_eq!(Picker::<()>::needs(&make(false)), Needs::NOTHING);
}

/// Whom the picks with these seeds want to be probed.
fn probed(picker: &Prequal, set: &dyn BackendSet, seed: u64) -> Vec<usize> {
    let mut cx = Context::new().at(start()).seed(seed).with_probes();
    let prepared = Picker::<()>::prepare(picker, &Update::new(set, set));
    prepared.expect("it is prepared").pick(set, &(), &mut cx);
    cx.probes().map(Handle::slot).collect()
}

#[test]
fn each_pick_names_three_different_backends_evenly() {
    let (picker, set) = (Prequal::new(), backends(5));
    let mut counts = [0; 5];
    for seed in 0..5_000 {
        let mut named = probed(&picker, &set, seed);
        named.sort_unstable();
        named.dedup();
        assert_eq!(named.len(), 3);
        for slot in named {
            counts[slot] += 1;
        }
    }
    for count in counts {
        assert!((2_850..3_150).contains(&count), "{counts:?}");
    }
}

#[test]
fn a_rate_that_is_not_whole_is_right_on_average() {
    let picker = Prequal::new().probes_per_request(0.25).expect("valid");
    let named = (0..4_000).map(|seed| probed(&picker, &backends(5), seed).len());
    let named: usize = named.sum();
    assert!((900..1_100).contains(&named), "{named}");
}

#[test]
fn there_are_no_more_probes_than_backends_and_none_where_nobody_sends_them() {
    let picker = Prequal::new().probes_per_request(8.0).expect("valid");
    assert_eq!(probed(&picker, &backends(2), 1).len(), 2);
    assert_eq!(probed(&picker, &backends(9), 1).len(), 8);
    assert_eq!(probed(&picker, &backends(0), 1).len(), 0);
    let mut cx = Context::new().at(start());
    Picker::<()>::pick(&picker, &backends(9), &(), &mut cx);
    assert_eq!(cx.probes().count(), 0);
}

#[test]
fn a_request_that_is_picked_for_again_names_nobody_else() {
    let picker = Prequal::new();
    let mut cx = Context::new().at(start()).seed(1).with_probes();
    for _ in 0..3 {
        Picker::<()>::pick(&picker, &backends(9), &(), &mut cx);
    }
    assert_eq!(cx.probes().count(), 3);
}

#[test]
fn settings_that_make_no_sense_are_refused_with_their_value() {
    let new = Prequal::new;
    let errors = [
        new().probes_per_request(8.5),
        new().probes_per_request(-1.0),
        new().probes_per_request(f64::NAN),
        new().removals_per_request(9.0),
        new().pool_size(1),
        new().pool_size(65),
        new().max_age(millis(0)),
        new().hot_quantile(1.01),
        new().hot_quantile(f64::NAN),
        new().hot_window(0),
        new().hot_window(257),
        new().reuse_margin(-0.5),
        new().reuse_margin(f64::INFINITY),
    ];
    let told = errors.map(|error| error.expect_err("refused").to_string());
    assert_eq!(told[0], "invalid probes per request 8.5: expected 0 to 8");
    assert_eq!(
        told[6],
        "invalid age of an answer 0ns: expected more than 0"
    );
    assert!(new().pool_size(64).is_ok() && new().hot_window(256).is_ok());
}
