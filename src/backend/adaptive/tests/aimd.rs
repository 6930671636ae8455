use std::time::Duration;

use super::model::{MILLISECOND, Model};
use super::take;
use crate::backend::Outcome;
use crate::backend::adaptive::{Adaptive, AdaptiveLimit};

#[test]
fn a_limit_swings_from_the_knee_to_a_back_off_below_it() {
    for (slots, queue) in [(5, 0), (5, 10), (50, 0), (50, 10), (200, 10)] {
        let mut model = Model::new(AdaptiveLimit::aimd(), slots, 0);
        model.queue = queue;
        model.run(30_000);
        let mut limits = model.run(30_000);
        limits.sort_unstable();
        let knee = slots + queue;
        let (least, most) = (limits[0], limits[limits.len() - 1]);
        assert_eq!(most, knee + 1, "{slots} slots, {queue} in the queue");
        // Two back-offs can follow each other.
        let floor = f64::from(knee) * 0.8;
        assert!(f64::from(least) >= floor - 1.0, "{knee}: {least}");
        assert!(limits[limits.len() / 2] <= knee, "{knee}: {limits:?}");
    }
}

#[test]
fn a_limit_keeps_the_latency_that_was_asked_for() {
    // Twenty slots, and twice the service time: forty in flight.
    let limit = Duration::from_millis(20);
    let settings = AdaptiveLimit::aimd().latency_limit(limit);
    let mut model = Model::new(settings.expect("it is valid"), 20, 0);
    model.run(20_000);
    for limit in model.run(20_000) {
        assert!((32..=42).contains(&limit), "{limit}");
    }
}

#[test]
fn a_limit_follows_half_of_the_slots_and_recovers() {
    let mut model = Model::new(AdaptiveLimit::aimd(), 100, 0);
    model.queue = 0;
    model.run(30_000);
    for slots in [50, 100] {
        model.set_slots(slots);
        model.run(slots as usize * 100);
        for limit in model.run(10_000) {
            let floor = slots * 3 / 4;
            assert!(
                (floor..=slots + 1).contains(&limit),
                "{slots} slots: {limit}"
            );
        }
    }
}

#[test]
fn one_round_adds_one_and_latency_means_nothing_up_to_its_limit() {
    let settings = AdaptiveLimit::aimd().latency_limit(Duration::from_millis(7));
    let settings = settings.expect("it is valid");
    let adaptive = Adaptive::new(&settings);
    take(
        &adaptive,
        &settings,
        19,
        (7 * MILLISECOND, 20, Outcome::Success),
    );
    assert_eq!(adaptive.limit(), 20);
    take(&adaptive, &settings, 1, (0, 20, Outcome::Success));
    assert_eq!(adaptive.limit(), 21);
    take(
        &adaptive,
        &settings,
        1,
        (7 * MILLISECOND + 1, 20, Outcome::Success),
    );
    assert_eq!(adaptive.limit(), 18);
}

#[test]
fn a_round_has_ten_samples_at_least() {
    let settings = AdaptiveLimit::aimd().initial(3).expect("it is valid");
    let adaptive = Adaptive::new(&settings);
    take(&adaptive, &settings, 9, (0, 3, Outcome::Success));
    assert_eq!(adaptive.limit(), 3);
    take(&adaptive, &settings, 1, (0, 3, Outcome::Success));
    assert_eq!(adaptive.limit(), 4);
}
