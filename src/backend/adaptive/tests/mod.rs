mod aimd;
mod gradient;
mod model;
mod settings;
mod word;

use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use self::model::{MILLISECOND, OTHERS, OVERLOADS};
use super::word::ONE;
use super::{Adaptive, AdaptiveLimit};
use crate::backend::Outcome;

const LAWS: [AdaptiveLimit; 2] = [AdaptiveLimit::gradient(), AdaptiveLimit::aimd()];

/// Takes so many equal samples in.
fn take(adaptive: &Adaptive, settings: &AdaptiveLimit, samples: u32, sample: (u64, u32, Outcome)) {
    let (latency, in_flight, outcome) = sample;
    for _ in 0..samples {
        adaptive.sample(settings, latency, in_flight, outcome);
    }
}

#[test]
fn a_limit_grows_from_half_of_it_in_flight_on_and_not_below() {
    for settings in LAWS {
        let adaptive = Adaptive::new(&settings);
        take(
            &adaptive,
            &settings,
            1000,
            (MILLISECOND, 9, Outcome::Success),
        );
        assert_eq!(adaptive.limit(), 20, "{settings:?}");
        take(
            &adaptive,
            &settings,
            1000,
            (MILLISECOND, 10, Outcome::Success),
        );
        // One that is larger than twice what is in flight is not raised any more.
        let raised = adaptive.state().limit;
        assert!(20 * ONE < raised && raised <= 21 * ONE, "{settings:?}");
        take(
            &adaptive,
            &settings,
            1000,
            (MILLISECOND, 20, Outcome::Success),
        );
        assert!((39..=41).contains(&adaptive.limit()), "{adaptive:?}");
    }
}

#[test]
fn overloads_lower_a_limit_once_a_round_and_down_to_the_least() {
    for settings in LAWS {
        for outcome in OVERLOADS {
            let adaptive = Adaptive::new(&settings);
            let overload = (MILLISECOND, 20, outcome);
            take(&adaptive, &settings, 1, overload);
            assert_eq!(adaptive.limit(), 18, "{settings:?} {outcome:?}");
            // All the twenty that were in flight.
            take(&adaptive, &settings, 19, overload);
            assert_eq!(adaptive.limit(), 18, "{settings:?} {outcome:?}");
            take(&adaptive, &settings, 2, overload);
            assert_eq!(adaptive.limit(), 16, "{settings:?} {outcome:?}");
            take(&adaptive, &settings, 1000, overload);
            assert_eq!(adaptive.limit(), 3, "{settings:?} {outcome:?}");
        }
    }
}

#[test]
fn successes_that_were_in_flight_with_an_overload_do_not_raise_a_limit() {
    for settings in LAWS {
        let adaptive = Adaptive::new(&settings);
        take(&adaptive, &settings, 1, (0, 20, Outcome::Rejected));
        take(&adaptive, &settings, 20, (0, 20, Outcome::Success));
        assert_eq!(adaptive.state().limit, 18 * ONE, "{settings:?}");
        take(&adaptive, &settings, 36, (0, 18, Outcome::Success));
        assert!(adaptive.state().limit > 18 * ONE, "{settings:?}");
    }
}

#[test]
fn the_longest_round_ends() {
    for settings in LAWS {
        let settings = settings.bounds(10_000, 10_000).expect("valid");
        let settings = settings.backoff(0.5).expect("valid");
        let adaptive = Adaptive::new(&settings);
        take(&adaptive, &settings, 1, (0, 1 << 28, Outcome::Rejected));
        for _ in 0..50_000 {
            take(&adaptive, &settings, 1, (0, 1 << 28, Outcome::Success));
            assert_eq!(adaptive.state().limit, 10_000 * ONE);
        }
        assert!(!adaptive.state().held, "{settings:?}");
    }
}

#[test]
fn any_number_in_flight_that_is_more_than_half_of_a_limit_is_enough() {
    for settings in LAWS {
        for in_flight in [1 << 28, u32::MAX] {
            let adaptive = Adaptive::new(&settings);
            take(&adaptive, &settings, 60, (0, in_flight, Outcome::Success));
            assert!(adaptive.state().limit > 20 * ONE, "{settings:?}");
        }
    }
}

#[test]
fn the_mildest_back_off_gets_to_the_least_too() {
    for settings in LAWS {
        let settings = settings.backoff(0.99).expect("it is valid");
        let adaptive = Adaptive::new(&settings);
        take(&adaptive, &settings, 10_000, (0, 20, Outcome::Rejected));
        assert_eq!(adaptive.limit(), 3, "{settings:?}");
    }
}

