//! What happens meanwhile: steps, failures, hangs, joins, leaves; and what pickers are told.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use evenkeel::backend::{Event, Failure, Handle, Observation, Outcome};
use evenkeel::picker::{Context, LeastRequests, LeastResponseTime, Random, RoundRobin};
use evenkeel::sim::{Period, Report, Scenario, ServiceTime};
use evenkeel::{BackendSet, Picker};

use super::{assert_close, units};

const MS: Duration = Duration::from_millis(1);

fn share_of(periods: &[Period], server: usize) -> f64 {
    let shares = periods.iter().map(|period| period.share(server));
    shares.sum::<f64>() / periods.len() as f64
}

#[test]
fn a_server_that_becomes_slow_gets_less_from_then_on() {
    let scenario = Scenario::builder(10)
        .requests(60_000)
        .step(0.5, [3], 0.1)
        .build()
        .unwrap();
    let report = scenario.run(1, |_| LeastRequests::new());
    let (before, after) = report.periods().split_at(30);
    assert_close("before", share_of(before, 3), 0.1, 0.1);
    assert!(share_of(after, 3) < 0.03);
    assert!(after[29].mean() > before[29].mean());
}

#[test]
fn servers_get_nothing_before_they_join_and_after_they_leave() {
    let scenario = Scenario::builder(10)
        .requests(60_000)
        .clients(4)
        .load(0.5)
        .join(0.5, [0])
        .leave(0.5, [1])
        .leave(0.25, [2])
        .join(0.75, [2])
        .build()
        .unwrap();
    let report = scenario.run(1, |_| RoundRobin::new());
    // A period at each change may see both sides.
    let periods = report.periods();
    let share = |server, from: usize, to: usize| share_of(&periods[from..to], server);
    assert!(share(0, 0, 28) == 0.0 && share(0, 32, 60) > 0.09);
    assert!(share(1, 0, 28) > 0.09 && share(1, 32, 60) == 0.0);
    assert!(share(2, 0, 13) > 0.09 && share(2, 17, 43) == 0.0 && share(2, 47, 60) > 0.09);
    assert_eq!(
        (report.unserved(), report.timeouts(), report.failures()),
        (0, 0, 0)
    );
}

#[test]
fn when_all_have_left_nobody_is_served() {
    let builder = Scenario::builder(3).requests(10_000).warm_up(0.0);
    let scenario = builder.leave(0.5, 0..3).build().unwrap();
    let report = scenario.run(1, |_| LeastRequests::new());
    assert_close("unserved", report.unserved() as f64, 5000.0, 0.1);
    let answered: u64 = report.latencies().map(|(_, count)| count).sum();
    assert_eq!(answered + report.unserved(), 10_000);
    assert_close("executions", report.executions_per_request(), 0.5, 0.1);
}

#[test]
fn failures_are_counted_and_are_no_fast_successes() {
    let scenario = Scenario::builder(10)
        .requests(50_000)
        .load(0.5)
        .warm_up(0.0)
        .failing(0.0, 1.0, [4], 0.5)
        .build()
        .unwrap();
    let report = scenario.run(1, |_| Random::new());
    assert_close("failures", report.failures() as f64, 2500.0, 0.1);
    let answered: u64 = report.latencies().map(|(_, count)| count).sum();
    assert_eq!(answered + report.failures(), 50_000);
    // The picker is told: it counts a failure as slow.
    let report = scenario.run(1, |_| LeastResponseTime::new());
    assert!(report.share(4) < 0.05, "{}", report.share(4));
}

#[test]
fn those_that_hang_lead_to_timeouts_and_go_on_afterwards() {
    let scenario = Scenario::builder(10)
        .requests(40_000)
        .warm_up(0.0)
        .load(0.5)
        .timeout(3000 * MS)
        .hanging(0.25, 0.5, [0])
        .build()
        .unwrap();
    let report = scenario.run(1, |_| Random::new());
    // A tenth of the requests of a quarter of the time; and of those after it, that wait behind
    // them, fewer than as many again.
    let timeouts = report.timeouts() as f64;
    assert!((1000.0..2100.0).contains(&timeouts), "{timeouts}");
    assert!(report.max() <= 3003 * MS);
    let last = report.periods().last().unwrap();
    assert_close("in the end", units(last.mean()), 2.0, 0.4);
    // Who counts requests in flight has few of them there.
    let report = scenario.run(1, |_| LeastRequests::new());
    assert!((report.timeouts() as f64) < timeouts / 3.0);
}

/// Counts what it is told, and asks for a probe of whom it picks.
#[derive(Default)]
struct Listening {
    dispatched: AtomicU64,
    reported: AtomicU64,
    probed: AtomicU64,
    heads: AtomicU64,
    succeeded: AtomicU64,
    timed_out: AtomicU64,
    /// Anything that it should not have been told.
    odd: AtomicU64,
    told: Mutex<Vec<(Instant, Event)>>,
    handles: Mutex<HashSet<Handle>>,
}

impl Picker<()> for Listening {
    fn pick(&self, set: &dyn BackendSet, (): &(), cx: &mut Context) -> Option<usize> {
        let rank = cx.random_below(set.len());
        self.handles.lock().unwrap().insert(set.handle(rank));
        cx.probe(set.handle(rank));
        Some(rank)
    }

