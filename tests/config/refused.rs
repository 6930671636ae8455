//! What is wrong is refused when it is read, with its path, its value, and what was expected.

use evenkeel::config::Config;

/// The section, what stands in it, and the error.
const WRONG: &[(&str, &str, &str)] = &[
    // Names that nobody knows.
    (
        "",
        "ejektion = {}",
        "ejektion: unknown field `ejektion`, expected one of `backend`, `picker`, `rules`, `slow_start`, `limit_each`, `ejection`, `probe`, `retry`, `limit`, `timeouts`, `replay`",
    ),
    (
        "[limit]",
        "max = 1",
        "limit.max: unknown field `max`, expected one of `max_in_flight`, `queue`, `newest_first`, `max_wait`, `retry_after`",
    ),
    (
        "[retry.budget]",
        "rate = 1",
        "retry.budget.rate: unknown field `rate`, expected one of `share`, `per_second`, `window`",
    ),
    (
        "[[backend]]",
        "adress = \"a:1\"",
        "backend[0].adress: unknown field `adress`, expected one of `address`, `id`, `weight`, `priority`, `zone`, `hash_key`, `max_in_flight`, `server_name`, `health`, `metadata`",
    ),
    (
        "[replay]",
        "bytes = 1",
        "replay.bytes: unknown field `bytes`, expected `max_bytes`",
    ),
    // What would have no effect, or make no sense.
    (
        "[picker]",
        "algorithm = \"maglev\"\nkey = \"path\"\ntrusted_proxies = [\"10.0.0.0/8\"]",
        "picker.trusted_proxies: invalid setting trusted_proxies: expected client-address among the keys: the others have nothing of proxies",
    ),
    (
        "[picker]",
        "algorithm = \"maglev\"\nforwarded_in = \"forwarded\"",
        "picker.forwarded_in: invalid header \"forwarded\": expected trusted_proxies beside it: nobody is believed without",
    ),
    (
        "[probe]",
        "expect_status = []",
        "probe.expect_status: invalid list of statuses []: expected at least one",
    ),
    (
        "[timeouts]",
        "attempt_timeout = \"0s\"",
        "timeouts.attempt_timeout: invalid time 0s: expected more than 0, or false for no limit",
    ),
    (
        "[[backend]]",
        "address = \"a:1\"\nid = \"\"",
        "backend[0].id: invalid id \"\": expected a name; where there is none, it is the address",
    ),
    // Times.
    (
        "[timeouts]",
        "max_wait = 5",
        "timeouts.max_wait: invalid type: integer `5`, expected a time with its unit, such as \"250ms\" or \"5s\"",
    ),
    (
        "[timeouts]",
        "max_wait = 0.5",
        "timeouts.max_wait: invalid type: floating point `0.5`, expected a time with its unit, such as \"250ms\" or \"5s\"",
    ),
    (
        "[timeouts]",
        "max_wait = \"5\"",
        "timeouts.max_wait: invalid value: string \"5\", expected a time with its unit, such as \"250ms\" or \"5s\"",
    ),
    (
        "[timeouts]",
        "attempt_timeout = 5",
        "timeouts.attempt_timeout: invalid type: integer `5`, expected a time with its unit, such as \"250ms\" or \"5s\"",
    ),
    (
        "[timeouts]",
        "total_time = true",
        "timeouts.total_time: invalid type: boolean `true`, expected a time with its unit, such as \"250ms\" or \"5s\"",
    ),
    (
        "[timeouts]",
        "affinity_wait = \"-1s\"",
        "timeouts.affinity_wait: invalid value: string \"-1s\", expected a time with its unit, such as \"250ms\" or \"5s\"",
    ),
    // Backends.
    (
        "[[backend]]",
        "weight = 1",
        "backend[0]: missing field `address`",
    ),
    (
        "[[backend]]",
        "address = \"ftp://a\"",
        "backend[0].address: invalid address \"ftp://a\": expected [http://|https://]HOST[:PORT], with one of these schemes or none",
    ),
    (
        "[[backend]]",
        "address = \"a:1\"\nweight = -1",
        "backend[0].weight: invalid value: integer `-1`, expected u32",
    ),
    (
        "[[backend]]",
        "address = \"a:1\"\n[[backend]]\naddress = \"a:1\"",
        "backend[1].id: invalid id \"a:1\", which is that of backend[0]: expected one that no other backend has; where there is none, it is the address",
    ),
    // The picker.
    (
        "[picker]",
        "algorithm = \"fastest\"",
        "picker.algorithm: unknown algorithm \"fastest\", expected one of round-robin, weighted-round-robin, random, weighted-random, least-requests, exact-least-requests, least-response-time, ordered, adaptive, prequal, c3, reported-weighted-round-robin, maglev, ring-hash, rendezvous, modulo, nginx-hash, nginx-consistent, nginx-ip-hash, libketama, envoy-ring-hash, envoy-maglev",
    ),
    (
        "[picker]",
        "choices = 1",
        "picker.choices: invalid number of choices 1: expected 2 to 32",
    ),
    (
        "[picker]",
        "algorithm = \"least-response-time\"\nchoices = 33",
        "picker.choices: invalid number of choices 33: expected 2 to 32",
    ),
    (
        "[picker]",
        "algorithm = \"random\"\nchoices = 2",
        "picker.choices: invalid algorithm random: expected least-requests or least-response-time",
    ),
    (
        "[picker]",
        "algorithm = \"maglev\"\nchoices = 2",
        "picker.choices: invalid algorithm maglev: expected least-requests or least-response-time",
    ),
    (
        "[picker]",
        "key = \"uri\"",
        "picker.key: invalid algorithm least-requests: expected one of the algorithms that go by a key",
    ),
    (
        "[picker]",
        "bounded_load = 1.25",
        "picker.bounded_load: invalid algorithm least-requests: expected one of the algorithms that go by a key",
    ),
    (
        "[picker]",
        "algorithm = \"maglev\"\nbounded_load = 0.5",
        "picker.bounded_load: invalid load factor 0.5: expected a number from 1 to 1000000, such as 1.25",
    ),
    (
        "[picker]",
        "algorithm = \"maglev\"\nkey = \"colour\"",
        "picker.key: invalid key \"colour\": expected client-address, path, path:SEGMENTS, uri, host, header:NAME, cookie:NAME or query:NAME",
    ),
    (
        "[picker]",
        "algorithm = \"maglev\"\nkey = \"path:two\"",
        "picker.key: invalid key \"path:two\": expected client-address, path, path:SEGMENTS, uri, host, header:NAME, cookie:NAME or query:NAME",
    ),
    (
        "[picker]",
        "algorithm = \"maglev\"\nkey = []",
        "picker.key: invalid list of keys []: expected at least one",
    ),
    (
        "[picker]",
        "algorithm = \"maglev\"\nkey = 1",
        "picker.key: invalid type: integer `1`, expected a text, or a list of texts",
    ),
    (
        "[picker]",
        "algorithm = \"maglev\"\ntrusted_proxies = [\"all\"]",
        "picker.trusted_proxies: invalid network \"all\": expected an address or a prefix, such as 10.0.0.0/8",
    ),
    (
        "[picker]",
        "algorithm = \"maglev\"\nforwarded_in = \"a b\"",
        "picker.forwarded_in: invalid header name \"a b\": expected a token, such as forwarded",
    ),
    // Rules, slow start, limits of each backend.
    (
        "[rules]",
        "panic_threshold = 2",
        "rules.panic_threshold: invalid panic threshold 2: expected a share from 0 to 1",
    ),
    (
        "[rules]",
        "overprovisioning = 0.5",
        "rules.overprovisioning: invalid overprovisioning factor 0.5: expected a number from 1 to 1000, such as 1.4",
    ),
    (
        "[rules]",
        "overprovisioning = 2\nplain_backup = true",
        "rules.overprovisioning: invalid factor beside plain_backup: expected one of the two",
    ),
    (
        "[rules]",
        "callers = { a = -1 }",
        "rules.callers: invalid number of callers -1: expected 0 or a positive number",
    ),
    ("[slow_start]", "", "slow_start: missing field `window`"),
    (
        "[slow_start]",
        "window = \"0s\"",
        "slow_start.window: invalid slow-start window 0ns: expected more than zero and at most a day",
    ),
    (
        "[slow_start]",
        "window = \"1s\"\nminimum = 0",
        "slow_start.minimum: invalid slow-start minimum 0: expected a number above 0 and at most 1",
    ),
    (
        "[slow_start]",
        "window = \"1s\"\naggression = 0",
        "slow_start.aggression: invalid slow-start aggression 0: expected a number from 0.01 to 100",
    ),
    (
        "[limit_each]",
        "retry_after = \"2d\"",
        "limit_each.retry_after: invalid time to retry after 172800s: expected at most a day",
    ),
    (
        "[limit_each]",
        "max_in_flight = 1\nadaptive = { law = \"aimd\" }",
        "limit_each.max_in_flight: invalid limit beside adaptive: expected one of the two",
    ),
    (
        "[limit_each.adaptive]",
        "law = \"vegas\"",
        "limit_each.adaptive.law: unknown variant `vegas`, expected `gradient` or `aimd`",
    ),
    (
        "[limit_each.adaptive]",
        "law = \"aimd\"\nbounds = [5, 1]",
        "limit_each.adaptive.bounds: invalid bounds of a limit 5 to 1: expected at least 1, at most 10000, in this order",
    ),
    // Ejection.
    (
        "[ejection]",
        "failures_in_a_row = 0",
        "ejection.failures_in_a_row: invalid number of failures in a row 0: expected at least 1, or none",
    ),
    (
        "[ejection]",
        "failures_in_a_row = true",
        "ejection.failures_in_a_row: invalid type: boolean `true`, expected u32",
    ),
    (
        "[ejection]",
        "gateway_failures_in_a_row = 0",
        "ejection.gateway_failures_in_a_row: invalid number of failures in a row 0: expected at least 1, or none",
    ),
    (
        "[ejection]",
        "success_rate = -1",
        "ejection.success_rate: invalid success-rate factor -1: expected a number from 0 to 100",
    ),
    (
        "[ejection]",
        "failure_percentage = 101",
        "ejection.failure_percentage: invalid failure percentage 101: expected per cent from 0 to 100",
    ),
    (
        "[ejection]",
        "latency = { factor = 0, floor = \"1s\" }",
        "ejection.latency.factor: invalid latency factor 0: expected a number from 1 to 1000",
    ),
    (
        "[ejection]",
        "minimum_backends = 0",
        "ejection.minimum_backends: invalid minimum of backends 0: expected at least 1",
    ),
    (
        "[ejection]",
        "minimum_requests = 0",
        "ejection.minimum_requests: invalid minimum of requests 0: expected at least 1",
    ),
    (
        "[ejection]",
        "interval = \"1us\"",
        "ejection.interval: invalid ejection interval 1µs: expected at least 1 ms",
    ),
    (
        "[ejection]",
        "base_time = \"0s\"",
        "ejection.base_time: invalid ejection base time 0ns: expected a time above zero",
    ),
    (
        "[ejection]",
        "jitter = 2",
        "ejection.jitter: invalid ejection jitter 2: expected a part from 0 to 1",
    ),
    (
        "[ejection]",
        "max_ejected = nan",
        "ejection.max_ejected: invalid share of ejected backends NaN: expected a share from 0 to 1",
    ),
    (
        "[ejection]",
        "degraded_for = \"0s\"",
        "ejection.degraded_for: invalid time of degradation 0ns: expected a time above zero",
    ),
    // Probes.
    (
        "[probe]",
        "kind = \"udp\"",
        "probe.kind: unknown variant `udp`, expected one of `http`, `grpc`, `tcp`",
    ),
    (
        "[probe]",
        "kind = \"tcp\"\npath = \"/\"",
        "probe.path: invalid kind of probe tcp: expected http",
    ),
    (
        "[probe]",
        "kind = \"grpc\"\nbody_limit = 5",
        "probe.body_limit: invalid kind of probe grpc: expected http",
    ),
    (
        "[probe]",
        "service = \"shop\"",
        "probe.service: invalid kind of probe http: expected grpc",
    ),
    (
        "[probe]",
        "method = \"GET IT\"",
        "probe.method: invalid method \"GET IT\": expected a token, such as GET",
    ),
    (
        "[probe]",
        "headers = { \"a b\" = \"\" }",
        "probe.headers.a b: invalid header name \"a b\": expected a token, such as x-state",
    ),
    (
        "[probe]",
        "expect_status = [204, \"all\"]",
        "probe.expect_status[1]: invalid value: string \"all\", expected a status, such as 204, or the first and the last, such as \"200-299\"",
    ),
    (
        "[probe]",
        "expect_status = [-1]",
        "probe.expect_status[0]: invalid value: integer `-1`, expected a status, such as 204, or the first and the last, such as \"200-299\"",
    ),
    (
        "[probe]",
        "body_limit = 0",
        "probe.body_limit: invalid body limit 0: expected 1 byte or more, and not less than the text",
    ),
    (
        "[probe]",
        "body_limit = 2\nbody_contains = \"yes\"",
        "probe.body_contains: invalid text \"yes\": expected 1 byte or more, and not more than the body limit",
    ),
    (
        "[probe]",
        "interval = \"0s\"",
        "probe.interval: invalid probe interval 0ns: expected at least 1 ms",
    ),
    (
        "[probe]",
        "changing_interval = \"0s\"",
        "probe.changing_interval: invalid probe interval 0ns: expected at least 1 ms",
    ),
    (
        "[probe]",
        "idle_interval = \"0s\"",
        "probe.idle_interval: invalid probe interval 0ns: expected at least 1 ms",
    ),
    (
        "[probe]",
        "jitter = 2",
        "probe.jitter: invalid probe jitter 2: expected a part from 0 to 1",
    ),
    (
        "[probe]",
        "timeout = \"0s\"",
        "probe.timeout: invalid probe time-out 0ns: expected a time above zero",
    ),
    (
        "[probe]",
        "rise = 0",
        "probe.rise: invalid number of successes 0: expected at least 1",
    ),
    (
        "[probe]",
        "fall = 0",
        "probe.fall: invalid number of failures 0: expected at least 1",
    ),
    (
        "[probe]",
        "concurrency = 0",
        "probe.concurrency: invalid number of probes at once 0: expected at least 1",
    ),
    // Retries.
    (
        "[retry]",
        "attempts = 0",
        "retry.attempts: invalid number of attempts 0: expected 1 to 100, the first one included",
    ),
    (
        "[retry]",
        "on = [\"connect\", \"500\"]",
        "retry.on[1]: unknown variant `500`, expected one of `connect`, `timeout`, `gateway`, `response`, `body`, `other`",
    ),
    (
        "[retry]",
        "backoff = { base = \"5s\", max = \"1s\" }",
        "retry.backoff: invalid back-off 5s to 1s: expected a base above zero and a maximum not below it",
    ),
    (
        "[retry]",
        "backoff = { base = \"5s\" }",
        "retry.backoff: missing field `max`",
    ),
    (
        "[retry.hedge]",
        "percentile = 0.2",
        "retry.hedge.percentile: invalid hedge percentile 0.2: expected a share from 0.5 to 0.9999, such as 0.95",
    ),
    (
        "[retry.hedge]",
        "",
        "retry.hedge.after: invalid delay neither: expected one of after and percentile",
    ),
    (
        "[retry.hedge]",
        "percentile = 0.9\nafter = \"1s\"",
        "retry.hedge.after: invalid delay both: expected one of after and percentile",
    ),
    // The limit in all.
    (
        "[limit]",
        "max_in_flight = 0",
        "limit.max_in_flight: invalid limit of requests in flight 0: expected 1 to 4294967295",
    ),
    (
        "[limit]",
        "queue = \"long\"",
        "limit.queue: invalid type: string \"long\", expected usize",
    ),
];

