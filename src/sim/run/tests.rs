use std::time::Duration;

use super::*;
use crate::picker::Algorithm;

/// Everything that can go wrong does.
fn eventful() -> Scenario {
    let builder = Scenario::builder(10)
        .requests(5000)
        .clients(3)
        .network_delay(Duration::from_millis(20))
        .timeout(Duration::from_millis(400))
        .reports(true)
        .probes(Duration::from_millis(1))
        .failing(0.2, 0.6, [0, 1], 0.5)
        .hanging(0.3, 0.5, [2])
        .leave(0.4, [2, 3])
        .join(0.8, [3, 4]);
    builder.build().unwrap()
}

#[test]
fn no_request_is_left_in_flight_or_unanswered() {
    let scenario = eventful();
    for &algorithm in Algorithm::ALL {
        let clients = Clients::new(&scenario, &mut |_| algorithm.picker::<()>());
        let mut run = Run::new(&scenario, 1, Some(clients));
        let mut most = 0;
        while run.step() {
            let in_flight = run.clients.as_ref().map_or(0, Clients::in_flight);
            most = most.max(in_flight);
        }
        // Members that have left are no longer listed: their requests hold what counts them.
        assert!(most > 10, "{algorithm}");
        assert_eq!(run.jobs.completions(), 0, "{algorithm}");
        assert_eq!(run.clients.unwrap().in_flight(), 0, "{algorithm}");
        assert_eq!(run.tally.open(), 0, "{algorithm}");
        let report = run.tally.report(run.now);
        assert!(
            report.timeouts() > 0 && report.failures() > 0,
            "{algorithm}"
        );
    }
}