    /// Panics are for the tests: here, one would end the program while the first is unwinding.
    fn observe(&self, backend: Handle, observation: &Observation) {
        let known = self.handles.lock().unwrap().contains(&backend);
        let counter = match observation.event() {
            _ if !known => &self.odd,
            Event::Dispatched => &self.dispatched,
            Event::Reported(report) => match (report.in_flight(), report.latency()) {
                (Some(1..), Some(_)) => &self.reported,
                _ => &self.odd,
            },
            Event::Probed(report) if report.in_flight().is_some() => &self.probed,
            Event::Head { .. } => &self.heads,
            Event::Ended { outcome, .. } => match outcome {
                Outcome::Success => &self.succeeded,
                Outcome::Failure(Failure::Timeout) => &self.timed_out,
                _ => &self.odd,
            },
            _ => &self.odd,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap();
        told.push((observation.at(), observation.event()));
    }
}

fn listen(scenario: &Scenario) -> (Arc<Listening>, Report) {
    let picker = Arc::new(Listening::default());
    let report = scenario.run(1, |_| Arc::clone(&picker));
    (picker, report)
}

#[test]
fn pickers_are_told_of_every_step_every_report_and_every_answer_to_a_probe() {
    let scenario = Scenario::builder(5)
        .requests(2000)
        .warm_up(0.0)
        .clients(3)
        .load(0.8)
        .network_delay(5 * MS)
        .timeout(1000 * MS)
        .reports(true)
        .probes(Duration::ZERO)
        .build()
        .unwrap();
    let (picker, report) = listen(&scenario);
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!(count(&picker.odd), 0);
    assert_eq!(count(&picker.dispatched), 2000);
    assert!(report.timeouts() > 0);
    assert_eq!(count(&picker.timed_out), report.timeouts());
    let in_time = 2000 - report.timeouts();
    for counter in [&picker.reported, &picker.heads, &picker.succeeded] {
        assert_eq!(count(counter), in_time);
    }
    assert!((report.probes_per_request() - 1.0).abs() < 1e-9);
    // The last ones may be on their way when all is over.
    assert!(count(&picker.probed) > 1990);

    // Virtual time only moves on, and latencies are those of the report.
    let told = picker.told.lock().unwrap();
    assert!(told.is_sorted_by_key(|&(at, _)| at));
    let latencies = told.iter().filter_map(|(_, event)| match event {
        Event::Head { latency, .. } => Some(*latency),
        _ => None,
    });
    let sum: Duration = latencies.sum();
    let mean = (sum + 1000 * MS * report.timeouts() as u32) / 2000;
    assert!(mean.abs_diff(report.mean()) < MS);
    assert!(told.first().unwrap().0 + report.length() >= told.last().unwrap().0);
}

#[test]
fn each_client_is_told_of_its_own_requests_and_probes_only() {
    let scenario = Scenario::builder(5)
        .requests(1000)
        .clients(3)
        .probes(Duration::ZERO)
        .build()
        .unwrap();
    let pickers: [Arc<Listening>; 3] = Default::default();
    let report = scenario.run(1, |client| Arc::clone(&pickers[client]));
    assert!(report.requests() > 0);
    let sum = |counter: fn(&Listening) -> &AtomicU64| -> u64 {
        let counters = pickers.iter().map(|picker| counter(picker));
        counters.map(|count| count.load(Ordering::Relaxed)).sum()
    };
    // A handle that it has not picked would be odd: no other pool has it.
    assert_eq!(sum(|picker| &picker.odd), 0);
    assert_eq!(sum(|picker| &picker.probed), 1000);
    for picker in &pickers {
        let dispatched = picker.dispatched.load(Ordering::Relaxed);
        assert_close("of a third", dispatched as f64, 1000.0 / 3.0, 0.1);
        assert_eq!(picker.probed.load(Ordering::Relaxed), dispatched);
    }
}

#[test]
fn without_reports_and_probes_there_are_none() {
    let builder = Scenario::builder(5).requests(1000);
    let (picker, report) = listen(&builder.build().unwrap());
    assert_eq!(picker.reported.load(Ordering::Relaxed), 0);
    assert_eq!(picker.probed.load(Ordering::Relaxed), 0);
    assert!(report.probes_per_request() == 0.0);
}

#[test]
fn probes_that_cost_work_take_it_from_requests() {
    let scenario = |cost| {
        let builder = Scenario::builder(20).requests(100_000).load(0.5);
        let service = ServiceTime::constant(100 * MS);
        builder.service(service).probes(cost).build().unwrap()
    };
    let (_, free) = listen(&scenario(Duration::ZERO));
    let (_, dear) = listen(&scenario(40 * MS));
    // Pollaczek and Khinchine, alone: 1 + load / (1 - load) / 2. With a probe of 0.4 right
    // after each request, as much work comes as with requests of 1.4, and the load is 0.7.
    assert_close("free", units(free.mean()), 1.5, 0.02);
    let wait = 0.5 * 1.4 * 1.4 / (2.0 * 0.3);
    assert_close("dear", units(dear.mean()), 1.0 + wait, 0.02);
}
