use std::time::Instant;

use super::*;
use crate::load::LoadReport;
use crate::set::Masked;

/// A prepared picker and its set, in virtual time.
struct World {
    picker: Arc<dyn Picker<()>>,
    set: Vec<&'static str>,
    start: Instant,
}

impl World {
    fn new(picker: &ReportedWeightedRoundRobin, set: &[&'static str]) -> Self {
        let set = set.to_vec();
        Self {
            picker: picker.prepare(&Update::new(&set, &set)).unwrap(),
            set,
            start: Instant::now(),
        }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }

    fn report(&self, slot: usize, seconds: f64, (qps, eps, utilization): (f64, f64, f64)) {
        let report = LoadReport::new()
            .with_requests_per_second(qps)
            .with_errors_per_second(eps)
            .with_cpu_utilization(utilization);
        self.observe(slot, seconds, Event::Reported(report));
    }

    fn observe(&self, slot: usize, seconds: f64, event: Event) {
        let observation = Observation::new(self.at(seconds), event);
        self.picker.observe(Handle::of_slot(slot), &observation);
    }

    fn picks(&self, picks: usize, seconds: f64) -> Vec<usize> {
        let mut counts = vec![0; self.set.len()];
        for _ in 0..picks {
            let mut cx = Context::new().at(self.at(seconds)).seed(7);
            counts[self.picker.pick(&self.set, &(), &mut cx).unwrap()] += 1;
        }
        counts
    }
}

fn at_once() -> ReportedWeightedRoundRobin {
    ReportedWeightedRoundRobin::starting_at(0).blackout_period(Duration::ZERO)
}

fn close(counts: &[usize], expected: &[usize]) {
    let off = counts.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
    assert!(off.max() <= Some(2), "{counts:?}, not {expected:?}");
}

#[test]
fn without_reports_it_is_round_robin() {
    let world = World::new(
        &ReportedWeightedRoundRobin::starting_at(0),
        &["a", "b", "c"],
    );
    assert_eq!(world.picks(300, 0.0), [100, 100, 100]);
}

#[test]
fn with_one_report_it_is_round_robin_still() {
    let world = World::new(&at_once(), &["a", "b", "c"]);
    world.report(0, 0.0, (100.0, 0.0, 0.1));
    assert_eq!(world.picks(300, 0.0), [100, 100, 100]);
}

#[test]
fn shares_are_those_of_the_reported_weights_after_the_blackout_and_within_a_period() {
    let picker = ReportedWeightedRoundRobin::starting_at(0);
    let world = World::new(&picker, &["a", "b", "c"]);
    for second in 0..20 {
        // 200, 400, and 200 by its errors.
        world.report(0, f64::from(second), (100.0, 0.0, 0.5));
        world.report(1, f64::from(second), (100.0, 0.0, 0.25));
        world.report(2, f64::from(second), (100.0, 25.0, 0.25));
        let time = f64::from(second) + 0.5;
        let expected = if second < 10 {
            [1_000, 1_000, 1_000]
        } else {
            [750, 1_500, 750]
        };
        close(&world.picks(3_000, time), &expected);
    }
}

#[test]
fn the_unknown_get_the_mean_of_the_others() {
    let world = World::new(&at_once(), &["a", "b", "c"]);
    world.report(0, 0.0, (100.0, 0.0, 1.0));
    world.report(1, 0.0, (300.0, 0.0, 1.0));
    close(&world.picks(6_000, 0.0), &[1_000, 3_000, 2_000]);
}

#[test]
fn weights_expire_and_then_have_a_blackout_again() {
    let picker = ReportedWeightedRoundRobin::starting_at(0);
    let world = World::new(&picker, &["a", "b"]);
    let report_both = |time| {
        world.report(0, time, (100.0, 0.0, 0.25));
        world.report(1, time, (100.0, 0.0, 0.75));
    };
    report_both(0.0);
    close(&world.picks(400, 9.9), &[200, 200]);
    close(&world.picks(400, 11.0), &[300, 100]);
    close(&world.picks(400, 179.9), &[300, 100]);
    close(&world.picks(400, 181.0), &[200, 200]);
    report_both(200.0);
    close(&world.picks(400, 209.0), &[200, 200]);
    close(&world.picks(400, 210.1), &[300, 100]);
}

#[test]
fn shares_follow_once_in_a_period() {
    let world = World::new(&at_once(), &["a", "b"]);
    close(&world.picks(400, 0.0), &[200, 200]);
    world.report(0, 0.1, (100.0, 0.0, 0.25));
    world.report(1, 0.1, (100.0, 0.0, 0.75));
    close(&world.picks(400, 0.99), &[200, 200]);
    close(&world.picks(400, 1.0), &[300, 100]);
    // With one of less than the default.
    let often = at_once().weight_update_period(LEAST_UPDATE).unwrap();
    let world = World::new(&often, &["a", "b"]);
    close(&world.picks(400, 0.0), &[200, 200]);
    world.report(0, 0.01, (100.0, 0.0, 0.25));
    world.report(1, 0.01, (100.0, 0.0, 0.75));
    close(&world.picks(400, 0.11), &[300, 100]);
}

#[test]
fn answers_to_probes_count_as_well() {
    let world = World::new(&at_once(), &["a", "b"]);
    for (slot, utilization) in [(0, 0.25), (1, 0.75)] {
        let report = LoadReport::new().with_requests_per_second(10.0);
        let report = report.with_application_utilization(utilization);
        world.observe(slot, 0.0, Event::Probed(report));
    }
    close(&world.picks(400, 0.0), &[300, 100]);
}

#[test]
fn reports_that_give_no_weight_change_nothing() {
    let world = World::new(&at_once(), &["a", "b"]);
    world.report(0, 0.0, (100.0, 0.0, 0.25));
    world.report(1, 0.0, (100.0, 0.0, 0.75));
    world.report(0, 0.0, (0.0, 0.0, 0.75));
    world.report(0, 0.0, (100.0, 0.0, 0.0));
    world.observe(0, 0.0, Event::Reported(LoadReport::new().with_in_flight(7)));
    close(&world.picks(400, 0.0), &[300, 100]);
}

#[test]
fn a_change_of_the_set_keeps_what_was_reported() {
    use crate::backend::Backend;
    use crate::picker::Selector;
    use crate::set::Pool;

    let pool = Pool::from(["a", "b"].map(|id| Backend::new(id, ())));
    let selector = Selector::new(pool.clone(), at_once());
    let now = Instant::now();
    let picks = |selector: &Selector<(), ()>| {
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..600 {
            let mut cx = Context::new().at(now);
            let ((), completion) = selector.select_with(&(), &mut cx).unwrap();
            *counts.entry(completion.backend().to_owned()).or_insert(0) += 1;
        }
        counts.into_values().collect::<Vec<usize>>()
    };
    for _ in 0..2 {
        let ((), mut completion) = selector.select(&()).unwrap();
        let utilization = if completion.backend() == "a" {
            0.2
        } else {
            0.1
        };
        let report = LoadReport::new().with_requests_per_second(10.0);
        completion.report(report.with_cpu_utilization(utilization));
    }
    pool.set_weight("a", 7);
    close(&picks(&selector), &[200, 400]);
    // Unknown, and so of the mean weight: 1.5 of 4.5.
    pool.insert(Backend::new("c", ()));
    close(&picks(&selector), &[133, 267, 200]);
    // One known weight is not enough.
    pool.edit(|edit| {
        edit.remove("c");
        edit.remove("b");
        edit.insert(Backend::new("d", ()));
    });
    close(&picks(&selector), &[300, 300]);
}

#[test]
fn a_masked_backends_turns_go_to_the_others() {
    let world = World::new(&at_once(), &["a", "b", "c"]);
    for slot in 0..3 {
        world.report(slot, 0.0, (100.0, 0.0, 0.5));
    }
    let mut masked = Masked::new(&world.set);
    masked.mask(1);
    let mut counts = [0; 2];
    for _ in 0..300 {
        let mut cx = Context::new().at(world.start).with_attempt(1);
        counts[world.picker.pick(&masked, &(), &mut cx).unwrap()] += 1;
    }
    close(&counts, &[150, 150]);
}

#[test]
fn of_very_many_masked_ones_the_one_that_is_left_is_found_before_long() {
    let ids = vec!["twin"; 1_000];
    let picker = at_once();
    let turns = Arc::clone(&picker.turns);
    let world = World::new(&picker, &ids);
    let mut masked = Masked::new(&world.set);
    for rank in 0..999 {
        masked.mask_original(rank);
    }
    for seed in 0..100 {
        let mut cx = Context::new().at(world.start).seed(seed);
        assert_eq!(world.picker.pick(&masked, &(), &mut cx), Some(0));
    }
    assert!(turns.load(Ordering::Relaxed) <= 100 * 17);
}

/// Backends that have these handles.
struct Members(Vec<Handle>);

impl BackendSet for Members {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn id(&self, _rank: usize) -> &'static str {
        "twin"
    }

