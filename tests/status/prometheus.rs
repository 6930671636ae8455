//! The text for Prometheus, read by its rules.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use evenkeel::backend::{Failure, Outcome};
use evenkeel::observe::status::Status;
use tokio::time::sleep;

use crate::driver::skip;
use crate::setup::{HOSTILE, get, pool, requests, start};

type Labels = BTreeMap<String, String>;

/// What a scraper makes of it.
#[derive(Debug, Default)]
struct Metrics {
    types: BTreeMap<String, String>,
    samples: BTreeMap<(String, Labels), f64>,
}

impl Metrics {
    /// # Panics
    ///
    /// When it breaks a rule of the format.
    fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        let mut helps = BTreeSet::new();
        let mut family = String::new();
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "the last line is not ended"
        );
        for line in text.split_terminator('\n') {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a name and a text");
                assert!(!help.is_empty() && helps.insert(name.to_owned()), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a type");
                assert!(["counter", "gauge", "summary"].contains(&kind), "{line}");
                let before = metrics.types.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "twice: {line}");
                assert!(helps.contains(name), "no help before {line}");
                name.clone_into(&mut family);
            } else {
                let (name, labels, value) = sample(line);
                let kind = metrics.types.get(&family).expect("a type comes first");
                let suffix = name
                    .strip_prefix(&family)
                    .expect("it stands with its family");
                let allowed: &[&str] = match &**kind {
                    "summary" => &["", "_sum", "_count"],
                    _ => &[""],
                };
                assert!(allowed.contains(&suffix), "{line}");
                assert_eq!(
                    labels.contains_key("quantile"),
                    kind == "summary" && suffix.is_empty()
                );
                assert_eq!(family.ends_with("_total"), kind == "counter", "{family}");
                let before = metrics.samples.insert((name, labels), value);
                assert_eq!(before, None, "the same series twice: {line}");
            }
        }
        metrics
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter();
        let labels = labels.map(|&(label, value)| (label.to_owned(), value.to_owned()));
        let name = format!("evenkeel_{name}");
        self.samples.get(&(name, labels.collect())).copied()
    }

    /// Whom a metric has a series of.
    fn backends(&self, name: &str) -> BTreeSet<&str> {
        let name = format!("evenkeel_{name}");
        let samples = self.samples.keys().filter(|(other, _)| *other == name);
        samples.map(|(_, labels)| &*labels["backend"]).collect()
    }
}

fn sample(line: &str) -> (String, Labels, f64) {
    let (name, mut rest) = line.split_once('{').expect(line);
    let valid = |c: char| c.is_ascii_lowercase() || c == '_';
    assert!(
        name.starts_with("evenkeel_") && name.chars().all(valid),
        "{name}"
    );
    let mut labels = Labels::new();
    loop {
        let (label, quoted) = rest.split_once("=\"").expect(line);
        assert!(label.chars().all(valid), "{label}");
        let (mut value, mut chars) = (String::new(), quoted.char_indices());
        let end = loop {
            match chars.next().expect("a quote at the end") {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().expect("something after \\").1 {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    other => panic!("\\{other} in {line}"),
                }),
                (_, other) => value.push(other),
            }
        };
        assert!(
            labels.insert(label.to_owned(), value).is_none(),
            "twice: {line}"
        );
        let after = &quoted[end + 1..];
        if let Some(value) = after.strip_prefix("} ") {
            return (name.to_owned(), labels, value.parse().expect(line));
        }
        rest = after.strip_prefix(',').expect(line);
    }
}

async fn metrics(status: &Status) -> Metrics {
    Metrics::parse(&get(status, "/metrics").await)
}

