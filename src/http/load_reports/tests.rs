use std::time::Duration;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> LoadReport {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    let error = text.parse::<LoadReport>().expect_err(text).to_string();
    let problem = error.strip_prefix("invalid load report: ");
    problem.expect("it begins with that").to_owned()
}

fn all() -> LoadReport {
    LoadReport::new()
        .with_application_utilization(0.8)
        .with_cpu_utilization(0.7)
        .with_memory_utilization(0.9)
        .with_requests_per_second(1000.5)
        .with_errors_per_second(2.0)
        .with_in_flight(12)
        .with_latency(Duration::from_millis(35))
        .with_service_time(Duration::from_millis(7))
}

#[test]
fn text_is_a_list_of_names_and_numbers() {
    let equals = "TEXT cpu_utilization=0.7,application_utilization=0.8,mem_utilization=0.9,\
        rps_fractional=1000.5,eps=2,named_metrics.in_flight=12,named_metrics.latency=0.035,\
        named_metrics.service_time=0.007";
    assert_eq!(parsed(equals), all());
    assert_eq!(parsed(&equals.replace('=', ":")), all());
    assert_eq!(
        parsed(&equals.replace('=', " = ").replace(',', " ,  ")),
        all()
    );
    assert_eq!(parsed("TEXT eps=2e3").errors_per_second(), Some(2_000.0));
}

#[test]
fn json_is_an_orca_load_report() {
    let snake = r#"JSON {"cpu_utilization": 0.7, "application_utilization": 0.8,
        "mem_utilization": 0.9, "rps_fractional": 1000.5, "eps": 2,
        "named_metrics": {"in_flight": 12, "latency": 0.035, "service_time": 0.007}}"#;
    assert_eq!(parsed(snake), all());
    let camel = r#"JSON {"cpuUtilization": 0.7, "applicationUtilization": 0.8,
        "memUtilization": 0.9, "rpsFractional": 1000.5, "eps": 2,
        "namedMetrics": {"in_flight": 12, "latency": 0.035, "service_time": 0.007}}"#;
    assert_eq!(parsed(camel), all());
}

#[test]
fn an_empty_list_is_an_empty_report() {
    for empty in [
        "TEXT",
        "TEXT ",
        "TEXT  ",
        "JSON {}",
        "JSON  {\"named_metrics\": {}} ",
    ] {
        assert_eq!(parsed(empty), LoadReport::new(), "{empty:?}");
    }
}

#[test]
fn unknown_names_are_skipped_and_their_values_not_looked_at() {
    let text = "TEXT foo=bar, named_metrics.foo=NaN, utilization.disk=-1, eps=2, CPU_UTILIZATION=x";
    assert_eq!(parsed(text), LoadReport::new().with_errors_per_second(2.0));
    let json = r#"JSON {"foo": [1, null], "rps": "7", "request_cost": {"x": "y"}, "eps": 2,
        "in_flight": "top level", "named_metrics": {"foo": null, "eps": -1}}"#;
    assert_eq!(parsed(json), LoadReport::new().with_errors_per_second(2.0));
}

#[test]
fn what_is_no_load_is_refused_with_its_name_and_value() {
    for given in [
        "NaN", "inf", "-inf", "infinity", "-1", "-0.1", "1e999", "x", "\"0.7\"", "0.7 0.8", "0x1",
    ] {
        for name in [
            "cpu_utilization",
            "eps",
            "named_metrics.in_flight",
            "named_metrics.latency",
        ] {
            assert_eq!(
                refused(&format!("TEXT eps_=1, {name}={given}")),
                format!("{name} is {given:?}, expected a number from 0")
            );
        }
    }
    for given in ["null", "\"0.7\"", "-1", "[]", "{}", "true"] {
        assert_eq!(
            refused(&format!("JSON {{\"eps\": {given}}}")),
            format!("eps is {given:?}, expected a number from 0")
        );
        assert_eq!(
            refused(&format!(
                "JSON {{\"named_metrics\": {{\"latency\": {given}}}}}"
            )),
            format!("named_metrics.latency is {given:?}, expected a number from 0")
        );
    }
    // More than a duration can hold.
    let endless = refused("TEXT named_metrics.latency=1e300");
    assert_eq!(
        endless,
        "named_metrics.latency is \"1e300\", expected a number from 0"
    );
}