    fn handle(&self, rank: usize) -> Handle {
        self.0[rank]
    }

    fn rank_of(&self, slot: usize) -> Option<usize> {
        self.0.iter().position(|handle| handle.slot() == slot)
    }
}

#[test]
fn whoever_comes_to_a_slot_inherits_nothing_and_hears_nothing_of_the_one_before() {
    // Slots are not places, and not in order.
    let before = Members([7, 900, 2].map(Handle::unique).to_vec());
    let after = Members(vec![before.0[0], Handle::unique(900), before.0[2]]);
    let start = Instant::now();
    let report = |picker: &Arc<dyn Picker<()>>, handle: Handle, utilization: f64| {
        let report = LoadReport::new().with_requests_per_second(100.0);
        let report = report.with_cpu_utilization(utilization);
        picker.observe(handle, &Observation::new(start, Event::Reported(report)));
    };
    let picks = |picker: &Arc<dyn Picker<()>>, set: &Members| {
        let mut counts = vec![0; set.len()];
        for _ in 0..600 {
            let mut cx = Context::new().at(start).seed(7);
            counts[picker.pick(set, &(), &mut cx).unwrap()] += 1;
        }
        counts
    };
    let picker: Arc<dyn Picker<()>> = at_once().prepare(&Update::new(&before, &before)).unwrap();
    for (&handle, utilization) in before.0.iter().zip([1.0, 0.25, 1.0]) {
        report(&picker, handle, utilization);
    }
    close(&picks(&picker, &before), &[100, 400, 100]);
    let picker = picker.prepare(&Update::new(&after, &after)).unwrap();
    report(&picker, before.0[1], 0.1);
    // The mean of the others.
    close(&picks(&picker, &after), &[200, 200, 200]);
}

