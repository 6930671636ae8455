//! That the metrics say what has happened.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::time::Duration;

use evenkeel::backend::{Failure, Outcome};
use evenkeel::balance::Attempted;
use evenkeel::http::{Address, BalanceLayer, ReplayBody, recommended_with};
use evenkeel::observe::Metrics;
use evenkeel::picker::{RoundRobin, Selector};
use evenkeel::retry::Budget;
use evenkeel::{Backend, Pool};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tower::{Layer, ServiceExt, service_fn};

type Body = ReplayBody<Empty<&'static [u8]>>;

/// Every series of a scrape with its value.
#[derive(Debug)]
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    fn of(prometheus: &PrometheusHandle) -> Self {
        let text = prometheus.render();
        let lines = text.lines();
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let series = lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        });
        Self(series.collect())
    }

    /// The sum of all series of a name that have all of these labels.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let named = self.0.iter().filter(|(series, _)| {
            let of_name = series.strip_prefix(name);
            of_name.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        });
        let labelled = named.filter(|(series, _)| {
            let mut labels = labels.iter();
            labels.all(|(label, value)| series.contains(&format!("{label}=\"{value}\"")))
        });
        labelled.map(|(_, value)| value).sum()
    }

    fn of_backend(&self, name: &str, backend: &str) -> f64 {
        self.sum(name, &[("backend", backend)])
    }

    /// The values of the label `backend`.
    fn backends(&self) -> Vec<&str> {
        let mut values: Vec<_> = self
            .0
            .keys()
            .filter_map(|series| series.split_once("backend=\"")?.1.split_once('"'))
            .map(|(value, _)| value)
            .collect();
        values.sort_unstable();
        values.dedup();
        values
    }
}

fn prometheus() -> (PrometheusRecorder, PrometheusHandle) {
    let builder = PrometheusBuilder::new().set_buckets(&[0.001, 0.1, 10.0]);
    let recorder = builder.unwrap().build_recorder();
    let handle = recorder.handle();
    (recorder, handle)
}

/// Runs with a recorder of its own, on paused time.
fn recorded<F: Future>(recorder: &PrometheusRecorder, test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    ::metrics::with_local_recorder(recorder, || runtime.block_on(test))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

const REQUESTS: usize = 200;

/// The first refuses connections, the second is not available, the others answer.
async fn shop(request: Request<Body>) -> io::Result<Response<Full<&'static [u8]>>> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    let status = match request.uri().host() {
        Some("10.0.0.1") => return Err(io::ErrorKind::ConnectionRefused.into()),
        Some("10.0.0.2") => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let response = Response::builder().status(status);
    Ok(response.body(Full::new(&b"hello"[..])).unwrap())
}

/// Sends requests one after another; returns how many failed.
async fn load(pool: &Pool<Address>, metrics: &Metrics, budget: &Budget) -> usize {
    let balance = BalanceLayer::<Body>::round_robin(pool.clone()).observer(metrics.clone());
    let service = recommended_with(balance.layer(service_fn(shop)), |retry| {
        // Both of a pair are told.
        let nobody = |_: &[Attempted]| {};
        retry
            .budget(budget.clone())
            .observer((nobody, metrics.clone()))
    });
    let mut failed = 0;
    for _ in 0..REQUESTS {
        let request = Request::get("http://shop.example/").body(Empty::new());
        match service.clone().oneshot(request.unwrap()).await {
            Ok(response) if response.status() == StatusCode::OK => {
                response.into_body().collect().await.unwrap();
            }
            _ => failed += 1,
        }
    }
    failed
}

