//! Why a request went where it did, when somebody asks.

use std::convert::Infallible;
use std::io;
use std::time::Instant;

use evenkeel::backend::Outcome;
use evenkeel::http::{BalanceLayer, ReplayBody, recommended};
use evenkeel::observe::{ExplainLayer, Explainable, Explained, ExplainedPick, PickLog};
use evenkeel::picker::hash::{Keyed, Maglev, key_of};
use evenkeel::picker::{
    Algorithm, Context, ExactLeastRequests, LeastRequests, Ordered, Prequal, Random, RoundRobin,
    Selector, WeightedRandom, WeightedRoundRobin,
};
use evenkeel::{Backend, BackendSet, Picker, Pool};
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use tower::{Layer, ServiceExt, service_fn};

const HEADER: HeaderName = HeaderName::from_static("x-explain-pick");

/// A job, and where to say why it went where it did.
#[derive(Clone, Default)]
struct Job {
    log: Option<PickLog>,
}

impl Job {
    fn logged() -> (Self, PickLog) {
        let log = PickLog::new();
        (
            Self {
                log: Some(log.clone()),
            },
            log,
        )
    }
}

impl Explainable for Job {
    fn pick_log(&self) -> Option<&PickLog> {
        self.log.as_ref()
    }
}

fn jobs() -> Pool<()> {
    Pool::from(["a", "b", "c", "d"].map(|id| Backend::new(id, ())))
}

fn only(log: &PickLog) -> ExplainedPick {
    let picks = log.picks();
    assert_eq!(picks.len(), 1, "{log}");
    picks.into_iter().next().unwrap()
}

#[test]
fn a_pick_says_who_was_looked_at_with_which_load_and_by_which_rule() {
    let selector = Selector::new(jobs(), Explained::new(LeastRequests::new())).seed(7);
    let busy: Vec<_> = (0..10)
        .map(|_| selector.select(&Job::default()).unwrap())
        .collect();
    let (job, log) = Job::logged();
    let before: Vec<_> = selector.pool().list();
    let ((), completion) = selector.select(&job).unwrap();
    let pick = only(&log);
    assert_eq!(pick.picked(), Some(completion.backend()));
    assert_eq!((pick.eligible(), pick.looked_at()), (4, 2));
    let [one, other] = pick.candidates() else {
        panic!("{pick}")
    };
    for candidate in [one, other] {
        let info = before
            .iter()
            .find(|info| info.id() == candidate.id())
            .unwrap();
        assert_eq!(
            (candidate.in_flight(), candidate.weight()),
            (info.in_flight(), 1)
        );
    }
    let least = if other.in_flight() < one.in_flight() {
        other
    } else {
        one
    };
    assert_eq!(pick.picked(), Some(least.id()));
    assert!(pick.rule().starts_with("fewest requests in flight"));
    drop(busy);
}

#[test]
fn a_picker_that_looks_at_nobody_is_explained_by_whom_it_picks() {
    let selector = Selector::new(jobs(), Explained::new(RoundRobin::starting_at(2)));
    let (job, log) = Job::logged();
    let _completion = selector.select(&job).unwrap();
    let pick = only(&log);
    assert_eq!(pick.picked(), Some("c"));
    assert_eq!(pick.candidates().len(), 1);
}

#[test]
fn a_closure_is_explained_by_what_it_reads() {
    let picker = |set: &dyn BackendSet, _: &Job, _: &mut Context| {
        (0..set.len()).find(|&rank| set.metadata(rank, "price") == Some("2"))
    };
    let pool = jobs();
    pool.insert(Backend::new("b", ()).metadata("price", "2"));
    let selector = Selector::new(pool.clone(), Explained::new(picker));
    let (job, log) = Job::logged();
    let _completion = selector.select(&job).unwrap();
    let pick = only(&log);
    assert_eq!((pick.picked(), pick.looked_at()), (Some("b"), 2));
    assert_eq!(pick.rule(), "the picker's own rule");

    pool.remove("b");
    let (job, log) = Job::logged();
    selector.select(&job).unwrap_err();
    assert_eq!((only(&log).picked(), only(&log).looked_at()), (None, 3));
    assert!(log.to_string().starts_with("none of 3"), "{log}");
}

