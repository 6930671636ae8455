//! What queueing theory knows the answer to.

use std::time::Duration;

use evenkeel::picker::{ExactLeastRequests, LeastRequests, Random, RoundRobin};
use evenkeel::sim::{Capacities, Discipline, Report, Scenario, ScenarioBuilder, ServiceTime};

use super::{assert_close, units};

const MS: Duration = Duration::from_millis(1);

/// The mean over seeds, to have many independent beginnings.
fn average(reports: &[Report], value: impl Fn(&Report) -> f64) -> f64 {
    reports.iter().map(value).sum::<f64>() / reports.len() as f64
}

fn plain(servers: usize) -> ScenarioBuilder {
    Scenario::builder(servers).requests(150_000)
}

#[test]
fn random_picks_are_queues_of_their_own() {
    // At 0.5, since queues forget so much faster there than at 0.9.
    let scenario = plain(100).load(0.5).requests(400_000).build().unwrap();
    let report = scenario.run(1, |_| Random::new());
    // M/M/1: exponential, of mean 1 / (1 - load).
    let mean = 1.0 / 0.5;
    assert_close("mean", units(report.mean()), mean, 0.02);
    for percent in [50.0, 90.0, 99.0] {
        let expected = -mean * f64::ln(1.0 - percent / 100.0);
        let measured = units(report.percentile(percent));
        assert_close(&format!("p{percent}"), measured, expected, 0.02);
    }
}

#[test]
fn two_choices_follow_their_mean_field() {
    // Mitzenmacher: the mean is the sum of load to the power of (2^k - 2), for k from 1 on.
    let expected: f64 = (1..20).map(|k| 0.9_f64.powi(2_i32.pow(k) - 2)).sum();
    assert_close("the formula", expected, 2.614, 0.001);
    // With fewer servers it is above that, with 100 by 1.6 %.
    let scenario = plain(400).requests(400_000).build().unwrap();
    let report = scenario.run(1, |_| LeastRequests::new());
    assert_close("mean", units(report.mean()), expected, 0.02);
}

#[test]
fn the_central_queue_is_that_of_erlang() {
    let (servers, load) = (20, 0.9);
    let scenario = plain(servers).load(load).build().unwrap();
    let reports: Vec<_> = (0..2)
        .map(|seed| scenario.run_central_queue(seed))
        .collect();
    let offered = servers as f64 * load;
    let blocked = (1..=servers).fold(1.0, |blocked, k| {
        offered * blocked / (k as f64 + offered * blocked)
    });
    let waits = blocked / (1.0 - load * (1.0 - blocked));
    let rate = servers as f64 * (1.0 - load);
    let expected = 1.0 + waits / rate;
    let mean = average(&reports, |report| units(report.mean()));
    assert_close("mean", mean, expected, 0.02);
    // The share that takes longer than what p99 is measured to be.
    let p99 = average(&reports, |report| units(report.percentile(99.0)));
    let longer = |t: f64| {
        let both = (rate * (-t).exp() - (-rate * t).exp()) / (rate - 1.0);
        (1.0 - waits) * (-t).exp() + waits * both
    };
    let expected = (0..10_000)
        .map(|i| f64::from(i) / 1e3)
        .find(|&t| longer(t) < 0.01);
    assert_close("p99", p99, expected.unwrap(), 0.02);
}

#[test]
fn sharing_servers_have_a_mean_that_does_not_depend_on_the_law() {
    for service in [
        ServiceTime::exponential(100 * MS),
        ServiceTime::constant(100 * MS),
        ServiceTime::hyperexponential(100 * MS, 1.5),
    ] {
        let scenario = plain(50)
            .load(0.5)
            .service(service)
            .discipline(Discipline::ProcessorSharing { slots: 1 })
            .build()
            .unwrap();
        let report = scenario.run(1, |_| Random::new());
        assert_close(&format!("{service:?}"), units(report.mean()), 2.0, 0.02);
    }
}

#[test]
fn servers_with_several_slots_are_those_of_erlang_whether_in_order_or_sharing() {
    // M/M/2 has the mean 1 / (1 - load^2), and so does sharing, as long as work is exponential.
    let expected = 1.0 / (1.0 - 0.6 * 0.6);
    for discipline in [
        Discipline::Fifo { slots: 2 },
        Discipline::ProcessorSharing { slots: 2 },
    ] {
        let scenario = plain(50).load(0.6).discipline(discipline).build().unwrap();
        let report = scenario.run(1, |_| Random::new());
        let mean = units(report.mean());
        assert_close(&format!("{discipline:?}"), mean, expected, 0.02);
    }
}

#[test]
fn constant_service_halves_the_wait_and_the_delay_comes_on_top() {
    // Pollaczek and Khinchine: the wait is load / (1 - load) * (1 + variation^2) / 2.
    let scenario = plain(50)
        .load(0.6)
        .service(ServiceTime::constant(100 * MS))
        .network_delay(25 * MS)
        .build()
        .unwrap();
    let report = scenario.run(1, |_| Random::new());
    assert_close("mean", units(report.mean()), 1.0 + 0.75 + 0.5, 0.02);
}

#[test]
fn the_load_is_relative_to_speeds_and_slots_and_capacities_change_it() {
    let half_speed = plain(50).load(0.7).speeds(|_| 0.5).build().unwrap();
    let report = half_speed.run(1, |_| Random::new());
    assert_close("at half speed", units(report.mean()), 2.0 / 0.3, 0.03);

    // Twice of what the load is relative to is there.
    let double = plain(50)
        .load(0.7)
        .capacities(Capacities::redrawn(500 * MS).range(1.0, 2.0..=2.0))
        .build()
        .unwrap();
    let report = double.run(1, |_| Random::new());
    assert_close("at twice", units(report.mean()), 0.5 / 0.65, 0.02);
}

#[test]
fn one_client_that_sees_everything_comes_close_to_the_central_queue_and_many_do_not() {
    let p99 = |scenario: &Scenario| {
        let report = scenario.run(1, |_| ExactLeastRequests::new());
        units(report.percentile(99.0))
    };
    let one = plain(50).requests(100_000).build().unwrap();
    let central = units(one.run_central_queue(1).percentile(99.0));
    let many = one.to_builder().clients(50).build().unwrap();
    assert!(p99(&one) < central * 1.2);
    // A client knows of a 50th of the queues: not much better than turns.
    let turns = units(many.run(1, |_| RoundRobin::new()).percentile(99.0));
    assert!(p99(&many) > central * 3.0);
    assert!(p99(&many) < turns * 1.1);
}