#[test]
fn the_numbers_of_the_recommended_stack_add_up() {
    let (recorder, prometheus) = prometheus();
    recorded(&recorder, async {
        let addresses = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"];
        let pool = Pool::of_addresses(addresses).unwrap();
        let budget = Budget::new();
        let metrics = Metrics::new(&pool).name("shop").budget(budget.clone());
        let failed = load(&pool, &metrics, &budget).await as f64;
        let sent = REQUESTS as f64;
        assert!(metrics.publish());
        let scrape = Scrape::of(&prometheus);

        // What the caller saw, and what was counted.
        let requests = |labels: &[_]| scrape.sum("evenkeel_requests_total", labels);
        assert!(close(requests(&[]), sent));
        assert!(close(requests(&[("outcome", "success")]), sent - failed));
        assert!(close(requests(&[("outcome", "failure")]), failed));

        // What was picked has ended, and only then.
        let picks = scrape.sum("evenkeel_picks_total", &[]);
        assert!(close(scrape.sum("evenkeel_attempts_total", &[]), picks));
        assert!(close(
            scrape.sum("evenkeel_attempt_duration_seconds_count", &[]),
            picks
        ));
        let retries = scrape.sum("evenkeel_retries_total", &[]);
        assert!(retries > 0.0 && close(sent + retries, picks));
        let attempts = |backend, kind| {
            let labels = [
                ("backend", backend),
                ("outcome", "failure"),
                ("error_type", kind),
            ];
            scrape.sum("evenkeel_attempts_total", &labels)
        };
        let refused = attempts("10.0.0.1:80", "connect");
        let unavailable = attempts("10.0.0.2:80", "gateway");
        assert!(close(
            refused,
            scrape.of_backend("evenkeel_picks_total", "10.0.0.1:80")
        ));
        assert!(close(
            unavailable,
            scrape.of_backend("evenkeel_picks_total", "10.0.0.2:80")
        ));
        let succeeded = scrape.sum("evenkeel_attempts_total", &[("outcome", "success")]);
        assert!(close(succeeded, sent - failed));
        assert!(close(picks, refused + unavailable + succeeded));

        // A refused connection has no head; all others took ten milliseconds.
        let heads = scrape.sum("evenkeel_attempt_head_seconds_count", &[]);
        assert!(close(heads, picks - refused));
        let took = scrape.sum("evenkeel_attempt_head_seconds_sum", &[]);
        assert!(
            (took - 0.01 * heads).abs() < 0.005 * heads,
            "{took} s for {heads}"
        );

        // Both that fail were found out, and the pool says so.
        for backend in ["10.0.0.1:80", "10.0.0.2:80"] {
            assert!(scrape.of_backend("evenkeel_ejections_total", backend) >= 1.0);
        }
        let status = pool.status();
        let ejected = scrape.sum("evenkeel_backends", &[("state", "ejected")]);
        let trial = scrape.sum("evenkeel_backends", &[("state", "trial")]);
        assert!(close(ejected + trial, status.ejected() as f64));
        assert!(close(scrape.sum("evenkeel_backends", &[]), 4.0));
        let healthy = scrape.sum("evenkeel_healthy_ratio", &[]);
        assert!(close(healthy, status.healthy() as f64 / 4.0));
        let eligible = pool.list().iter().filter(|info| info.is_eligible()).count();
        assert!(close(
            scrape.sum("evenkeel_backend_eligible", &[]),
            eligible as f64
        ));
        assert!(close(scrape.sum("evenkeel_attempts_in_flight", &[]), 0.0));
        assert!(close(scrape.sum("evenkeel_queued_requests", &[]), 0.0));
        let tokens = scrape.sum("evenkeel_retry_budget_tokens", &[]);
        assert!((tokens - budget.available()).abs() < 1.0);
        assert!(
            scrape
                .0
                .keys()
                .all(|series| series.contains("pool=\"shop\""))
        );
    });
}