#[test]
fn however_many_are_looked_at_the_list_has_a_bound_and_the_picked_one_is_on_it() {
    let pool: Pool<()> = (0..100)
        .map(|n| Backend::new(format!("b{n}"), ()))
        .collect();
    let last = |set: &dyn BackendSet, _: &Job, _: &mut Context| {
        (0..set.len())
            .filter(|&rank| set.in_flight(rank) == 0)
            .last()
    };
    let selector = Selector::new(pool, Explained::new(last));
    let (job, log) = Job::logged();
    let _completion = selector.select(&job).unwrap();
    let pick = only(&log);
    assert_eq!(pick.looked_at(), 100);
    assert_eq!(pick.candidates().len(), ExplainedPick::MAX_CANDIDATES + 1);
    assert_eq!(pick.candidates().last().unwrap().id(), "b99");
    assert!(pick.to_string().ends_with(", and 83 more"), "{pick}");
}

/// Picks 200 times with the same chances and at the same times, while the pool changes.
fn sent(picker: impl Picker<Job> + 'static, log: bool) -> Vec<String> {
    let pool = jobs();
    let selector = Selector::new(pool.clone(), picker);
    let start = Instant::now();
    let mut running = Vec::new();
    let mut backends = Vec::new();
    for turn in 0..200 {
        if turn == 50 {
            pool.set_weight("c", 3);
        }
        if turn == 100 {
            pool.drain("a");
        }
        let job = if log { Job::logged().0 } else { Job::default() };
        let mut cx = Context::new().seed(turn).at(start);
        let ((), completion) = selector.select_with(&job, &mut cx).unwrap();
        backends.push(completion.backend().to_owned());
        running.push(completion);
        if turn % 3 == 0 {
            // Cancelled: how long it took is not learnt, for that is never the same twice.
            drop(running.swap_remove((turn as usize * 7) % running.len()));
        }
    }
    backends
}

/// Those that go by latency are left out: it is never the same twice.
#[test]
fn whoever_is_explained_picks_as_before() {
    fn same<P: Picker<Job> + 'static>(picker: impl Fn() -> P) {
        let name = std::any::type_name::<P>();
        assert_eq!(
            sent(Explained::new(picker()), true),
            sent(picker(), false),
            "{name}"
        );
    }

    same(|| RoundRobin::starting_at(1));
    same(|| WeightedRoundRobin::starting_at(1));
    same(Random::new);
    same(WeightedRandom::new);
    same(LeastRequests::new);
    same(ExactLeastRequests::new);
    same(Ordered::new);
    same(Prequal::new);
    same(|| Keyed::new(Maglev::new(), key_of(|_: &Job| Some("a key".into()))));
    // A boxed one, which sheds its box when it is prepared.
    same(|| Algorithm::LeastRequests.picker::<Job>());
}

#[test]
fn every_picker_of_this_crate_says_by_what_it_picks() {
    let mut rules: Vec<_> = Algorithm::ALL
        .iter()
        .map(|algorithm| algorithm.picker::<()>().rule())
        .collect();
    assert!(rules.iter().all(|rule| *rule != "the picker's own rule"));
    rules.sort_unstable();
    rules.dedup();
    assert_eq!(rules.len(), Algorithm::ALL.len());
}

#[test]
fn a_request_without_a_log_costs_no_allocation() {
    let selector = Selector::new(jobs(), Explained::new(LeastRequests::new()));
    let job = Job::default();
    let request = || {
        let ((), completion) = selector.select(&job).unwrap();
        completion.finish(Outcome::Success);
    };
    request();
    assert_eq!(allocation_counter::measure(request).count_total, 0);
}

type Body = ReplayBody<Empty<&'static [u8]>>;

/// The first backend refuses connections.
async fn client(request: Request<Body>) -> io::Result<Response<Full<&'static [u8]>>> {
    assert!(
        !request.headers().contains_key(HEADER),
        "it is not passed on"
    );
    match request.uri().host() {
        Some("10.0.0.1") => Err(io::ErrorKind::ConnectionRefused.into()),
        _ => Ok(Response::new(Full::new(&b"hello"[..]))),
    }
}

