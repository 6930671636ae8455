//! The figures that the guide gives, with fewer requests, and so with wider bounds.

use evenkeel::picker::{Adaptive, C3, ExactLeastRequests, LeastRequests, Picker, Prequal, Random};
use evenkeel::sim::{Report, Scenario, ScenarioBuilder};

/// Alike servers, exponential service times, load 0.9, and nothing but responses to go by.
fn alike(clients: usize, requests: u64) -> ScenarioBuilder {
    Scenario::builder(100).clients(clients).requests(requests)
}

fn run<P: Picker<()> + 'static>(scenario: &ScenarioBuilder, picker: impl Fn() -> P) -> Report {
    let scenario = scenario.clone().build().expect("valid");
    scenario.run(101, |_client| picker())
}

fn p99<P: Picker<()> + 'static>(scenario: &ScenarioBuilder, picker: impl Fn() -> P) -> f64 {
    run(scenario, picker).percentile(99.0).as_secs_f64()
}

#[test]
fn one_client_does_as_well_as_with_exact_least_requests() {
    for helped in [false, true] {
        let mut scenario = alike(1, 50_000);
        if helped {
            scenario = scenario.reports(true).probes(std::time::Duration::ZERO);
        }
        let (adaptive, exact) = (
            p99(&scenario, Adaptive::new),
            p99(&scenario, ExactLeastRequests::new),
        );
        let off = (adaptive / exact - 1.0).abs();
        assert!(off < 0.03, "{adaptive} s, not {exact} s, helped: {helped}");
    }
}

#[test]
fn a_hundred_clients_with_probes_do_better_than_with_prequal_or_c3() {
    let scenario = alike(100, 30_000)
        .reports(true)
        .probes(std::time::Duration::ZERO);
    let adaptive = p99(&scenario, Adaptive::new);
    let prequal = p99(&scenario, Prequal::new);
    let c3 = p99(&scenario, || C3::new().clients(100).expect("valid"));
    assert!(
        adaptive < prequal / 1.2,
        "{adaptive} s, prequal: {prequal} s"
    );
    assert!(adaptive < c3, "{adaptive} s, c3: {c3} s");
}

#[test]
fn a_hundred_clients_without_any_help_do_much_better_than_with_least_requests() {
    let scenario = alike(100, 100_000);
    let adaptive = p99(&scenario, Adaptive::new);
    let least = p99(&scenario, LeastRequests::new);
    assert!(adaptive * 1.5 < least, "{adaptive} s, not {least} s");
}

#[test]
fn a_server_that_hangs_gets_a_small_part_of_its_share() {
    let scenario = Scenario::named("hanging").expect("it is known");
    let scenario = scenario.requests(30_000);
    let (adaptive, random) = (run(&scenario, Adaptive::new), run(&scenario, Random::new));
    let timeouts = (adaptive.timeouts(), random.timeouts());
    assert!(timeouts.0 * 4 < timeouts.1, "{timeouts:?}");
}

#[test]
fn servers_that_fail_get_few_requests() {
    let scenario = Scenario::named("failing").expect("it is known");
    let scenario = scenario.requests(30_000);
    let failures = [
        run(&scenario, Adaptive::new).failures(),
        run(&scenario, ExactLeastRequests::new).failures(),
    ];
    // Each of ten clients has to meet each of five servers first.
    assert!(
        failures[0] > 0 && failures[0] * 3 < failures[1],
        "{failures:?}"
    );
}