#[test]
fn a_request_counts_as_ended_when_its_body_does() {
    let (recorder, prometheus) = prometheus();
    recorded(&recorder, async {
        let client = service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(Full::new(&b"hello"[..])))
        });
        let pool = Pool::of_addresses(["10.0.0.1:80"]).unwrap();
        let metrics = Metrics::new(&pool);
        let layer = BalanceLayer::<()>::least_requests(pool.clone()).observer(metrics.clone());
        let service = layer.layer(client);
        let read = service.clone().oneshot(Request::new(())).await.unwrap();
        let dropped = service.oneshot(Request::new(())).await.unwrap();
        metrics.publish();
        let before = Scrape::of(&prometheus);
        assert!(close(before.sum("evenkeel_picks_total", &[]), 2.0));
        assert!(close(
            before.sum("evenkeel_attempt_head_seconds_count", &[]),
            2.0
        ));
        assert!(close(before.sum("evenkeel_attempts_in_flight", &[]), 2.0));
        assert!(close(before.sum("evenkeel_attempts_total", &[]), 0.0));

        read.into_body().collect().await.unwrap();
        drop(dropped);
        metrics.publish();
        let after = Scrape::of(&prometheus);
        for outcome in ["success", "cancelled"] {
            let count = after.sum("evenkeel_attempts_total", &[("outcome", outcome)]);
            assert!(close(count, 1.0), "{outcome}");
        }
        assert!(close(after.sum("evenkeel_attempts_in_flight", &[]), 0.0));
    });
}

fn jobs<const N: usize>(ids: [&'static str; N]) -> Pool<()> {
    Pool::from(ids.map(|id| Backend::new(id, ())))
}

fn counted(pool: &Pool<()>, metrics: &Metrics) -> Selector<(), ()> {
    Selector::new(pool.clone(), RoundRobin::starting_at(0)).observer(metrics.clone())
}

#[test]
fn more_backends_than_have_a_place_share_one() {
    let (recorder, prometheus) = prometheus();
    recorded(&recorder, async {
        let pool = jobs(["a", "b", "c", "d", "e"]);
        let metrics = Metrics::new(&pool).max_backends(2);
        let selector = counted(&pool, &metrics);
        let running: Vec<_> = (0..10).map(|_| selector.select(&()).unwrap()).collect();
        metrics.publish();
        let scrape = Scrape::of(&prometheus);
        assert_eq!(scrape.backends(), ["a", "b", "other"]);
        for name in ["evenkeel_picks_total", "evenkeel_attempts_in_flight"] {
            let counts = ["a", "b", "other"].map(|id| scrape.of_backend(name, id));
            assert!(
                counts
                    .into_iter()
                    .zip([2.0, 2.0, 6.0])
                    .all(|(a, b)| close(a, b)),
                "{name}"
            );
        }
        assert!(close(
            scrape.of_backend("evenkeel_backend_eligible", "other"),
            3.0
        ));
        drop(running);
        metrics.publish();
        let scrape = Scrape::of(&prometheus);
        assert!(close(scrape.sum("evenkeel_attempts_in_flight", &[]), 0.0));
        assert!(close(
            scrape.of_backend("evenkeel_attempts_total", "other"),
            6.0
        ));
    });
}

#[test]
fn new_ids_without_end_make_no_series_without_end() {
    let (recorder, prometheus) = prometheus();
    recorded(&recorder, async {
        let pool = Pool::new();
        let metrics = Metrics::new(&pool).max_backends(3);
        let selector = counted(&pool, &metrics);
        for deployment in 0..50 {
            pool.replace_all([Backend::new(format!("10.0.0.{deployment}:80"), ())]);
            drop(selector.select(&()));
            metrics.publish();
        }
        let scrape = Scrape::of(&prometheus);
        assert_eq!(scrape.backends().len(), 4, "{:?}", scrape.backends());
        assert!(close(scrape.sum("evenkeel_picks_total", &[]), 50.0));
        assert!(close(scrape.sum("evenkeel_backend_eligible", &[]), 1.0));
    });
}

#[test]
fn what_comes_late_from_one_that_has_left_is_not_counted_for_its_successor() {
    let (recorder, prometheus) = prometheus();
    recorded(&recorder, async {
        let pool = jobs(["old"]);
        let metrics = Metrics::new(&pool);
        let selector = counted(&pool, &metrics);
        let ((), late) = selector.select(&()).unwrap();
        let old = pool.get("old").unwrap().handle();
        pool.remove("old");
        pool.insert(Backend::new("new", ()));
        assert_eq!(pool.get("new").unwrap().handle().slot(), old.slot());
        let ((), running) = selector.select(&()).unwrap();
        late.finish(Outcome::Failure(Failure::Timeout));
        running.finish(Outcome::Success);
        metrics.publish();
        let scrape = Scrape::of(&prometheus);
        let ended = |backend, outcome| {
            let labels = [("backend", backend), ("outcome", outcome)];
            scrape.sum("evenkeel_attempts_total", &labels)
        };
        assert!(close(ended("old", "failure"), 1.0) && close(ended("old", "success"), 0.0));
        assert!(close(ended("new", "failure"), 0.0) && close(ended("new", "success"), 1.0));
    });
}

#[test]
fn one_that_comes_back_goes_on_where_it_was_unless_it_was_released() {
    let (recorder, prometheus) = prometheus();
    recorded(&recorder, async {
        let pool = jobs(["a"]);
        let metrics = Metrics::new(&pool).max_backends(1);
        let selector = counted(&pool, &metrics);
        drop(selector.select(&()));
        pool.remove("a");
        pool.insert(Backend::new("a", ()));
        drop(selector.select(&()));
        let picks = |backend| Scrape::of(&prometheus).of_backend("evenkeel_picks_total", backend);
        assert!(close(picks("a"), 2.0));

        pool.replace_all([Backend::new("b", ())]);
        drop(selector.select(&()));
        assert!(close(picks("other"), 1.0) && close(picks("b"), 0.0));
        assert!(metrics.release("a") && !metrics.release("a"));
        drop(selector.select(&()));
        assert!(close(picks("other"), 1.0) && close(picks("b"), 1.0));
    });
}

#[test]
fn publishing_ends_with_the_pool() {
    let (recorder, _) = prometheus();
    recorded(&recorder, async {
        let pool = jobs(["a"]);
        let metrics = Metrics::new(&pool);
        let publishing = tokio::task::spawn(metrics.clone().publish_every(Duration::from_secs(5)));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!publishing.is_finished());
        drop(pool);
        assert!(!metrics.publish());
        tokio::time::timeout(Duration::from_secs(6), publishing)
            .await
            .unwrap()
            .unwrap();
    });
}

