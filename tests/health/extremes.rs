use std::time::Duration;

use evenkeel::InvalidSetting;
use evenkeel::backend::{Outcome, State};
use evenkeel::health::{Ejection, Health, ProbeSettings, Target};
use evenkeel::set::{Rules, SlowStart};
use tokio::time::{sleep, timeout};

use crate::setup::{FAILURE, pool, request, settle, state};

fn ejection(time: Duration) -> Result<Ejection, InvalidSetting> {
    Ejection::new()
        .latency(1000.0, time)?
        .interval(time)?
        .base_time(time)?
        .max_time(time)
        .jitter(1.0)?
        .spare(time)
        .degraded_for(time)
}

fn probes(time: Duration) -> Result<ProbeSettings, InvalidSetting> {
    ProbeSettings::new()
        .interval(time)?
        .changing_interval(time)?
        .idle_interval(time)?
        .timeout(time)?
        .jitter(1.0)
}

#[tokio::test(start_paused = true)]
async fn the_longest_and_the_shortest_times_are_times() {
    for time in [Duration::MAX, Duration::from_millis(1)] {
        let pool = pool(3);
        let answer = async |_: Target<usize>| Ok::<_, String>(());
        let watching = Health::new()
            .ejection(ejection(time).unwrap())
            .probe(answer, probes(time).unwrap())
            .spawn(&pool);
        for _ in 0..5 {
            request(&pool, "0", FAILURE);
        }
        request(&pool, "1", Outcome::Rejected);
        let mut degraded = crate::setup::start(&pool, "2");
        degraded.degraded();
        degraded.retry_after(Duration::MAX);
        degraded.finish(Outcome::Success);
        settle().await;
        sleep(Duration::from_secs(1)).await;
        for info in pool.list() {
            assert!(!info.to_string().is_empty());
        }
        if time == Duration::MAX {
            assert_eq!(state(&pool, "0"), State::Ejected);
        }
        assert!(timeout(Duration::from_secs(1), watching).await.is_err());
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_value_and_what_was_expected() {
    let zero = Duration::ZERO;
    let refused = [
        Ejection::new().failures_in_a_row(0).map(drop),
        Ejection::new().gateway_failures_in_a_row(0).map(drop),
        Ejection::new().success_rate(f64::NAN).map(drop),
        Ejection::new().failure_percentage(100.5).map(drop),
        Ejection::new().latency(0.5, zero).map(drop),
        Ejection::new().minimum_backends(0).map(drop),
        Ejection::new().minimum_requests(0).map(drop),
        Ejection::new().interval(zero).map(drop),
        Ejection::new().base_time(zero).map(drop),
        Ejection::new().jitter(-0.1).map(drop),
        Ejection::new().max_ejected(f64::INFINITY).map(drop),
        Ejection::new().degraded_for(zero).map(drop),
        ProbeSettings::new().interval(zero).map(drop),
        ProbeSettings::new().changing_interval(zero).map(drop),
        ProbeSettings::new().idle_interval(zero).map(drop),
        ProbeSettings::new()
            .interval(Duration::from_micros(999))
            .map(drop),
        ProbeSettings::new().timeout(zero).map(drop),
        ProbeSettings::new().jitter(1.5).map(drop),
        ProbeSettings::new().rise(0).map(drop),
        ProbeSettings::new().fall(0).map(drop),
        ProbeSettings::new().concurrency(0).map(drop),
        Rules::new().panic_threshold(1.1).map(drop),
        Rules::new().overprovisioning(0.9).map(drop),
        Rules::new().callers([("a", -1.0)]).map(drop),
        Rules::new().callers([("a", 0.0)]).map(drop),
        Rules::new().callers([("a", f64::NAN)]).map(drop),
        SlowStart::new(zero).map(drop),
        SlowStart::new(Duration::from_secs(86_401)).map(drop),
        SlowStart::new(Duration::from_secs(1))
            .unwrap()
            .minimum(0.0)
            .map(drop),
        SlowStart::new(Duration::from_secs(1))
            .unwrap()
            .aggression(0.0)
            .map(drop),
    ];
    for (at, result) in refused.into_iter().enumerate() {
        let error = result.expect_err(&format!("number {at} is accepted"));
        let message = error.to_string();
        assert!(message.starts_with("invalid "), "{message}");
        assert!(message.contains(": expected "), "{message}");
    }
}
