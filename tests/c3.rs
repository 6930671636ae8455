//! What `C3` promises: the score, what it learns from requests and reports, and what it forgets.

use std::collections::HashMap;
use std::time::Duration;

use evenkeel::backend::{Completion, Event, Failure, Observation, Outcome};
use evenkeel::load::LoadReport;
use evenkeel::picker::{C3, Context, Picker, Selector};
use evenkeel::{Backend, InvalidSetting, Pool};
use tokio::time::{Instant, advance};

type Select = Selector<&'static str, ()>;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn selector(ids: &[&'static str], picker: C3) -> Select {
    let pool: Pool<_> = ids.iter().map(|&id| Backend::new(id, id)).collect();
    Selector::new(pool, picker).seed(1)
}

fn select(selector: &Select) -> (&'static str, Completion) {
    selector.select(&()).expect("some can be picked")
}

/// The next pick, whose request is cancelled at once: that says nothing of one that was measured.
fn next(selector: &Select) -> &'static str {
    let (picked, _cancelled) = select(selector);
    picked
}

/// Begins a request at this backend.
fn begin(selector: &Select, id: &str) -> Completion {
    let pool = selector.pool();
    let others: Vec<_> = pool
        .list()
        .iter()
        .map(|info| info.id().to_owned())
        .collect();
    let others = || others.iter().filter(|other| **other != id);
    pool.edit(|edit| others().for_each(|other| edit.drain(other)));
    let (picked, completion) = select(selector);
    assert_eq!(picked, id);
    pool.edit(|edit| others().for_each(|other| edit.undrain(other)));
    completion
}

/// One request at this backend from its beginning to its end.
async fn measure(selector: &Select, id: &str, took: u64, report: Option<LoadReport>) {
    let mut completion = begin(selector, id);
    advance(millis(took)).await;
    if let Some(report) = report {
        completion.report(report);
    }
    completion.head();
    completion.finish(Outcome::Success);
}

/// A report of so many requests in flight, the one that it comes with included.
fn queue(in_flight: u32) -> LoadReport {
    LoadReport::new().with_in_flight(in_flight)
}

#[tokio::test(start_paused = true)]
async fn the_faster_is_picked_until_the_cube_of_its_queue_outweighs_that() {
    let selector = selector(&["a", "b"], C3::new());
    measure(&selector, "a", 10, None).await;
    measure(&selector, "b", 25, None).await;
    // R − 1/µ is 0: what is left is q³ times 10 or 25.
    let mut in_flight = [0i32; 2];
    let mut held = Vec::new();
    for _ in 0..30 {
        let score = |at: usize| [10, 25][at] * (1 + in_flight[at]).pow(3);
        let expected = usize::from(score(1) < score(0));
        let (picked, completion) = select(&selector);
        assert_eq!(picked, ["a", "b"][expected], "with {in_flight:?} in flight");
        in_flight[expected] += 1;
        held.push(completion);
    }
    assert!(in_flight[1] > 10, "{in_flight:?}");
}