#[test]
fn bad_settings_are_refused() {
    let new = ReportedWeightedRoundRobin::new;
    let text = |error: InvalidSetting| error.to_string();
    assert_eq!(
        new()
            .weight_update_period(Duration::from_millis(99))
            .map_err(text)
            .unwrap_err(),
        "invalid weight update period 99ms: expected 100 ms or more"
    );
    assert_eq!(
        new()
            .weight_expiration_period(Duration::ZERO)
            .map_err(text)
            .unwrap_err(),
        "invalid weight expiration period 0ns: expected more than 0"
    );
    for penalty in [-1.0, f64::NAN, f64::INFINITY] {
        let error = new().error_utilization_penalty(penalty).map_err(text);
        let expected =
            format!("invalid error utilization penalty {penalty}: expected a number from 0");
        assert_eq!(error.unwrap_err(), expected);
    }
}

#[test]
fn errors_count_as_the_penalty_says() {
    let none = at_once().error_utilization_penalty(0.0).unwrap();
    let world = World::new(&none, &["a", "b"]);
    world.report(0, 0.0, (100.0, 100.0, 0.5));
    world.report(1, 0.0, (100.0, 0.0, 0.5));
    close(&world.picks(400, 0.0), &[200, 200]);
    let world = World::new(&at_once(), &["a", "b"]);
    world.report(0, 0.0, (100.0, 100.0, 0.5));
    world.report(1, 0.0, (100.0, 0.0, 0.5));
    close(&world.picks(400, 0.0), &[100, 300]);
}