#[test]
fn every_metric_is_described_and_of_one_type() {
    let (recorder, prometheus) = prometheus();
    recorded(&recorder, async {
        let pool = jobs(["a"]);
        let metrics = Metrics::new(&pool).budget(Budget::new());
        drop(counted(&pool, &metrics).select(&()));
        metrics.publish();
    });
    let text = prometheus.render();
    let of = |what: &str| -> Vec<_> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(what));
        let mut names: Vec<_> = lines.filter_map(|line| line.split(' ').nth(1)).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(of("# HELP"), of("# TYPE"));
    // But for what a retry counts, and times of which there are none yet.
    assert!(of("# TYPE").len() >= 11, "{text}");
}

/// What the recorder itself does is its own affair: here there is none.
#[test]
fn to_count_allocates_nothing() {
    let pool = jobs(["a", "b", "c"]);
    let metrics = Metrics::new(&pool);
    let selector = counted(&pool, &metrics);
    let request = || {
        let ((), mut completion) = selector.select(&()).unwrap();
        completion.head();
        completion.finish(Outcome::Success);
    };
    // Each backend is new once.
    (0..100).for_each(|_| request());
    let allocated = allocation_counter::measure(|| (0..100).for_each(|_| request()));
    assert_eq!(allocated.count_total, 0);
}