#[tokio::test(start_paused = true)]
async fn the_queue_that_a_backend_reports_counts_without_the_reports_own_request() {
    let selector = selector(&["a", "b"], C3::new());
    // 10 × (1 + 1)³ is 80 and 10 × (1 + 2)³ is 270.
    for (others, expected) in [(1, "a"), (2, "b")] {
        measure(&selector, "a", 10, Some(queue(1 + others))).await;
        measure(&selector, "a", 10, Some(queue(1 + others))).await;
        measure(&selector, "b", 100, Some(queue(1))).await;
        assert_eq!(next(&selector), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_time_is_the_reports_and_what_is_left_of_the_response_time_is_not_cubed() {
    let selector = selector(&["a", "b"], C3::new());
    let fast = queue(3).with_service_time(millis(2));
    // 50 − 2 + 27 × 2 = 102, against 30 × 27 = 810 without a service time, 120 with it.
    measure(&selector, "a", 50, Some(fast)).await;
    measure(&selector, "b", 120, None).await;
    assert_eq!(next(&selector), "a");
    measure(&selector, "b", 90, None).await;
    measure(&selector, "b", 90, None).await;
    assert_eq!(next(&selector), "b");
}

#[tokio::test(start_paused = true)]
async fn a_new_sample_counts_nine_tenths() {
    let selector = selector(&["a", "b"], C3::new());
    // 0.9 × 10 + 0.1 × 110 = 20.
    measure(&selector, "a", 110, None).await;
    measure(&selector, "a", 10, None).await;
    measure(&selector, "b", 21, None).await;
    assert_eq!(next(&selector), "a");
    // 0.9 × 19 + 0.1 × 21 = 19.2.
    measure(&selector, "b", 19, None).await;
    assert_eq!(next(&selector), "b");
}

#[tokio::test(start_paused = true)]
async fn answers_to_probes_count_as_reports_without_a_request() {
    let selector = selector(&["a", "b"], C3::new());
    measure(&selector, "a", 10, None).await;
    measure(&selector, "b", 30, None).await;
    assert_eq!(next(&selector), "a");
    // 10 × (1 + 1)³ = 80.
    let probed = Observation::new(Instant::now().into(), Event::Probed(queue(1)));
    let a = selector.pool().get("a").expect("a member").handle();
    selector.observe(a, &probed);
    assert_eq!(next(&selector), "b");
}

#[tokio::test(start_paused = true)]
async fn each_own_request_stands_for_one_of_every_client() -> Result<(), InvalidSetting> {
    for (clients, expected) in [(1, "a"), (2, "b")] {
        let selector = selector(&["a", "b"], C3::new().clients(clients)?);
        measure(&selector, "a", 10, None).await;
        measure(&selector, "b", 100, None).await;
        // 10 × 2³ = 80, and 10 × 3³ = 270.
        let _held = begin(&selector, "a");
        assert_eq!(next(&selector), expected);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn failing_or_giving_up_never_looks_fast() {
    for outcome in [
        Outcome::Failure(Failure::Other),
        Outcome::Rejected,
        Outcome::Cancelled,
    ] {
        let selector = selector(&["a", "b"], C3::new());
        measure(&selector, "a", 100, None).await;
        measure(&selector, "b", 90, None).await;
        for _ in 0..20 {
            begin(&selector, "a").finish(outcome);
        }
        assert_eq!(next(&selector), "b", "{outcome:?}");
        measure(&selector, "b", 999, None).await;
        measure(&selector, "b", 999, None).await;
        // A failure counts as a second.
        let failed = outcome != Outcome::Cancelled;
        assert_eq!(next(&selector) == "b", failed, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_never_answered_and_fails_at_once_does_not_draw_traffic() {
    let selector = selector(&["a", "b"], C3::new());
    measure(&selector, "a", 100, None).await;
    begin(&selector, "b").finish(Outcome::Failure(Failure::Connect));
    assert_eq!(next(&selector), "a");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_never_answered_and_cancelled_is_tried_again_with_one_request() {
    let selector = selector(&["a", "b"], C3::new());
    measure(&selector, "a", 100, None).await;
    drop(begin(&selector, "b"));
    let (picked, _trying) = select(&selector);
    assert_eq!(picked, "b");
    assert_eq!(next(&selector), "a");
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_in_no_time_is_not_flooded() {
    let selector = selector(&["a", "b"], C3::new());
    measure(&selector, "a", 1, None).await;
    measure(&selector, "b", 0, None).await;
    let held: Vec<_> = (0..200).map(|_| select(&selector)).collect();
    // 1 ms is 100³ ns.
    let a = held.iter().filter(|(picked, _)| *picked == "a").count();
    assert!((1..20).contains(&a), "{a}");
}

#[tokio::test(start_paused = true)]
async fn the_time_to_the_head_counts_and_without_a_head_that_to_the_end() {
    let selector = selector(&["a", "b"], C3::new());
    let mut long_stream = begin(&selector, "a");
    advance(millis(10)).await;
    long_stream.head();
    advance(millis(5_000)).await;
    long_stream.finish(Outcome::Success);
    let no_head = begin(&selector, "b");
    advance(millis(11)).await;
    no_head.finish(Outcome::Success);
    assert_eq!(next(&selector), "a");
    let no_head = begin(&selector, "b");
    advance(millis(8)).await;
    no_head.finish(Outcome::Success);
    assert_eq!(next(&selector), "b");
}

#[tokio::test(start_paused = true)]
async fn who_was_never_measured_or_not_lately_is_tried_with_one_request_at_a_time() {
    let selector = selector(&["a", "b"], C3::new());
    measure(&selector, "a", 10, None).await;
    let (picked, trying) = select(&selector);
    assert_eq!(picked, "b");
    let mut held = Vec::new();
    for _ in 0..50 {
        let (picked, completion) = select(&selector);
        assert_eq!(picked, "a");
        held.push(completion);
    }
    advance(millis(500)).await;
    trying.finish(Outcome::Success);

    let forgetful = C3::new().forget_after(millis(10_000)).expect("valid");
    let selector = self::selector(&["a", "b"], forgetful);
    measure(&selector, "b", 500, None).await;
    measure(&selector, "a", 10, None).await;
    advance(millis(9_000)).await;
    measure(&selector, "a", 10, None).await;
    assert_eq!(next(&selector), "a");
    // 10 s after its last response.
    advance(millis(990)).await;
    assert_eq!(next(&selector), "b");
}

#[tokio::test(start_paused = true)]
async fn those_that_tie_are_chosen_between_evenly() {
    let selector = selector(&["a", "b", "c", "d"], C3::new());
    for id in ["a", "b", "c", "d"] {
        let took = if id == "b" { 20 } else { 10 };
        measure(&selector, id, took, None).await;
    }
    let mut counts = HashMap::new();
    for _ in 0..3_000 {
        *counts.entry(next(&selector)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 3, "{counts:?}");
    assert!(
        counts.values().all(|count| (900..1_100).contains(count)),
        "{counts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_heavier_backend_may_be_slower() {
    for choices in [C3::new(), C3::with_choices(2).expect("valid")] {
        let selector = selector(&["a", "b"], choices);
        measure(&selector, "a", 10, None).await;
        measure(&selector, "b", 29, None).await;
        assert_eq!(next(&selector), "a");
        selector.pool().set_weight("b", 3);
        assert_eq!(next(&selector), "b");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_outlives_changes_of_the_set_but_not_a_membership() {
    let selector = selector(&["a", "b", "c"], C3::new());
    for (id, took) in [("a", 10), ("b", 20), ("c", 30)] {
        measure(&selector, id, took, None).await;
    }
    let pool = selector.pool();
    let mut begun_before = begin(&selector, "c");
    pool.remove("a");
    assert_eq!(next(&selector), "b");
    // It is told to the picker of before, and known to the one of now.
    advance(millis(1)).await;
    begun_before.head();
    begun_before.finish(Outcome::Success);
    assert_eq!(next(&selector), "c");
    // In the slot of the fastest, and never measured.
    pool.insert(Backend::new("d", "d"));
    let (picked, _trying) = select(&selector);
    assert_eq!(picked, "d");
    assert_eq!(next(&selector), "c");
}

#[tokio::test(start_paused = true)]
async fn some_are_compared_where_not_all_are() -> Result<(), InvalidSetting> {
    let ids = ["a", "b", "c", "d"];
    let selector = selector(&ids, C3::with_choices(2)?);
    for (id, took) in ids.into_iter().zip([10, 20, 30, 40]) {
        measure(&selector, id, took, None).await;
    }
    let mut counts = HashMap::new();
    for _ in 0..6_000 {
        *counts.entry(next(&selector)).or_insert(0) += 1;
    }
    // The best of two: 3, 2, 1 and none of the 6 pairs.
    for (id, expected) in [("a", 3_000), ("b", 2_000), ("c", 1_000)] {
        assert!(
            counts[id] - 150 < expected && expected < counts[id] + 150,
            "{counts:?}"
        );
    }
    assert_eq!(counts.get("d"), None);
    Ok(())
}

#[test]
fn before_it_was_prepared_it_goes_by_requests_in_flight() {
    let set = [("a", 0), ("b", 1)];
    let picked = C3::new().pick(&set, &(), &mut Context::new());
    assert_eq!(picked, Some(1));
    let none: [&str; 0] = [];
    assert_eq!(C3::new().pick(&none, &(), &mut Context::new()), None);
}

#[test]
fn settings_that_make_no_sense_are_refused_with_their_value() {
    let told = |refused: Result<C3, InvalidSetting>| refused.expect_err("refused").to_string();
    let clients = told(C3::new().clients(0));
    assert_eq!(clients, "invalid number of clients 0: expected at least 1");
    let choices = told(C3::with_choices(1));
    assert_eq!(choices, "invalid number of choices 1: expected 2 to 32");
    let forget = told(C3::new().forget_after(Duration::ZERO));
    assert_eq!(forget, "invalid time to forget 0ns: expected more than 0");
    assert!(C3::new().forget_after(Duration::MAX).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_service_time_beyond_all_measure_does_not_make_a_backend_the_best() {
    let selector = selector(&["a", "b"], C3::new());
    let for_ever = queue(1).with_service_time(std::time::Duration::MAX);
    measure(&selector, "a", 900, Some(for_ever)).await;
    let quick = queue(1).with_service_time(millis(1));
    measure(&selector, "b", 1, Some(quick)).await;
    for _ in 0..20 {
        assert_eq!(next(&selector), "b");
    }
}
