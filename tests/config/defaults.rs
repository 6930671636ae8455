//! What is left out is as the library has it.

use std::time::Duration;

use evenkeel::config::Config;
use evenkeel::health::{Ejection, ProbeSettings};
use evenkeel::http::ByMethod;
use evenkeel::limit::LimitLayer;
use evenkeel::retry::RetryLayer;
use evenkeel::set::{Limits, Rules};

use crate::read;

const SECONDS: Duration = Duration::from_secs(1);

fn shown(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

/// Those of `recommended`, by its documentation.
fn ejection() -> Ejection {
    let ejection = Ejection::new().base_time(5 * SECONDS).unwrap();
    ejection.max_ejected(0.5).unwrap()
}

fn is_default(config: &Config) {
    assert_eq!(config.rules(), Rules::new());
    assert_eq!(config.ejection(), ejection());
    let retry = RetryLayer::new(ByMethod::new()).total_time(30 * SECONDS);
    assert_eq!(shown(&config.retry_layer()), shown(&retry));
    let limit = LimitLayer::new(1024).unwrap().count_to_body_end();
    assert_eq!(shown(&config.limit_layer()), shown(&limit));
    let replay = evenkeel::http::ReplayLayer::new();
    assert_eq!(shown(&config.replay_layer()), shown(&replay));
    let layer = config.balance_layer::<()>(&config.pool());
    let balance = evenkeel::http::BalanceLayer::<()>::least_requests(config.pool());
    let balance = balance.attempt_timeout(5 * SECONDS);
    assert_eq!(shown(&layer), shown(&balance));
}

#[test]
fn a_file_that_says_nothing_is_the_recommended_stack() {
    let config = read("");
    is_default(&config);
    is_default(&Config::default());
    assert_eq!(config.backends().count(), 0);
    assert_eq!(config.probe_settings(), None);
}

#[test]
fn a_section_without_settings_is_as_if_it_were_left_out() {
    is_default(&read(
        "[picker]\n[rules]\n[limit_each]\n[ejection]\n[retry]\n[retry.budget]\n[limit]\n[timeouts]\n[replay]",
    ));
    let probed = read("[probe]");
    assert_eq!(probed.probe_settings(), Some(&ProbeSettings::new()));
    is_default(&probed);
}

/// Each default as the guide's file says it.
#[test]
fn a_file_that_says_the_defaults_changes_nothing() {
    let config = read(
        r#"
        [rules]
        panic_threshold = 0.5
        overprovisioning = 1.4
        plain_backup = false
        [limit_each]
        queue = 1024
        newest_first = false
        retry_after = "1s"
        [ejection]
        failures_in_a_row = 5
        gateway_failures_in_a_row = false
        success_rate = 1.9
        failure_percentage = false
        minimum_backends = 5
        minimum_requests = 100
        interval = "10s"
        base_time = "5s"
        max_time = "5m"
        jitter = 0.1
        max_ejected = 0.5
        spare = "1s"
        degraded_for = "10s"
        [retry]
        attempts = 3
        on = ["connect", "timeout", "gateway", "other"]
        on_rejected = false
        backoff = { base = "25ms", max = "250ms" }
        budget = { share = 0.2, per_second = 10, window = "10s" }
        [limit]
        max_in_flight = 1024
        queue = 1024
        newest_first = false
        max_wait = "1s"
        retry_after = "1s"
        [timeouts]
        attempt_timeout = "5s"
        total_time = "30s"
        max_wait = "1s"
        affinity_wait = "0s"
        [replay]
        max_bytes = 65536
        "#,
    );
    is_default(&config);
    let probed = read(
        r#"
        [probe]
        kind = "http"
        interval = "5s"
        timeout = "2s"
        jitter = 0.1
        rise = 2
        fall = 3
        gated = false
        concurrency = 512
        "#,
    );
    assert_eq!(probed.probe_settings(), Some(&ProbeSettings::new()));
}

#[test]
fn the_file_in_the_documentation_is_read_and_says_the_defaults_but_for_its_examples() {
    let config = read(include_str!("../../docs/reverse_proxy.toml"));
    assert_eq!(config.ejection(), ejection());
    let slow = evenkeel::set::SlowStart::new(30 * SECONDS).unwrap();
    let limits = Limits::new().max_in_flight(100);
    assert_eq!(config.rules(), Rules::new().slow_start(slow).limits(limits));
    assert_eq!(config.probe_settings(), Some(&ProbeSettings::new()));
    let retry = RetryLayer::new(ByMethod::new()).total_time(30 * SECONDS);
    assert_eq!(shown(&config.retry_layer()), shown(&retry));

    let pool = config.pool();
    let ids: Vec<_> = pool.list().iter().map(|one| one.id().to_owned()).collect();
    assert_eq!(ids, ["app-1", "app-2", "backup"]);
    let first = pool.get("app-1").unwrap();
    assert_eq!((first.weight(), first.zone()), (3, Some("eu-west-1a")));
    assert_eq!(first.metadata("rack"), Some("r7"));
    assert_eq!(pool.get("backup").unwrap().priority(), 1);
    let backup = pool.value("backup").unwrap();
    assert_eq!(backup.server_name(), Some("app.example.com"));
}

/// So that the file stays as complete as it says it is: its comments, too, are settings.
#[test]
fn what_is_commented_out_in_the_file_is_read_as_well() {
    for text in [
        "[picker]\nalgorithm = \"maglev\"\nkey = [\"cookie:session\", \"client-address\"]\nbounded_load = 1.25\ntrusted_proxies = [\"10.0.0.0/8\"]\nforwarded_in = \"x-forwarded-for\"",
        "[retry.hedge]\npercentile = 0.95\nminimum = \"1ms\"",
        "[retry.hedge]\nafter = \"50ms\"",
        "[limit_each.adaptive]\nlaw = \"gradient\"\nbounds = [3, 1000]",
        "[ejection]\nlatency = { factor = 3, floor = \"100ms\" }",
        "[rules]\nlocal_zone = \"eu-west-1a\"\ncallers = { \"eu-west-1a\" = 2, \"eu-west-1b\" = 1 }",
    ] {
        let file = include_str!("../../docs/reverse_proxy.toml");
        for line in text.lines().filter(|line| !line.starts_with('[')) {
            assert!(file.contains(line), "{line}");
        }
        read(text);
    }
}