#[test]
fn other_failures_and_cancelled_requests_change_nothing() {
    for settings in LAWS {
        let adaptive = Adaptive::new(&settings);
        take(
            &adaptive,
            &settings,
            55,
            (MILLISECOND, 20, Outcome::Success),
        );
        let before = format!("{adaptive:?}");
        for outcome in OTHERS {
            take(&adaptive, &settings, 1000, (0, 20, outcome));
            assert_eq!(format!("{adaptive:?}"), before, "{outcome:?}");
        }
    }
}

#[test]
fn samples_from_many_threads_keep_the_bounds_and_none_is_lost() {
    const EACH: u32 = 20_000;
    let settings = AdaptiveLimit::aimd().bounds(5, 1000).expect("valid");
    let adaptive = Adaptive::new(&settings);
    let other = AdaptiveLimit::gradient().bounds(5, 60).expect("valid");
    let mixed = Adaptive::new(&other);
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for seed in 0..4 {
            let (adaptive, mixed, barrier) = (&adaptive, &mixed, &barrier);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                barrier.wait();
                for _ in 0..EACH {
                    adaptive.sample(&settings, 0, u32::MAX, Outcome::Success);
                    let outcome = [Outcome::Success, Outcome::Rejected][random.usize(..2)];
                    mixed.sample(&other, random.u64(..), random.u32(..), outcome);
                    assert!((5..=60).contains(&mixed.limit()), "seed {seed}: {mixed:?}");
                }
            });
        }
    });
    // It is n after 20 + 21 + … + (n - 1) samples.
    let (mut left, mut expected) = (4 * EACH, 20);
    while left >= expected {
        left -= expected;
        expected += 1;
    }
    assert_eq!(adaptive.limit(), expected);
}

fn settings() -> impl Strategy<Value = AdaptiveLimit> {
    let bound = || prop_oneof![1u32..12, 1u32..=10_000];
    let common = (bound(), bound(), bound(), 0.5..=0.99);
    (common, any::<bool>(), 1.1..=4.0, 0.05..=1.0, any::<u32>()).prop_map(
        |((a, b, initial, backoff), gradient, tolerance, smoothing, limit)| {
            let settings = if gradient {
                let settings = AdaptiveLimit::gradient().tolerance(tolerance);
                settings.and_then(|settings| settings.smoothing(smoothing))
            } else {
                let limit = std::time::Duration::from_nanos(u64::from(limit) + 1);
                AdaptiveLimit::aimd().latency_limit(limit)
            };
            let settings = settings.and_then(|settings| settings.backoff(backoff));
            let settings = settings.and_then(|settings| settings.bounds(a.min(b), a.max(b)));
            let settings = settings.and_then(|settings| settings.initial(initial));
            settings.expect("all of it is valid")
        },
    )
}

/// Latency, in flight, outcome, and how often.
fn samples() -> impl Strategy<Value = (u64, u32, Outcome, u32)> {
    let latency = prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 0..10 * MILLISECOND];
    let in_flight = prop_oneof![Just(0), Just(u32::MAX), any::<u32>(), 0u32..50];
    let outcomes: Vec<_> = OVERLOADS.into_iter().chain(OTHERS).collect();
    let outcome = prop_oneof![3 => Just(Outcome::Success), 1 => prop::sample::select(outcomes)];
    (latency, in_flight, outcome, 1u32..300)
}

proptest! {
    #[test]
    fn no_sample_and_no_change_of_settings_leads_out_of_the_bounds(
        parts in prop::collection::vec((settings(), prop::collection::vec(samples(), 0..20)), 1..6),
    ) {
        let adaptive = Adaptive::new(&parts[0].0);
        for (settings, samples) in &parts {
            let bounds = settings.min..=settings.max;
            adaptive.bound(settings);
            prop_assert!(bounds.contains(&adaptive.limit()), "{adaptive:?}");
            for &(latency, in_flight, outcome, times) in samples {
                for _ in 0..times {
                    let before = adaptive.state();
                    adaptive.sample(settings, latency, in_flight, outcome);
                    prop_assert!(bounds.contains(&adaptive.limit()), "{adaptive:?}");
                    let success = outcome == Outcome::Success;
                    prop_assert!(success || adaptive.state().limit <= before.limit || before.held);
                    prop_assert!(adaptive.state().long.get().is_none_or(f32::is_normal));
                }
            }
        }
    }
}
