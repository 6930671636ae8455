//! What an observer is told of.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::backend::{Event, Failure, Handle, Observation, Outcome};
use evenkeel::http::BalanceLayer;
use evenkeel::load::LoadReport;
use evenkeel::picker::{Adaptive, Context, LeastRequests, RoundRobin, Selector, Update};
use evenkeel::{Backend, BackendSet, Balance, Picker, Pool};
use http::{HeaderMap, Request, Response};
use tower::{Layer, ServiceExt, service_fn};

use crate::common::{echo, in_flight};

/// What was told, as words.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn observer(&self) -> impl Fn(&str, Handle, &Observation) + Send + Sync + 'static {
        let told = self.clone();
        move |backend: &str, _handle: Handle, observation: &Observation| {
            let what = match observation.event() {
                Event::Dispatched => "dispatched".to_owned(),
                Event::Head { outcome, .. } => format!("head, {outcome}"),
                Event::Ended { outcome, .. } => format!("ended, {outcome}"),
                Event::Reported(report) => format!("reported {:?}", report.in_flight()),
                Event::Probed(report) => format!("probed {:?}", report.in_flight()),
                _ => "something else".to_owned(),
            };
            told.0.lock().unwrap().push(format!("{backend}: {what}"));
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn jobs() -> Pool<u16> {
    Pool::from([Backend::new("a", 1)])
}

#[test]
fn each_step_of_an_attempt_is_told_with_its_backend() {
    let told = Told::default();
    let selector = Selector::new(jobs(), LeastRequests::new()).observer(told.observer());
    let (_, mut completion) = selector.select(&()).unwrap();
    assert_eq!(told.take(), ["a: dispatched"]);
    completion.report(LoadReport::new().with_in_flight(3));
    completion.head();
    assert_eq!(told.take(), ["a: reported Some(3)", "a: head, success"]);
    completion.finish(Outcome::Failure(Failure::Body));
    assert_eq!(told.take(), ["a: ended, the response broke off"]);

    let (_, completion) = selector.select(&()).unwrap();
    drop(completion);
    assert_eq!(told.take(), ["a: dispatched", "a: ended, cancelled"]);

    let a = selector.pool().get("a").unwrap().handle();
    let probed = Event::Probed(LoadReport::new().with_in_flight(7));
    selector.observe(a, &Observation::new(std::time::Instant::now(), probed));
    assert_eq!(told.take(), ["a: probed Some(7)"]);
}

#[test]
fn the_handle_is_that_of_the_member() {
    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let selector = Selector::new(jobs(), RoundRobin::new()).observer(
        move |_: &str, handle: Handle, _: &Observation| *note.lock().unwrap() = Some(handle),
    );
    drop(selector.select(&()));
    let member = selector.pool().get("a").unwrap().handle();
    assert_eq!(*seen.lock().unwrap(), Some(member));
}

#[test]
fn another_picker_and_another_membership_keep_the_observer() {
    let told = Told::default();
    let selector = Selector::new(jobs(), LeastRequests::new()).observer(told.observer());
    selector.set_picker(Adaptive::new());
    drop(selector.select(&()));
    assert_eq!(told.take(), ["a: dispatched", "a: ended, cancelled"]);
    selector.pool().insert(Backend::new("b", 2));
    selector.pool().remove("a");
    drop(selector.select(&()));
    assert_eq!(told.take(), ["b: dispatched", "b: ended, cancelled"]);
    selector.set_picker(|_: &dyn BackendSet, (): &(), _: &mut _| Some(0));
    drop(selector.clone().select(&()));
    assert_eq!(told.take(), ["b: dispatched", "b: ended, cancelled"]);
}

#[test]
fn a_picker_that_observes_is_told_as_before() {
    #[derive(Clone, Default)]
    struct Counting(Arc<Mutex<Vec<&'static str>>>);

    impl Picker<()> for Counting {
        fn pick(&self, _: &dyn BackendSet, (): &(), _: &mut Context) -> Option<usize> {
            Some(0)
        }

        fn observe(&self, _: Handle, _: &Observation) {
            self.0.lock().unwrap().push("picker");
        }
    }

    let (told, picker) = (Told::default(), Counting::default());
    let selector = Selector::new(jobs(), picker.clone()).observer(told.observer());
    let (_, completion) = selector.select(&()).unwrap();
    completion.finish(Outcome::Success);
    let ours = told.take();
    assert_eq!(ours.len(), 3, "{ours:?}");
    assert_eq!(picker.0.lock().unwrap().len(), 3);
}

#[test]
fn every_observer_that_was_set_is_told() {
    let (first, second) = (Told::default(), Told::default());
    let selector = Selector::new(jobs(), RoundRobin::new())
        .observer(first.observer())
        .observer(second.observer());
    drop(selector.select(&()));
    let steps = ["a: dispatched", "a: ended, cancelled"];
    assert_eq!(
        (first.take(), second.take()),
        (
            steps.map(str::to_owned).to_vec(),
            steps.map(str::to_owned).to_vec()
        )
    );
}

#[test]
fn an_observer_that_panics_harms_neither_the_request_nor_the_counts_nor_the_next_observer() {
    let told = Told::default();
    let panics = |_: &str, _: Handle, _: &Observation| panic!("an observer's own trouble");
    for picker in ["no observations", "observations"] {
        let selector = Selector::<_, ()>::new(jobs(), RoundRobin::new());
        if picker == "observations" {
            selector.set_picker(Adaptive::new());
        }
        let selector = selector.observer(panics).observer(told.observer());
        let (_, mut completion) = selector.select(&()).unwrap();
        assert_eq!(in_flight(selector.pool(), "a"), 1);
        completion.head();
        completion.finish(Outcome::Success);
        drop(selector.select(&()));
        assert_eq!(in_flight(selector.pool(), "a"), 0, "{picker}");
        assert_eq!(told.take().len(), 5, "{picker}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_balance_tells_of_each_attempt_that_it_makes() {
    let told = Told::default();
    let balance = Balance::round_robin([Backend::new("a", echo("a"))]).observer(told.observer());
    balance.clone().oneshot(()).await.unwrap();
    assert_eq!(
        told.take(),
        ["a: dispatched", "a: head, success", "a: ended, success"]
    );

    let failing =
        service_fn(|(): ()| async { Err::<(), io::Error>(io::ErrorKind::TimedOut.into()) });
    let balance = Balance::round_robin([Backend::new("b", failing)]).observer(told.observer());
    balance.oneshot(()).await.unwrap_err();
    assert_eq!(told.take(), ["b: dispatched", "b: ended, timed out"]);
}

#[tokio::test(start_paused = true)]
async fn over_http_an_attempt_ends_with_its_body_and_reports_are_told() {
    fn report(headers: &mut HeaderMap) -> Option<LoadReport> {
        let load = headers.get("load")?.to_str().ok()?.parse().ok()?;
        Some(LoadReport::new().with_in_flight(load))
    }

    let told = Told::default();
    let client = service_fn(|_: Request<()>| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let response = Response::builder().header("load", "4");
        Ok::<_, io::Error>(response.body("body".to_owned()).unwrap())
    });
    let pool = Pool::of_addresses(["10.0.0.1:80"]).unwrap();
    let layer = BalanceLayer::<()>::least_requests(pool)
        .believe_load_reports(report)
        .observer(told.observer());
    let response = layer.layer(client).oneshot(Request::new(())).await.unwrap();
    let steps = ["dispatched", "reported Some(4)", "head, success"];
    assert_eq!(
        told.take(),
        steps.map(|step| format!("10.0.0.1:80: {step}"))
    );
    drop(response);
    assert_eq!(told.take(), ["10.0.0.1:80: ended, cancelled"]);
}

/// What comes to be told of while another picker is prepared, which takes its time.
#[test]
fn an_observer_that_is_added_while_a_picker_is_set_is_told_of_that_one_too() {
    struct AddsAnObserver {
        selector: Selector<u16, ()>,
        told: Told,
        done: AtomicBool,
    }

    impl Picker<()> for AddsAnObserver {
        fn pick(&self, _: &dyn BackendSet, (): &(), _: &mut Context) -> Option<usize> {
            Some(0)
        }

        fn prepare(&self, _: &Update<'_>) -> Option<Arc<dyn Picker<()>>> {
            if !self.done.swap(true, Ordering::Relaxed) {
                drop(self.selector.clone().observer(self.told.observer()));
            }
            None
        }
    }

    let (told, selector) = (Told::default(), Selector::new(jobs(), RoundRobin::new()));
    selector.set_picker(AddsAnObserver {
        selector: selector.clone(),
        told: told.clone(),
        done: AtomicBool::new(false),
    });
    drop(selector.select(&()));
    assert_eq!(told.take(), ["a: dispatched", "a: ended, cancelled"]);
}

/// Whoever changes the pool or the picker meanwhile, nobody goes without an observer.
#[test]
fn observers_that_are_added_while_everything_changes_are_told() {
    for round in 0..200 {
        let selector = Selector::<u16, ()>::new(jobs(), RoundRobin::new());
        let told = Told::default();
        std::thread::scope(|scope| {
            scope.spawn(|| selector.pool().set_weight("a", round + 2));
            scope.spawn(|| selector.set_picker(LeastRequests::new()));
            scope.spawn(|| drop(selector.clone().observer(told.observer())));
        });
        drop(selector.select(&()));
        assert_eq!(told.take().len(), 2, "round {round}");
    }
}