#[tokio::test(start_paused = true)]
async fn what_happened_is_in_the_numbers() {
    let pool = pool(["a", "b"]);
    pool.set_weight("b", 3);
    let status = Status::new().pool("shop", &pool);
    let running = [(); 4].map(|()| start(&pool, "a"));
    sleep(Duration::from_millis(250)).await;
    for completion in running {
        completion.finish(Outcome::Success);
    }
    requests(&pool, "a", 2, Outcome::Failure(Failure::Gateway));
    requests(&pool, "b", 1, Outcome::Cancelled);
    let _running = start(&pool, "b");
    pool.drain("b");

    let metrics = metrics(&status).await;
    let [a, b] = ["a", "b"].map(|id| [("pool", "shop"), ("backend", id)]);
    let with = |labels: [(&'static str, &'static str); 2], more| [labels[0], labels[1], more];
    let failed = |kind| {
        let labels = [a[0], a[1], ("outcome", "failure"), ("error_type", kind)];
        metrics.value("attempts_total", &labels)
    };
    assert_eq!(
        (failed("gateway"), failed("connect")),
        (Some(2.0), Some(0.0))
    );
    for (name, labels, expected) in [
        ("attempts_total", with(a, ("outcome", "success")), 4.0),
        ("attempts_total", with(b, ("outcome", "cancelled")), 1.0),
        ("backend_state", with(b, ("state", "draining")), 1.0),
    ] {
        assert_eq!(
            metrics.value(name, &labels),
            Some(expected),
            "{name} {labels:?}"
        );
    }
    for (name, labels, expected) in [
        ("attempts_in_flight", b, Some(1.0)),
        ("backend_weight", b, Some(3.0)),
        ("backend_eligible", a, Some(1.0)),
        ("backend_eligible", b, Some(0.0)),
        ("backend_share_ratio", b, Some(0.0)),
        ("backend_max_in_flight_requests", a, None),
        ("backend_ejection_remaining_seconds", a, None),
        ("backend_latency_seconds_count", a, Some(4.0)),
        ("backend_latency_seconds_sum", a, Some(1.0)),
    ] {
        assert_eq!(metrics.value(name, &labels), expected, "{name} {labels:?}");
    }
    let median = metrics.value("backend_latency_seconds", &with(a, ("quantile", "0.5")));
    assert!(
        median.is_some_and(|median| (median - 0.25).abs() < 0.02),
        "{median:?}"
    );
    let of_pool = metrics.value("backends", &[("pool", "shop"), ("state", "draining")]);
    assert_eq!(of_pool, Some(1.0));
    let tier = [("pool", "shop"), ("priority", "0")];
    assert_eq!(metrics.value("tier_share_ratio", &tier), Some(1.0));
}

#[tokio::test]
async fn labels_are_escaped_and_read_as_they_were() {
    let pool = pool(HOSTILE);
    let name = "a\"b\\c\nd{}=,";
    let status = Status::new().pool(name, &pool);
    let metrics = metrics(&status).await;
    assert_eq!(metrics.backends("backend_weight"), BTreeSet::from(HOSTILE));
    for id in HOSTILE {
        let labels = [("pool", name), ("backend", id)];
        assert_eq!(
            metrics.value("backend_weight", &labels),
            Some(1.0),
            "{id:?}"
        );
    }
}

#[tokio::test]
async fn those_beyond_the_bound_are_one_series_whatever_they_are_called() {
    let pool = pool(["a", "other", "b", "c", "d"]);
    let status = Status::new().pool("shop", &pool).max_backends(2);
    for id in ["a", "other", "b", "c", "d"] {
        requests(&pool, id, 10, Outcome::Success);
    }
    pool.drain("c");
    let some = metrics(&status).await;
    assert_eq!(
        some.backends("backend_weight"),
        BTreeSet::from(["a", "b", "other"])
    );
    let other = [("pool", "shop"), ("backend", "other")];
    assert_eq!(some.value("backend_weight", &other), Some(3.0));
    assert_eq!(some.value("backend_eligible", &other), Some(2.0));
    let share = some.value("backend_share_ratio", &other).expect("a mean");
    assert!((share - 2.0 / 3.0).abs() < 1e-9, "{share}");
    let state = |state| [other[0], other[1], ("state", state)];
    assert_eq!(some.value("backend_state", &state("healthy")), Some(2.0));
    assert_eq!(some.value("backend_state", &state("draining")), Some(1.0));
    let outcome = [other[0], other[1], ("outcome", "success")];
    assert_eq!(some.value("attempts_total", &outcome), Some(30.0));

    // Where there is room, it is one like any other.
    let all = metrics(&status.max_backends(5)).await;
    assert_eq!(all.backends("backend_weight").len(), 5);
    assert_eq!(all.value("backend_weight", &other), Some(1.0));
}

#[tokio::test]
async fn several_pools_are_in_one_text_and_no_pool_is_an_empty_one() {
    let pools = ["a", "b"].map(|_| pool(["x", "y"]));
    let status = Status::new().pool("a", &pools[0]).pool("b", &pools[1]);
    let metrics = metrics(&status).await;
    for name in ["a", "b"] {
        let labels = [("pool", name), ("backend", "x")];
        assert_eq!(metrics.value("backend_weight", &labels), Some(1.0));
    }
    let all = metrics.backends("backend_weight");
    assert_eq!(all, BTreeSet::from(["x", "y"]));
    Metrics::parse(&get(&Status::new(), "/metrics").await);
}

#[tokio::test]
async fn prometheus_own_checker_finds_nothing_wrong() {
    let pool = pool(HOSTILE.into_iter().chain(["a"]));
    let status = Status::new().pool("shop", &pool);
    requests(&pool, "a", 3, Outcome::Success);
    let text = get(&status, "/metrics").await;
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        skip("there is no promtool (Debian: prometheus)");
        return;
    };
    let mut input = promtool.stdin.take().expect("it is piped");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
