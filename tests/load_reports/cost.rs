//! What allocates nothing.

use std::time::{Duration, Instant};

use allocation_counter::measure;
use axum::http::{HeaderMap, HeaderValue};
use evenkeel::Picker;
use evenkeel::backend::{Event, Handle, Observation};
use evenkeel::http::load_reports::{HEADER, read};
use evenkeel::load::{LoadMeter, LoadReport};
use evenkeel::picker::{Context, ReportedWeightedRoundRobin, Update};

#[test]
fn a_report_in_text_is_read_without_an_allocation_valid_or_not() {
    let mut headers = HeaderMap::new();
    for report in [
        "TEXT application_utilization=0.25, rps_fractional=1234.5, named_metrics.in_flight=7",
        "TEXT application_utilization=0.25, rps_fractional=NaN",
        "TEXT application_utilization=0.25, and so on",
        "BIN AAAA",
    ] {
        headers.insert(HEADER, HeaderValue::from_static(report));
        let memory = measure(|| _ = read(&mut headers));
        assert_eq!(memory.count_total, 0, "{report}");
    }
}

#[test]
fn a_meter_allocates_nothing_for_a_request_or_a_report() {
    let meter = LoadMeter::new();
    drop(meter.start());
    let memory = measure(|| {
        let mut request = meter.start();
        request.answered();
        drop(request);
        let mut request = meter.start();
        request.failed();
        assert!(meter.report().latency().is_some());
    });
    assert_eq!(memory.count_total, 0);
}

#[test]
fn a_picker_allocates_nothing_for_a_pick_a_report_or_a_new_period() {
    let set = ["a", "b", "c"];
    let picker = ReportedWeightedRoundRobin::new().blackout_period(Duration::ZERO);
    let picker: std::sync::Arc<dyn Picker<()>> = picker.prepare(&Update::new(&set, &set)).unwrap();
    let start = Instant::now();
    let report = LoadReport::new()
        .with_requests_per_second(10.0)
        .with_cpu_utilization(0.5);
    let memory = measure(|| {
        for second in 0..10 {
            let now = start + Duration::from_secs(second);
            let reported = Observation::new(now, Event::Reported(report));
            for slot in 0..3 {
                picker.observe(Handle::of_slot(slot), &reported);
                let rank = picker.pick(&set, &(), &mut Context::new().at(now));
                assert!(rank.is_some());
            }
        }
    });
    assert_eq!(memory.count_total, 0);
}
