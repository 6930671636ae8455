//! The same seed gives the same run.

use std::time::Duration;

use evenkeel::picker::Algorithm;
use evenkeel::sim::{Period, Report, Scenario};

/// With everything that draws or reads a clock, were there one.
fn scenario(name: &str) -> Scenario {
    let builder = Scenario::named(name).unwrap();
    builder
        .clients(5)
        .requests(2000)
        .network_delay(Duration::from_millis(3))
        .timeout(Duration::from_secs(2))
        .build()
        .unwrap()
}

fn run(scenario: &Scenario, seed: u64, algorithm: Algorithm) -> Report {
    scenario.run(seed, |_| algorithm.picker::<()>())
}

#[test]
fn the_same_seed_gives_the_same_report_with_every_picker() {
    // Every picker on one scenario, and one picker, which looks at everything, on all.
    let all_pickers = Algorithm::ALL.iter().map(|&algorithm| (algorithm, "w6"));
    let names = Scenario::NAMES.iter();
    let all_names = names.map(|&name| (Algorithm::Adaptive, name));
    for (algorithm, name) in all_pickers.chain(all_names) {
        let scenario = scenario(name);
        let report = run(&scenario, 7, algorithm);
        // In a thread of its own, whose random source is another.
        let again = std::thread::scope(|scope| {
            let thread = scope.spawn(|| run(&scenario, 7, algorithm));
            thread.join().unwrap()
        });
        assert_eq!(report, again, "{algorithm} on {name}");
    }
}

#[test]
fn another_seed_gives_other_numbers() {
    let scenario = scenario("w1");
    let (one, other) = (
        run(&scenario, 1, Algorithm::LeastRequests),
        run(&scenario, 2, Algorithm::LeastRequests),
    );
    assert_eq!((one.seed(), other.seed()), (1, 2));
    assert_ne!(one.mean(), other.mean());
    assert_ne!(one.served(), other.served());
}

#[test]
fn different_pickers_meet_the_same_requests() {
    let scenario = scenario("w1");
    let starts = |algorithm| {
        let report = run(&scenario, 1, algorithm);
        let periods = report.periods().iter();
        periods.map(Period::start).collect::<Vec<_>>()
    };
    let expected = starts(Algorithm::Random);
    for &algorithm in Algorithm::ALL {
        assert_eq!(starts(algorithm), expected, "{algorithm}");
    }
}

#[test]
fn the_thread_s_random_source_is_left_as_it_was() {
    fastrand::seed(5);
    let expected = fastrand::u64(..);
    fastrand::seed(5);
    let report = run(&scenario("w1"), 1, Algorithm::RoundRobin);
    assert!(report.requests() > 0);
    assert_eq!(fastrand::u64(..), expected);
}
