use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_secs(10);

fn budget(share: f64, per_second: f64, start: Instant) -> Budget {
    let settings = Settings {
        share,
        per_second,
        window: WINDOW,
    };
    Budget::starting(settings, start)
}

/// How many can be withdrawn.
fn withdraw_all(budget: &Budget, now: Instant) -> usize {
    let mut withdrawn = 0;
    while budget.withdraw_at(now) {
        withdrawn += 1;
    }
    withdrawn
}

#[test]
fn bad_settings_are_refused() {
    for share in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
        let error = Budget::new().share(share).unwrap_err();
        let expected = "expected 0 to 100 (1 is one for each request)";
        let message = format!("invalid retry share {share}: {expected}");
        assert_eq!(error.to_string(), message);
    }
    for per_second in [-0.1, 1.1e9, f64::NAN, f64::INFINITY] {
        assert!(Budget::new().per_second(per_second).is_err());
    }
    for window in [
        Duration::ZERO,
        Duration::from_millis(999),
        Duration::from_secs(3601),
        Duration::MAX,
    ] {
        assert!(Budget::new().window(window).is_err());
    }
    let error = Budget::new().window(Duration::ZERO).unwrap_err();
    let message = "invalid retry window 0ns: expected 1 second to 1 hour";
    assert_eq!(error.to_string(), message);
}

#[test]
fn clones_are_one_budget_and_a_setting_makes_another() {
    let budget = Budget::new().share(1.0).and_then(|b| b.per_second(0.0));
    let budget = budget.expect("valid");
    let clone = budget.clone();
    clone.deposit();
    let other = budget.clone().share(1.0).expect("valid");
    assert!(!other.withdraw());
    assert!(budget.withdraw());
    assert!(!clone.withdraw());
}

#[test]
fn it_is_a_budget_for_towers_policies() {
    let budget = Budget::new().share(1.0).and_then(|b| b.per_second(0.0));
    let budget: Box<dyn tower::retry::budget::Budget> = Box::new(budget.expect("valid"));
    budget.deposit();
    assert!(budget.withdraw());
    assert!(!budget.withdraw());
}

#[tokio::test(start_paused = true)]
async fn by_default_it_is_a_fifth_of_the_requests_and_ten_a_second() {
    let budget = Budget::new();
    assert_eq!(withdraw_all(&budget, now()), 100);
    for _ in 0..1_000 {
        budget.deposit();
    }
    assert_eq!(withdraw_all(&budget, now()), 200);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(withdraw_all(&budget, now()), 10);
}

#[test]
fn any_share_is_exact_over_a_million_requests() {
    let now = Instant::now();
    for share in [0.6, 1.0 / 3.0, 0.001, 0.2, 0.999_999, 1.5, 100.0, 1e-7, 0.0] {
        let budget = budget(share, 0.0, now);
        let mut withdrawn = 0u64;
        for request in 1..=1_000_000u64 {
            budget.deposit_at(now);
            while budget.withdraw_at(now) {
                withdrawn += 1;
            }
            let exact = share * request as f64;
            // The share is rounded up to a multiple of 2^-32.
            let most = exact + request as f64 / ONE as f64;
            let allowed = exact.floor() as u64..=most.floor() as u64;
            assert!(
                allowed.contains(&withdrawn),
                "{withdrawn} for {share} of {request}"
            );
        }
    }
}

#[test]
fn after_a_window_without_requests_the_floor_is_all_there_is() {
    let now = Instant::now();
    let budget = budget(0.2, 3.0, now);
    for _ in 0..1_000 {
        budget.deposit_at(now);
    }
    assert!((budget.available_at(now) - 230.0).abs() < 1e-3);
    let almost = now + WINDOW.mul_f64(0.89);
    assert!((budget.available_at(almost) - 230.0).abs() < 1e-3);
    assert!((budget.available_at(now + WINDOW) - 30.0).abs() < 1e-3);
    assert_eq!(withdraw_all(&budget, now + WINDOW), 30);
}

#[test]
fn the_floor_is_whole_as_long_as_the_requests_pay_for_the_retries() {
    let start = Instant::now();
    let budget = budget(0.2, 10.0, start);
    let mut now = start;
    for request in 0..10_000 {
        now += Duration::from_millis(10);
        budget.deposit_at(now);
        // 15 a second: more than the floor, and less than the share.
        if request % 100 < 15 && request > 100 {
            assert!(budget.withdraw_at(now));
        }
    }
    // All of it, and nine tenths of a window's share.
    let available = budget.available_at(now);
    assert!(available >= 100.0 + 180.0, "{available}");
}

#[test]
fn a_clock_that_jumps_a_year_and_back_gives_no_more_than_the_floor() {
    let now = Instant::now();
    let budget = budget(1.0, 1.0, now);
    budget.deposit_at(now);
    let year = now + Duration::from_secs(365 * 24 * 3600);
    assert_eq!(withdraw_all(&budget, year), 10);
    for now in [now, year] {
        budget.deposit_at(now);
        assert_eq!(withdraw_all(&budget, now), 1);
    }
    let before = now.checked_sub(Duration::from_secs(1)).unwrap_or(now);
    assert_eq!(withdraw_all(&budget, before), 0);
}