fn ask(header: bool) -> Request<Empty<&'static [u8]>> {
    let mut request = Request::get("http://shop.example/");
    if header {
        request = request.header(HEADER, "please");
    }
    request.body(Empty::new()).unwrap()
}

fn explanation<B>(response: &Response<B>) -> Option<&str> {
    let value = response.headers().get(HEADER)?;
    Some(value.to_str().expect("visible ASCII"))
}

#[tokio::test(start_paused = true)]
async fn a_response_says_why_if_the_request_asks_and_lists_each_attempt() {
    let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"]).unwrap();
    let picker = Explained::new(Ordered::new());
    let balance = BalanceLayer::<Body>::new(pool, picker).layer(service_fn(client));
    let service = ExplainLayer::new(HEADER).layer(recommended(balance));

    let response = service.clone().oneshot(ask(false)).await.unwrap();
    assert_eq!(explanation(&response), None);
    let response = service.oneshot(ask(true)).await.unwrap();
    let why = explanation(&response).unwrap();
    let rule = "the first with room; the least loaded of all if none has";
    let picks: Vec<_> = why.split("; then ").collect();
    assert_eq!(picks.len(), 2, "{why}");
    assert!(
        picks[0].starts_with(&format!("\"10.0.0.1:80\" of 2, {rule}: ")),
        "{why}"
    );
    assert!(
        picks[1].starts_with(&format!("\"10.0.0.2:80\" of 1, {rule}: ")),
        "{why}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_failed_is_explained_around_responses_for_errors() {
    let pool = Pool::of_addresses(["10.0.0.1:80"]).unwrap();
    let balance = BalanceLayer::<Body>::new(pool.clone(), Explained::new(Ordered::new()));
    let service = recommended(balance.layer(service_fn(client))).into_http_responses();
    let service = ExplainLayer::new(HEADER).layer(service);
    let Ok::<_, Infallible>(response) = service.clone().oneshot(ask(true)).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert!(
        explanation(&response)
            .unwrap()
            .starts_with("\"10.0.0.1:80\" of 1")
    );

    pool.remove("10.0.0.1:80");
    let Ok(response) = service.oneshot(ask(true)).await;
    let why = explanation(&response).unwrap();
    assert_eq!(
        why,
        "nothing was picked, or not by a picker that is explained"
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_ids_hold_the_header_is_valid_and_bounded() {
    let hostile = [
        "a\r\nset-cookie: x=1",
        "b\0\u{7f}",
        "naïve ✓",
        "\"; then \"",
        "\\",
    ];
    let backends = hostile.iter().cycle().take(60).enumerate();
    let backends = backends.map(|(n, id)| {
        let service = service_fn(|_: Request<()>| async {
            Ok::<_, io::Error>(Response::new(Full::new(&b""[..])))
        });
        Backend::new(format!("{id}{n}"), service)
    });
    let pool: Pool<_> = backends.collect();
    let all = |set: &dyn BackendSet, _: &Request<()>, _: &mut Context| {
        (0..set.len()).filter(|&rank| set.weight(rank) > 0).last()
    };
    let balance = evenkeel::Balance::new(pool, Explained::new(all)).count_to_body_end();
    for max in [0, 64, 65, 66, 67, 68, 300, 2048] {
        let service = ExplainLayer::new(HEADER)
            .max_length(max)
            .layer(balance.clone());
        let mut request = Request::new(());
        request.headers_mut().insert(HEADER, "1".parse().unwrap());
        let response = service.oneshot(request).await.unwrap();
        let value = response.headers().get(HEADER).unwrap();
        let why = value.to_str().expect("visible ASCII");
        assert!(why.len() <= max.max(64), "{max}: {why}");
        assert!(max == 2048 || why.ends_with("..."), "{max}: {why}");
        assert_eq!(response.headers().len(), 1);
        // Nothing is cut in the middle of an escape.
        let cut = why.trim_end_matches("...");
        assert!(
            !cut.ends_with("\\u{") && !cut.ends_with("\\u"),
            "{max}: {why}"
        );
    }
}