/// The message without the lines of the file that toml has in the middle of its own.
fn told(error: &toml::de::Error) -> String {
    let mut lines: Vec<_> = error.message().trim_end().lines().collect();
    if let Some((path, _)) = lines[0].split_once("TOML parse error at line ") {
        lines[0] = path;
        lines.drain(1..4);
    }
    lines.concat()
}

#[test]
fn what_is_wrong_is_refused_by_its_path_its_value_and_what_was_expected() {
    for (section, wrong, expected) in WRONG {
        let text = format!("{section}\n{wrong}");
        match toml::from_str::<Config>(&text) {
            Ok(_) => panic!("{text}: it was taken"),
            Err(error) => assert_eq!(told(&error), *expected, "{text}"),
        }
    }
}

/// Bounds that are told only here, by their beginnings: they belong to the builders.
#[test]
fn the_budget_and_the_adaptive_limit_refuse_by_their_builders() {
    for (text, path) in [
        (
            "[retry.budget]\nshare = -1",
            "retry.budget.share: invalid retry share -1: expected ",
        ),
        (
            "[retry.budget]\nper_second = -1",
            "retry.budget.per_second: invalid ",
        ),
        (
            "[retry.budget]\nwindow = \"0s\"",
            "retry.budget.window: invalid ",
        ),
        (
            "[limit_each.adaptive]\nlaw = \"aimd\"\ninitial = 0",
            "limit_each.adaptive.initial: invalid ",
        ),
        (
            "[limit_each.adaptive]\nlaw = \"aimd\"\nbackoff = 2",
            "limit_each.adaptive.backoff: invalid ",
        ),
        (
            "[limit_each.adaptive]\nlaw = \"gradient\"\ntolerance = 0.5",
            "limit_each.adaptive.tolerance: invalid ",
        ),
        (
            "[limit_each.adaptive]\nlaw = \"gradient\"\nsmoothing = 2",
            "limit_each.adaptive.smoothing: invalid ",
        ),
        (
            "[limit_each.adaptive]\nlaw = \"aimd\"\nlatency_limit = \"0s\"",
            "limit_each.adaptive.latency_limit: invalid ",
        ),
        ("[probe]\npath = \"health\"", "probe.path: invalid "),
        ("[probe]\nhost = \"a/b\"", "probe.host: invalid "),
        (
            "[probe]\ndegraded_header = \"a b\"",
            "probe.degraded_header: invalid ",
        ),
        (
            "[probe]\nexpect_status = [\"300-200\"]",
            "probe.expect_status[0]: invalid ",
        ),
        (
            "[picker]\nalgorithm = \"maglev\"\nkey = \"header:a b\"",
            "picker.key: invalid ",
        ),
        (
            "[picker]\nalgorithm = \"maglev\"\nkey = \"cookie:\"",
            "picker.key: invalid ",
        ),
        (
            "[picker]\nalgorithm = \"maglev\"\nkey = \"path:0\"",
            "picker.key: invalid ",
        ),
    ] {
        let error = toml::from_str::<Config>(text).expect_err(text);
        assert!(
            error.message().starts_with(path),
            "{text}: {}",
            error.message()
        );
        assert!(
            error.message().contains(": expected "),
            "{text}: {}",
            error.message()
        );
    }
}

#[test]
fn json_has_the_same_errors_and_says_where() {
    let error = serde_json::from_str::<Config>("{\n \"ejection\": { \"max_ejectd\": 1 }\n}");
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("ejection.max_ejectd: unknown field `max_ejectd`, "),
        "{error}"
    );
    assert!(error.ends_with(" at line 2 column 27"), "{error}");

    let error = serde_json::from_str::<Config>("{ \"limit\": { \"max_wait\": 1 } }");
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("limit.max_wait: invalid type: integer `1`, expected a time"),
        "{error}"
    );
}

#[test]
fn toml_shows_the_line() {
    let error = toml::from_str::<Config>("[limit]\nmax_wait = 5").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("limit.max_wait: "), "{text}");
    assert!(text.contains("line 2, column 12"), "{text}");
    assert!(text.contains("\n2 | max_wait = 5\n"), "{text}");
}

#[test]
fn a_file_that_is_no_toml_has_the_error_of_toml() {
    let error = toml::from_str::<Config>("[picker").unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}