#[test]
fn a_value_in_an_error_is_cut_after_40_characters() {
    let long = "ä".repeat(1_000);
    let short = "ä".repeat(40);
    assert_eq!(
        refused(&format!("TEXT eps={long}")),
        format!("eps is {short:?}, expected a number from 0")
    );
    let short = format!("\"{}", "ä".repeat(39));
    assert_eq!(
        refused(&format!("JSON {{\"eps\": \"{long}\"}}")),
        format!("eps is {short:?}, expected a number from 0")
    );
}

#[test]
fn what_is_no_entry_is_refused() {
    for (text, entry) in [
        ("TEXT eps", "eps"),
        ("TEXT eps=", "eps="),
        ("TEXT =1", "=1"),
        ("TEXT eps=1,", ""),
        ("TEXT eps=1,,cpu_utilization=1", ""),
        ("TEXT , eps=1", ""),
    ] {
        assert_eq!(
            refused(text),
            format!("{entry:?}, expected NAME=NUMBER"),
            "{text}"
        );
    }
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    assert_eq!(refused("TEXT eps=1, eps=1"), "eps twice");
    assert_eq!(
        refused(r#"JSON {"cpu_utilization": 1, "cpuUtilization": 1}"#),
        "cpu_utilization twice"
    );
    assert_eq!(
        refused(r#"JSON {"named_metrics": {"latency": 1}, "namedMetrics": {"latency": 1}}"#),
        "named_metrics.latency twice"
    );
}

#[test]
fn what_is_no_json_object_or_goes_on_behind_it_is_refused() {
    for text in [
        "JSON",
        "JSON {",
        r#"JSON {"eps": 1} x"#,
        r#"JSON {"eps": NaN}"#,
        r#"JSON {"eps": 1e999}"#,
    ] {
        assert!(!refused(text).contains("expected an object"), "{text}");
    }
    assert_eq!(
        refused("JSON [1]"),
        "JSON of something else, expected an object"
    );
    assert_eq!(
        refused(r#"JSON {"named_metrics": 1}"#),
        "named_metrics of something else, expected an object"
    );
    let deep = format!("JSON {}", "[".repeat(8_000));
    assert!(
        refused(&deep).contains("recursion limit"),
        "{}",
        refused(&deep)
    );
}

#[test]
fn other_formats_are_refused() {
    for (text, format) in [
        ("", ""),
        ("eps=1", "eps=1"),
        ("BIN CQAAAAAAAOA/", "BIN"),
        ("text eps=1", "text"),
        (" TEXT eps=1", ""),
        ("TEXTeps=1", "TEXTeps=1"),
        ("TEXT\teps=1", "TEXT\teps=1"),
    ] {
        assert_eq!(
            refused(text),
            format!("format {format:?}, expected TEXT or JSON")
        );
    }
}

#[test]
fn reports_end_at_8_kib_and_64_entries() {
    let padded = |length: usize| {
        let report = "TEXT eps=1";
        format!("{report}{}", " ".repeat(length - report.len()))
    };
    assert_eq!(parsed(&padded(8192)).errors_per_second(), Some(1.0));
    assert_eq!(refused(&padded(8193)), "8193 bytes, expected 8192 at most");
    let ten_megabytes = padded(10 << 20);
    assert_eq!(
        refused(&ten_megabytes),
        "10485760 bytes, expected 8192 at most"
    );

    let text = |entries: usize| {
        let others: Vec<_> = (1..entries).map(|at| format!("x{at}=1")).collect();
        format!("TEXT {}, eps=1", others.join(", "))
    };
    assert_eq!(parsed(&text(64)).errors_per_second(), Some(1.0));
    assert_eq!(refused(&text(65)), "more than 64 entries");
    let json = |entries: usize| {
        let metrics: Vec<_> = (2..entries).map(|at| format!("\"x{at}\": 1")).collect();
        format!(
            "JSON {{\"eps\": 1, \"named_metrics\": {{{}}}}}",
            metrics.join(", ")
        )
    };
    assert_eq!(parsed(&json(64)).errors_per_second(), Some(1.0));
    assert_eq!(refused(&json(65)), "more than 64 entries");
}

#[test]
fn requests_in_flight_are_rounded_down_to_what_there_can_be() {
    let in_flight =
        |given: &str| parsed(&format!("TEXT named_metrics.in_flight={given}")).in_flight();
    assert_eq!(in_flight("3.99"), Some(3));
    assert_eq!(in_flight("1e30"), Some(u32::MAX));
}

#[test]
fn of_several_headers_the_first_counts_and_all_are_taken_out() {
    let mut headers = HeaderMap::new();
    for value in ["TEXT eps=1", "TEXT eps=2", "x"] {
        headers.append(HEADER, HeaderValue::from_static(value));
    }
    assert_eq!(read(&mut headers).unwrap().errors_per_second(), Some(1.0));
    assert_eq!(headers.len(), 3);
    assert_eq!(take(&mut headers).unwrap().errors_per_second(), Some(1.0));
    assert!(headers.is_empty());
    assert_eq!(take(&mut headers), None);
}

#[test]
fn a_value_that_is_not_utf_8_is_refused() {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_bytes(b"TEXT eps=1, \xff=1").unwrap();
    headers.insert(HEADER, value);
    let error = parse(&headers).unwrap_err();
    assert_eq!(error.to_string(), "invalid load report: expected UTF-8");
    assert_eq!(read(&mut headers), None);
}

fn reports() -> impl Strategy<Value = LoadReport> {
    let number = || {
        prop::option::of(prop_oneof![
            0.0..2.0,
            0.0..1e9,
            Just(f64::MAX),
            Just(5e-324)
        ])
    };
    let latency = prop::option::of(0u64..86_400_000_000_000);
    let rates = (number(), number());
    let utilizations = (number(), number(), number());
    let parts = (utilizations, rates, prop::option::of(any::<u32>()), latency);
    parts.prop_map(
        |((application, cpu, memory), (rps, eps), in_flight, latency)| {
            let or_none = |number: Option<f64>| number.unwrap_or(f64::NAN);
            let mut report = LoadReport::new()
                .with_application_utilization(or_none(application))
                .with_cpu_utilization(or_none(cpu))
                .with_memory_utilization(or_none(memory))
                .with_requests_per_second(or_none(rps))
                .with_errors_per_second(or_none(eps));
            if let Some(in_flight) = in_flight {
                report = report.with_in_flight(in_flight);
            }
            if let Some(latency) = latency {
                report = report.with_latency(Duration::from_nanos(latency));
            }
            report
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(report in reports()) {
        for format in [Format::Text, Format::Json] {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, format.header_value(&report));
            prop_assert_eq!(parse(&headers), Ok(Some(report)), "{:?}", headers);
        }
    }

    #[test]
    fn whatever_a_backend_sends_is_a_report_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_value(&bytes);
    }

    #[test]
    fn what_looks_nearly_like_a_report_is_one_or_none(
        json: bool,
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "cpu_utilization", "eps", "named_metrics", ".", "latency", "in_flight", "=", ":",
                ",", " ", "{", "}", "\"", "1", "0.5", "-", "e9", "NaN", "null", "[", "]", "\u{e4}",
            ]),
            0..40,
        ),
    ) {
        let text = format!("{} {}", if json { "JSON" } else { "TEXT" }, pieces.concat());
        if let Ok(report) = text.parse::<LoadReport>() {
            let numbers = [
                report.cpu_utilization(),
                report.errors_per_second(),
                report.latency().map(|latency| latency.as_secs_f64()),
            ];
            prop_assert!(numbers.iter().flatten().all(|number| number.is_finite() && *number >= 0.0));
        }
    }
}