/// What all threads withdraw together, each of which begins when all are there.
fn by_threads(withdraw: impl Fn() -> usize + Sync) -> usize {
    let all_there = Barrier::new(THREADS);
    thread::scope(|scope| {
        let threads = [(); THREADS].map(|()| {
            scope.spawn(|| {
                all_there.wait();
                withdraw()
            })
        });
        let withdrawn = threads.map(|thread| thread.join().expect("no panic"));
        withdrawn.into_iter().sum()
    })
}

const THREADS: usize = 4;

#[test]
fn threads_that_withdraw_at_once_get_each_token_once() {
    let now = Instant::now();
    let of_requests = budget(100.0, 0.0, now);
    (0..10_000).for_each(|_| of_requests.deposit_at(now));
    for budget in [of_requests, budget(0.0, 100_000.0, now)] {
        let withdrawn = by_threads(|| withdraw_all(&budget, now));
        assert_eq!(withdrawn, 1_000_000, "{budget:?}");
    }
}

#[test]
fn threads_with_all_kinds_of_calls_get_the_bound_exactly() {
    const EACH: usize = 100_000;
    let start = Instant::now();
    let budget = budget(0.3, 5.0, start);
    let withdrawn = by_threads(|| {
        let requests = 0..EACH;
        requests
            .filter(|&request| {
                let now = start + Duration::from_micros(50) * request as u32;
                budget.deposit_at(now);
                budget.withdraw_at(now)
            })
            .count()
    });
    // 5 s went by, and 10 s count as gone by at the start; nothing expires within that.
    let end = start + Duration::from_secs(5);
    let withdrawn = withdrawn + withdraw_all(&budget, end);
    assert_eq!(withdrawn, THREADS * EACH * 3 / 10 + 5 * 15);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Requests(u16),
    Retries(u16),
    Milliseconds(u16),
    /// Another thread, whose clock is behind by so much.
    Behind(u16),
    Pause(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u16..100).prop_map(Step::Requests),
        4 => (0u16..50).prop_map(Step::Retries),
        4 => (0u16..3_000).prop_map(Step::Milliseconds),
        1 => (0u16..3_000).prop_map(Step::Behind),
        1 => (0u32..40_000).prop_map(Step::Pause),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn no_load_gets_more_than_the_bound_in_any_part_of_its_time(
        share in prop_oneof![Just(0.0), 0.0..2.0, Just(100.0)],
        per_second in prop_oneof![Just(0.0), 0.0..1.0, 0.0..50.0],
        steps in steps(),
    ) {
        let start = Instant::now();
        let budget = budget(share, per_second, start);
        let mut now = start;
        // When, how many requests, how many withdrawals.
        let mut log = vec![(start, 0, 0)];
        let behind = steps.iter().any(|step| matches!(step, Step::Behind(_)));
        for step in steps {
            match step {
                Step::Requests(requests) => {
                    (0..requests).for_each(|_| budget.deposit_at(now));
                    log.push((now, requests.into(), 0));
                }
                Step::Retries(retries) => {
                    let withdrawn = (0..retries).filter(|_| budget.withdraw_at(now)).count();
                    log.push((now, 0, withdrawn as u64));
                }
                Step::Milliseconds(wait) => now += Duration::from_millis(wait.into()),
                Step::Pause(wait) => now += Duration::from_millis(wait.into()),
                Step::Behind(behind) => {
                    let behind = start + (now - start).saturating_sub(Duration::from_millis(behind.into()));
                    budget.deposit_at(behind);
                    let withdrawn = u64::from(budget.withdraw_at(behind));
                    log.push((now, 1, withdrawn));
                }
            }
            let most = share * 100.0 * 200.0 + per_second.mul_add(10.0, 1.0);
            prop_assert!((0.0..=most).contains(&budget.available_at(now)));
        }
        // By a clock that is behind, when was it? In all of the time, certainly.
        let parts = if behind { 1 } else { log.len() };
        for (first, &(from, ..)) in log[..parts].iter().enumerate() {
            let mut withdrawn = 0;
            let before = log[..first].iter().filter(|&&(at, ..)| at + WINDOW >= from);
            let mut requests: u64 = before.map(|&(_, requests, _)| requests).sum();
            for &(until, requested, taken) in &log[first..] {
                requests += requested;
                withdrawn += taken;
                let time = (until - from + WINDOW).as_secs_f64();
                // One that takes longer than a window to come may have been waiting.
                let floor = (per_second * time).max(if from == start { 0.0 } else { 1.0 });
                let bound = share * requests as f64 + floor + 1e-3;
                prop_assert!(withdrawn as f64 <= bound, "{withdrawn} of {bound}, {from:?} to {until:?}");
            }
        }
    }

    #[test]
    fn a_retry_is_refused_only_when_the_window_has_paid_for_no_more(
        requests in prop::collection::vec((0u64..2_000, 0u16..20), 1..60),
    ) {
        // Of one slot less than a window, all can still be spent.
        let start = Instant::now();
        let budget = budget(0.5, 0.0, start);
        let mut now = start;
        let mut log = Vec::new();
        for (wait, count) in requests {
            now += Duration::from_millis(wait);
            (0..count).for_each(|_| budget.deposit_at(now));
            log.push((now, u64::from(count)));
        }
        let recent = log.iter().filter(|&&(at, _)| at + WINDOW * 9 / 10 > now);
        let recent: u64 = recent.map(|&(_, count)| count).sum();
        prop_assert!(withdraw_all(&budget, now) as u64 >= recent / 2);
    }
}
