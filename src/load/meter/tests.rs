use std::time::Duration;

use super::*;

fn meter() -> (LoadMeter, impl Fn(u64) -> Instant) {
    let start = Instant::now();
    let at = move |millis| start + Duration::from_millis(millis);
    (LoadMeter::new_at(start), at)
}

fn millis(report: &LoadReport) -> Option<u128> {
    let latency = report.latency()?;
    Some((latency.as_secs_f64() * 1e3).round() as u128)
}

#[test]
fn requests_are_in_flight_until_their_guards_are_dropped_however_they_end() {
    let meter = LoadMeter::new();
    let (mut answered, mut failed, cancelled) =
        (meter.start(), meter.start(), meter.clone().start());
    assert_eq!(meter.in_flight(), 3);
    answered.answered();
    failed.failed();
    assert_eq!(meter.report().in_flight(), Some(3));
    drop(cancelled);
    drop(answered);
    assert_eq!(meter.in_flight(), 1);
    drop(failed);
    assert_eq!(meter.report().in_flight(), Some(0));
}

#[test]
fn a_panic_leaves_nothing_in_flight() {
    let meter = LoadMeter::new();
    let caught = std::panic::catch_unwind(|| {
        let _request = meter.start();
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(caught.is_err());
    assert_eq!(meter.in_flight(), 0);
}

#[test]
fn every_request_counts_once_for_the_rate_and_failed_ones_as_errors() {
    let (meter, at) = meter();
    let mut answered = meter.start_at(at(0));
    answered.answered_at(at(10));
    answered.answered_at(at(20));
    let mut failed = meter.start_at(at(0));
    failed.failed_at(at(10));
    failed.failed_at(at(20));
    failed.answered_at(at(30));
    let mut broke_off = meter.start_at(at(0));
    broke_off.answered_at(at(10));
    broke_off.failed_at(at(20));
    let rates = |at| {
        let report = meter.report_at(at);
        let rates = (report.requests_per_second(), report.errors_per_second());
        (rates.0.unwrap(), rates.1.unwrap())
    };
    assert_eq!(rates(at(1_000)), (3.0, 2.0));
    drop((answered, failed, broke_off));
    assert_eq!(rates(at(1_000)), (3.0, 2.0));
}

#[test]
fn who_was_given_up_counts_for_the_rate_and_is_no_answer() {
    let meter = LoadMeter::new();
    drop(meter.start());
    let report = meter.report();
    assert_eq!(report.requests_per_second(), Some(1.0));
    assert_eq!(report.errors_per_second(), Some(0.0));
    assert_eq!(report.latency(), None);
}

#[test]
fn a_failure_is_no_answer_however_fast_it_was() {
    let (meter, at) = meter();
    let mut slow = meter.start_at(at(0));
    slow.answered_at(at(100));
    drop(slow);
    for _ in 0..20 {
        let mut request = meter.start_at(at(200));
        request.failed_at(at(201));
    }
    assert_eq!(millis(&meter.report_at(at(300))), Some(100));
}

#[test]
fn latency_is_that_of_requests_that_found_as_many_others() {
    let (meter, at) = meter();
    // Each takes 10 ms for each that is in flight with it.
    for _ in 0..16 {
        let mut requests: Vec<_> = (0..6).map(|_| meter.start_at(at(0))).collect();
        for (others, request) in (1..).zip(&mut requests) {
            request.answered_at(at(10 * others));
        }
    }
    assert_eq!(millis(&meter.report_at(at(1_000))), Some(10));
    let _four = [(); 4].map(|()| meter.start_at(at(1_000)));
    assert_eq!(millis(&meter.report_at(at(1_000))), Some(50));
}

#[test]
fn utilization_is_the_larger_of_what_was_set_and_what_the_capacity_says() {
    let meter = LoadMeter::new();
    let utilization = |meter: &LoadMeter| meter.report().application_utilization();
    assert_eq!(utilization(&meter), None);
    meter.set_utilization(0.3);
    assert_eq!(utilization(&meter), Some(0.3));
    let meter = meter.capacity(4).unwrap();
    assert_eq!(utilization(&meter), Some(0.3));
    let _two = [meter.start(), meter.start()];
    assert_eq!(utilization(&meter), Some(0.5));
    meter.set_utilization(1.5);
    assert_eq!(utilization(&meter), Some(1.5));
    for none in [f64::NAN, f64::INFINITY, -0.1] {
        meter.set_utilization(1.5);
        meter.set_utilization(none);
        assert_eq!(utilization(&meter), Some(0.5), "{none}");
    }
}

#[test]
fn what_is_set_of_processors_and_memory_is_reported() {
    let meter = LoadMeter::new();
    meter.set_cpu_utilization(0.25);
    meter.set_memory_utilization(0.75);
    let report = meter.report();
    assert_eq!(report.cpu_utilization(), Some(0.25));
    assert_eq!(report.memory_utilization(), Some(0.75));
    meter.set_cpu_utilization(f64::NAN);
    assert_eq!(meter.report().cpu_utilization(), None);
}

#[test]
fn no_capacity_is_refused() {
    let error = LoadMeter::new().capacity(0).unwrap_err();
    let expected = "invalid capacity 0: expected 1 to 4294967295";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn nothing_is_lost_between_threads() {
    let (meter, at) = meter();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for step in 0..5_000 {
                    let mut request = meter.start_at(at(step));
                    request.answered_at(at(step + 1));
                }
            });
        }
    });
    let report = meter.report_at(at(5_000));
    assert_eq!(report.in_flight(), Some(0));
    assert_eq!(report.requests_per_second(), Some(4_000.0));
    assert_eq!(millis(&report), Some(1));
}
