//! What is refused, and what reports say of little.

use std::time::Duration;

use evenkeel::picker::Random;
use evenkeel::sim::{Capacities, Discipline, Report, Scenario, ScenarioBuilder, ServiceTime};

const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn refused(builder: ScenarioBuilder, message: &str) {
    assert_eq!(builder.build().unwrap_err().to_string(), message);
}

#[test]
fn values_out_of_bounds_are_refused_with_the_value_and_what_was_expected() {
    let ten = || Scenario::builder(10);
    refused(
        Scenario::builder(0),
        "invalid number of servers 0: expected 1 to 100,000",
    );
    refused(
        Scenario::builder(usize::MAX).speeds(|_| 2.0),
        "invalid number of servers 18446744073709551615: expected 1 to 100,000",
    );
    refused(
        ten().clients(0),
        "invalid number of clients 0: expected 1 to 100,000",
    );
    refused(ten().load(0.0), "invalid load 0: expected 0.001 to 100");
    refused(
        ten().load(f64::INFINITY),
        "invalid load inf: expected 0.001 to 100",
    );
    refused(
        ten().requests(0),
        "invalid number of requests 0: expected 1 to 4,000,000,000",
    );
    refused(
        ten().warm_up(1.0),
        "invalid warm-up 1: expected 0 to below 1",
    );
    refused(
        ten().speeds(|_| -1.0),
        "invalid speed -1: expected 0.001 to 1000",
    );
    refused(
        ten().step(0.5, [0], 0.0),
        "invalid speed 0: expected 0.001 to 1000",
    );
    refused(
        ten().step(0.5, [10], 1.0),
        "invalid server 10: expected one below the number of servers",
    );
    refused(
        ten().leave(1.5, [0]),
        "invalid moment, as a share of the run, 1.5: expected 0 to 1",
    );
    refused(
        ten().failing(0.0, 1.0, [0], f64::NAN),
        "invalid share of failures NaN: expected 0 to 1",
    );
    refused(
        ten().join(SECOND, 0..10),
        "invalid number of servers at the start 0: expected 1 or more",
    );
    refused(
        ten().discipline(Discipline::Fifo { slots: 0 }),
        "invalid number of slots 0: expected 1 to 1,000,000",
    );
    refused(
        ten().service(ServiceTime::constant(Duration::ZERO)),
        "invalid mean service time 0ns: expected 1 microsecond to 1 day",
    );
    refused(
        ten().hanging(0.9, 0.1, [3]),
        "invalid end of hanging of server 3: expected after its beginning",
    );
    refused(
        ten().timeout(Duration::ZERO),
        "invalid timeout 0ns: expected 1 microsecond to 1 day",
    );
    refused(
        ten().network_delay(Duration::MAX),
        "invalid network delay 18446744073709551615.999999999s: expected 1 microsecond to 1 day",
    );
    refused(
        ten().probes(Duration::MAX),
        "invalid cost of a probe 18446744073709551615.999999999s: expected 1 microsecond to 1 day",
    );
    refused(
        ten().disturbances(SECOND, SECOND, 0.0),
        "invalid speed 0: expected 0.001 to 1000",
    );
    refused(
        ten().capacities(Capacities::redrawn(SECOND).range(1.0, 2.0..=1.0)),
        "invalid capacity 1: expected what the range begins with, to 1000",
    );
}

#[test]
fn one_request_to_one_server_is_a_run() {
    let service = ServiceTime::constant(Duration::from_millis(80));
    let builder = Scenario::builder(1)
        .requests(1)
        .warm_up(0.0)
        .service(service);
    let report = builder.build().unwrap().run(1, |_| Random::new());
    assert_eq!((report.requests(), report.served()), (1, &[1][..]));
    assert_eq!(report.mean(), Duration::from_millis(80));
    for percent in [-1.0, 0.0, 50.0, 100.0, 1e9] {
        let off = report.percentile(percent).abs_diff(report.mean());
        assert!(off <= report.mean() / 1000, "p{percent}");
    }
    assert_eq!(report.latencies().map(|(_, count)| count).sum::<u64>(), 1);
    assert_eq!(report.periods().len(), 1);
    assert!((report.share(0) - 1.0).abs() < 1e-9);
    assert!(report.share(1).abs() < 1e-9);
}

#[test]
fn a_report_is_a_row_below_its_head() {
    let scenario = Scenario::builder(3).requests(1000).build().unwrap();
    let report = scenario.run(1, |_| Random::new());
    let row = report.to_string();
    assert_eq!(row.len(), Report::HEAD.len());
    assert_eq!(
        row.split_whitespace().count(),
        Report::HEAD.split_whitespace().count()
    );
}

#[test]
fn extreme_settings_come_to_an_end() {
    let day = Duration::from_secs(24 * 3600);
    let slow = Scenario::builder(1)
        .load(100.0)
        .speeds(|_| 0.001)
        .service(ServiceTime::hyperexponential(day, 100.0))
        .network_delay(day)
        .requests(20_000)
        .build()
        .unwrap();
    let report = slow.run(1, |_| Random::new());
    assert_eq!(report.requests(), 16_000);
    let fast = Scenario::builder(100_000)
        .load(100.0)
        .speeds(|_| 1000.0)
        .service(ServiceTime::constant(Duration::from_micros(1)))
        .requests(1000)
        .build()
        .unwrap();
    assert_eq!(fast.run(1, |_| Random::new()).requests(), 800);
}
