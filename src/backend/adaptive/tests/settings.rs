use std::time::Duration;

use super::model::{MILLISECOND, Model};
use super::{LAWS, take};
use crate::backend::Outcome;
use crate::backend::adaptive::{Adaptive, AdaptiveLimit};

#[test]
fn bad_settings_are_refused() {
    for settings in LAWS {
        for (min, max) in [(0, 5), (6, 5), (1, 10_001), (10_001, 10_001)] {
            assert!(settings.bounds(min, max).is_err(), "{min} to {max}");
        }
        for initial in [0, 10_001, u32::MAX] {
            assert!(settings.initial(initial).is_err(), "{initial}");
        }
        for backoff in [f64::NAN, 0.0, 0.49, 1.0, 2.0, f64::INFINITY] {
            assert!(settings.backoff(backoff).is_err(), "{backoff}");
        }
    }
    let gradient = AdaptiveLimit::gradient();
    for tolerance in [f64::NAN, -1.0, 1.0, 4.1, f64::INFINITY] {
        assert!(gradient.tolerance(tolerance).is_err(), "{tolerance}");
    }
    for smoothing in [f64::NAN, -1.0, 0.0, 1.1] {
        assert!(gradient.smoothing(smoothing).is_err(), "{smoothing}");
    }
    let aimd = AdaptiveLimit::aimd();
    for limit in [Duration::ZERO, Duration::from_secs(86_401), Duration::MAX] {
        assert!(aimd.latency_limit(limit).is_err(), "{limit:?}");
    }
}

#[test]
fn what_the_other_law_asks_for_is_refused() {
    let error = AdaptiveLimit::aimd().tolerance(2.0).unwrap_err();
    let expected = "invalid latency tolerance 2: expected a limit by gradient";
    assert_eq!(error.to_string(), expected);
    assert!(AdaptiveLimit::aimd().smoothing(0.5).is_err());
    let limit = Duration::from_secs(1);
    assert!(AdaptiveLimit::gradient().latency_limit(limit).is_err());
}

#[test]
fn a_limit_begins_at_the_initial_one_within_its_bounds() {
    for settings in LAWS {
        assert_eq!(Adaptive::new(&settings).limit(), 20);
        for (min, max, expected) in [(1, 10_000, 20), (1, 10, 10), (30, 40, 30), (7, 7, 7)] {
            let settings = settings.bounds(min, max).expect("they are valid");
            assert_eq!(Adaptive::new(&settings).limit(), expected);
        }
    }
}

#[test]
fn new_settings_keep_what_was_learnt_within_their_bounds() {
    let mut model = Model::new(AdaptiveLimit::gradient(), 50, 0);
    model.run(20_000);
    let learnt = model.adaptive.state().limit;
    model.adaptive.bound(&AdaptiveLimit::gradient());
    assert_eq!(model.adaptive.state().limit, learnt);
    let small = AdaptiveLimit::gradient().bounds(1, 30).expect("valid");
    model.adaptive.bound(&small);
    assert_eq!(model.adaptive.limit(), 30);
    let large = AdaptiveLimit::aimd().bounds(200, 300).expect("valid");
    take(
        &model.adaptive,
        &large,
        1,
        (MILLISECOND, 30, Outcome::Success),
    );
    assert_eq!(model.adaptive.limit(), 200);
}

#[test]
fn another_law_takes_over_in_the_middle_of_a_measurement() {
    let mut model = Model::new(AdaptiveLimit::gradient(), 50, 0);
    model.run(5000);
    let measures = (0..5000).any(|_| model.run(1)[0] < 30);
    assert!(measures, "{:?}", model.adaptive);
    model.adaptive.bound(&AdaptiveLimit::aimd());
    assert!(model.adaptive.limit() > 75);
    model.settings = AdaptiveLimit::aimd();
    model.queue = 0;
    model.run(20_000);
    model.settings = AdaptiveLimit::gradient();
    let limits = model.run(5000);
    assert!(limits.iter().all(|limit| *limit >= 10), "{limits:?}");
}
