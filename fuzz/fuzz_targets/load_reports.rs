//! Whatever a backend sends as a report, it is read or refused, and what is read can be written and
//! read again.

#![no_main]

use evenkeel::http::load_reports::{Format, HEADER, parse};
use evenkeel::load::LoadReport;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fn is_load(number: Option<f64>) -> bool {
    number.is_none_or(|number| number.is_finite() && number >= 0.0)
}

fn parsed(value: HeaderValue) -> Option<LoadReport> {
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, value);
    match parse(&headers) {
        Ok(report) => Some(report.expect("there is one")),
        Err(error) => {
            assert!(error.to_string().len() < 1_000);
            None
        }
    }
}

fuzz_target!(|input: &[u8]| {
    // Some of what is no header is a text still.
    let text = std::str::from_utf8(input).ok();
    let as_text = text.map(|text| text.parse::<LoadReport>().ok());
    let Ok(value) = HeaderValue::from_bytes(input) else {
        return;
    };
    let report = parsed(value);
    assert!(as_text.is_none_or(|as_text| as_text == report));
    let Some(report) = report else {
        return;
    };
    assert!(is_load(report.application_utilization()));
    assert!(is_load(report.cpu_utilization()));
    assert!(is_load(report.memory_utilization()));
    assert!(is_load(report.requests_per_second()));
    assert!(is_load(report.errors_per_second()));
    for format in [Format::Text, Format::Json] {
        let again = parsed(format.header_value(&report)).expect("it is valid");
        assert_eq!(again.requests_per_second(), report.requests_per_second());
        assert_eq!(again.utilization(), report.utilization());
        assert_eq!(again.in_flight(), report.in_flight());
    }
});
