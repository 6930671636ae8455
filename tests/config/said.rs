//! What a file says arrives at the builder that has the method of its name.

use std::time::Duration;

use evenkeel::backend::{AdaptiveLimit, Failure};
use evenkeel::config::Config;
use evenkeel::health::{Ejection, ProbeSettings};
use evenkeel::http::{BalanceLayer, ByMethod};
use evenkeel::limit::LimitLayer;
use evenkeel::retry::{Budget, Hedge, RetryLayer};
use evenkeel::set::{Limits, Rules, SlowStart};
use evenkeel::{Backoff, InvalidSetting, Pool};
use serde::Deserialize;

use crate::read;

const MS: Duration = Duration::from_millis(1);

fn shown(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

#[test]
fn each_setting_of_ejection_is_the_one_of_its_name() -> Result<(), InvalidSetting> {
    let config = read(
        r#"
        [ejection]
        failures_in_a_row = 7
        gateway_failures_in_a_row = 3
        success_rate = false
        failure_percentage = 40
        latency = { factor = 2.5, floor = "20ms" }
        minimum_backends = 2
        minimum_requests = 10
        interval = "2s"
        base_time = "3s"
        max_time = "1m 30s"
        jitter = 0.25
        max_ejected = 0.75
        spare = "4s"
        degraded_for = "6s"
        "#,
    );
    let expected = Ejection::new()
        .failures_in_a_row(7)?
        .gateway_failures_in_a_row(3)?
        .success_rate(None)?
        .failure_percentage(40.0)?
        .latency(2.5, 20 * MS)?
        .minimum_backends(2)?
        .minimum_requests(10)?
        .interval(2_000 * MS)?
        .base_time(3_000 * MS)?
        .max_time(90_000 * MS)
        .jitter(0.25)?
        .max_ejected(0.75)?
        .spare(4_000 * MS)
        .degraded_for(6_000 * MS)?;
    assert_eq!(config.ejection(), expected);
    Ok(())
}

#[test]
fn each_setting_of_the_rules_is_the_one_of_its_name() -> Result<(), InvalidSetting> {
    let config = read(
        r#"
        [rules]
        panic_threshold = 0.25
        plain_backup = true
        local_zone = "a"
        callers = { a = 2, b = 1.5 }
        [slow_start]
        window = "20s"
        minimum = 0.2
        aggression = 2
        [limit_each]
        queue = 5
        newest_first = true
        retry_after = "7s"
        [limit_each.adaptive]
        law = "aimd"
        bounds = [2, 50]
        initial = 9
        backoff = 0.8
        latency_limit = "40ms"
        "#,
    );
    let limit = AdaptiveLimit::aimd()
        .bounds(2, 50)?
        .initial(9)?
        .backoff(0.8)?
        .latency_limit(40 * MS)?;
    let limits = Limits::new().adaptive(limit).queue(5).newest_first();
    let slow_start = SlowStart::new(20_000 * MS)?.minimum(0.2)?.aggression(2.0)?;
    let expected = Rules::new()
        .panic_threshold(0.25)?
        .plain_backup()
        .local_zone("a")
        .callers([("a", 2.0), ("b", 1.5)])?
        .slow_start(slow_start)
        .limits(limits.retry_after(7_000 * MS)?);
    assert_eq!(config.rules(), expected);
    assert_eq!(config.pool().rules(), expected);
    Ok(())
}

#[test]
fn each_setting_of_probes_is_the_one_of_its_name() -> Result<(), InvalidSetting> {
    let config = read(
        r#"
        [probe]
        kind = "tcp"
        interval = "3s"
        changing_interval = "500ms"
        idle_interval = "9s"
        jitter = 0.3
        timeout = "1s"
        rise = 4
        fall = 5
        gated = true
        concurrency = 6
        "#,
    );
    let expected = ProbeSettings::new()
        .interval(3_000 * MS)?
        .changing_interval(500 * MS)?
        .idle_interval(9_000 * MS)?
        .jitter(0.3)?
        .timeout(1_000 * MS)?
        .rise(4)?
        .fall(5)?
        .gated()
        .concurrency(6)?;
    assert_eq!(config.probe_settings(), Some(&expected));
    Ok(())
}

#[test]
fn each_setting_of_retries_limits_and_time_limits_is_the_one_of_its_name()
-> Result<(), InvalidSetting> {
    let config = read(
        r#"
        [retry]
        attempts = 4
        on = ["connect", "response"]
        on_rejected = true
        backoff = { base = "10ms", max = "20ms" }
        [retry.budget]
        share = 0.5
        per_second = 1
        window = "5s"
        [retry.hedge]
        after = "30ms"
        minimum = "2ms"
        [limit]
        max_in_flight = 10
        queue = 3
        newest_first = true
        max_wait = "20ms"
        retry_after = "9s"
        [timeouts]
        attempt_timeout = "600ms"
        total_time = "2s"
        max_wait = "100ms"
        affinity_wait = "50ms"
        [replay]
        max_bytes = 77
        "#,
    );
    let budget = Budget::new()
        .share(0.5)?
        .per_second(1.0)?
        .window(5_000 * MS)?;
    let retry = RetryLayer::new(ByMethod::new())
        .total_time(2_000 * MS)
        .attempts(4)?
        .on([Failure::Connect, Failure::Response])
        .on_rejected()
        .backoff(Backoff::new(10 * MS, 20 * MS)?)
        .budget(budget)
        .hedge(Hedge::after(30 * MS).minimum(2 * MS));
    assert_eq!(shown(&config.retry_layer()), shown(&retry));
    let limit = LimitLayer::new(10)?
        .queue(3)
        .newest_first()
        .max_wait(20 * MS)
        .retry_after(9_000 * MS)
        .count_to_body_end();
    assert_eq!(shown(&config.limit_layer()), shown(&limit));
    let balance = BalanceLayer::<()>::least_requests(Pool::new())
        .attempt_timeout(600 * MS)
        .max_wait(100 * MS)
        .affinity_wait(50 * MS);
    let layer = config.balance_layer::<()>(&Pool::new());
    assert_eq!(shown(&layer), shown(&balance));
    let replay = evenkeel::http::ReplayLayer::new().max_bytes(77);
    assert_eq!(shown(&config.replay_layer()), shown(&replay));
    Ok(())
}

#[test]
fn time_limits_can_be_turned_off() {
    let config = read("[timeouts]\nattempt_timeout = false\ntotal_time = false");
    let none = RetryLayer::new(ByMethod::new());
    assert_eq!(shown(&config.retry_layer()), shown(&none));
    let layer = config.balance_layer::<()>(&Pool::new());
    let none = BalanceLayer::<()>::least_requests(Pool::new());
    assert_eq!(shown(&layer), shown(&none));
}

#[test]
fn a_backend_has_all_that_is_said_of_it() {
    let config = read(
        r#"
        [[backend]]
        address = "https://10.0.0.1:8443"
        id = "a"
        weight = 5
        priority = 2
        zone = "z"
        hash_key = "k"
        max_in_flight = 8
        server_name = "a.example"
        metadata = { rack = "r7" }
        [[backend]]
        address = "10.0.0.2"
        "#,
    );
    let pool = config.pool();
    let a = pool.get("a").unwrap();
    assert_eq!((a.weight(), a.priority(), a.zone()), (5, 2, Some("z")));
    assert_eq!((a.hash_key(), a.max_in_flight()), ("k", Some(8)));
    assert_eq!(a.metadata("rack"), Some("r7"));
    let address = pool.value("a").unwrap();
    assert_eq!(address.to_string(), "https://10.0.0.1:8443");
    assert_eq!(address.server_name(), Some("a.example"));
    let b = pool.get("10.0.0.2").expect("its id is its address");
    assert_eq!((b.weight(), b.priority()), (1, 0));
}

#[test]
fn a_program_has_its_own_settings_beside_it() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        listen: String,
        balance: Config,
    }
    let text = "listen = \"127.0.0.1:80\"\n[balance.picker]\nalgorithm = \"random\"";
    let file: File = toml::from_str(text).unwrap();
    assert_eq!(file.listen, "127.0.0.1:80");
    let _ = file.balance.picker::<()>();

    let wrong = "listen = \"\"\n[balance.limit]\nmax_in_flight = 0";
    let error = toml::from_str::<File>(wrong).unwrap_err();
    assert!(
        error.message().contains("limit.max_in_flight: invalid "),
        "{error}"
    );
}
