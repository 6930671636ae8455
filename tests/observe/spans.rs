//! The spans of requests and attempts, and what stands in them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use evenkeel::Pool;
use evenkeel::http::{BalanceLayer, GrpcOutcomes, ReplayBody, recommended};
use evenkeel::observe::{AttemptSpans, RequestSpans};
use evenkeel::picker::Ordered;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Each span with its fields, and `parent`, in the order in which they began.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(u64, Values)>>>);

type Values = BTreeMap<String, String>;

struct Fields<'a>(&'a mut Values);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl<S> tracing_subscriber::Layer<S> for Spans
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let span = cx.span(id).unwrap();
        let mut fields = BTreeMap::new();
        fields.insert("name".to_owned(), span.name().to_owned());
        if let Some(parent) = span.parent() {
            fields.insert("parent".to_owned(), parent.name().to_owned());
        }
        attributes.record(&mut Fields(&mut fields));
        self.0.lock().unwrap().push((id.into_u64(), fields));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _cx: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        // Ids are used again: the last one is it.
        let span = spans.iter_mut().rfind(|(other, _)| *other == id.into_u64());
        record.record(&mut Fields(&mut span.unwrap().1));
    }
}

impl Spans {
    /// Of each span of a name, these fields, where `-` is none.
    fn of<const N: usize>(&self, name: &str, fields: [&str; N]) -> Vec<[String; N]> {
        let spans = self.0.lock().unwrap();
        let named = spans.iter().filter(|(_, span)| span["name"] == name);
        let values = named.map(|(_, span)| {
            fields.map(|field| span.get(field).map_or("-", String::as_str).to_owned())
        });
        values.collect()
    }

    fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

/// Runs on paused time, with what it has logged.
fn traced<F: Future>(test: impl FnOnce(Spans) -> F) -> F::Output {
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    tracing::subscriber::with_default(subscriber, || runtime.block_on(test(spans)))
}

type Sent = Request<ReplayBody<Empty<Bytes>>>;

fn get(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).body(Empty::new()).unwrap()
}

/// The first backend refuses, the second is not available, the third answers.
async fn client(request: Sent) -> io::Result<Response<Full<Bytes>>> {
    let _own = tracing::info_span!("connection").entered();
    let status = match request.uri().host() {
        Some("10.0.0.1") => return Err(io::ErrorKind::ConnectionRefused.into()),
        Some("10.0.0.2") => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let response = Response::builder().status(status);
    Ok(response.body(Full::from("hello")).unwrap())
}

#[test]
fn each_attempt_is_a_span_in_that_of_its_request_and_around_those_of_the_client() {
    traced(|spans| async move {
        let addresses = ["10.0.0.1:80", "10.0.0.2", "10.0.0.3:81"];
        let pool = Pool::of_addresses(addresses).unwrap();
        let client = AttemptSpans::new()
            .picker("ordered")
            .layer(service_fn(client));
        let balance = BalanceLayer::new(pool, Ordered::new()).layer(client);
        let service = RequestSpans::new().layer(recommended(balance));
        let response = service
            .oneshot(get("http://shop.example/cart?id=7"))
            .await
            .unwrap();
        response.into_body().collect().await.unwrap();

        let fields = [
            "parent",
            "server.address",
            "server.port",
            "attempt",
            "http.request.resend_count",
        ];
        assert_eq!(
            spans.of("attempt", fields),
            [
                ["request", "10.0.0.1", "80", "0", "-"],
                ["request", "10.0.0.2", "-", "1", "1"],
                ["request", "10.0.0.3", "81", "2", "2"],
            ]
        );
        let fields = [
            "backend",
            "picker",
            "outcome",
            "error.type",
            "otel.status_code",
            "http.response.status_code",
        ];
        assert_eq!(
            spans.of("attempt", fields),
            [
                ["10.0.0.1:80", "ordered", "failure", "connect", "ERROR", "-"],
                ["10.0.0.2", "ordered", "failure", "503", "ERROR", "503"],
                ["10.0.0.3:81", "ordered", "success", "-", "-", "200"],
            ]
        );
        let fields = [
            "otel.kind",
            "http.request.method",
            "url.path",
            "attempts",
            "outcome",
            "error.type",
        ];
        assert_eq!(
            spans.of("request", fields),
            [["internal", "GET", "/cart", "3", "success", "-"]]
        );
        assert_eq!(
            spans.of("connection", ["parent"]),
            [["attempt"], ["attempt"], ["attempt"]]
        );
    });
}

#[test]
fn a_request_that_no_backend_gets_has_failed_without_an_attempt() {
    traced(|spans| async move {
        let balance = BalanceLayer::new(Pool::new(), Ordered::new());
        let balance = balance.max_wait(Duration::ZERO).layer(service_fn(client));
        let service = RequestSpans::new().layer(recommended(balance));
        service
            .oneshot(get("http://shop.example/"))
            .await
            .unwrap_err();
        let fields = ["attempts", "outcome", "error.type", "otel.status_code"];
        assert_eq!(
            spans.of("request", fields),
            [["0", "failure", "other", "ERROR"]]
        );
    });
}

#[test]
fn a_span_knows_its_outcome_when_the_body_has_ended_and_not_before() {
    type Frames = Vec<Result<Frame<Bytes>, &'static str>>;

    async fn answered(spans: &Spans, frames: Frames, length: Option<u64>, read: usize) -> String {
        spans.clear();
        let frames = Mutex::new(Some(frames));
        let client = service_fn(move |_: Request<()>| {
            let frames = frames.lock().unwrap().take().unwrap();
            let mut response = Response::builder();
            if let Some(length) = length {
                response = response.header("content-length", length);
            }
            let body = StreamBody::new(tokio_stream::iter(frames));
            let response = response.body(body).unwrap();
            async { Ok::<_, io::Error>(response) }
        });
        let service = AttemptSpans::new().layer(client);
        let mut body = service.oneshot(Request::new(())).await.unwrap().into_body();
        let before = spans.of("attempt", ["outcome"]);
        if length != Some(0) {
            assert_eq!(before, [["-"]]);
        }
        for _ in 0..read {
            let _ = body.frame().await;
        }
        drop(body);
        let [[outcome, error_type]] = &spans.of("attempt", ["outcome", "error.type"])[..] else {
            panic!("one attempt")
        };
        format!("{outcome} {error_type}")
    }

    let data = || Ok(Frame::data(Bytes::from_static(b"hello")));
    traced(|spans| async move {
        let spans = &spans;
        let whole = answered(spans, vec![data(), data()], None, 3).await;
        assert_eq!(whole, "success -");
        assert_eq!(
            answered(spans, vec![data(), data()], None, 1).await,
            "cancelled -"
        );
        // Who has what was promised does not ask for the end.
        assert_eq!(
            answered(spans, vec![data(), data()], Some(10), 2).await,
            "success -"
        );
        assert_eq!(
            answered(spans, vec![data(), data()], Some(10), 1).await,
            "cancelled -"
        );
        assert_eq!(answered(spans, vec![], Some(0), 0).await, "success -");
        assert_eq!(
            answered(spans, vec![data(), Err("broken")], None, 2).await,
            "failure body"
        );
        let trailers = vec![data(), Ok(Frame::trailers(HeaderMap::new()))];
        assert_eq!(answered(spans, trailers, None, 2).await, "success -");
    });
}

#[test]
fn a_classifier_says_what_trailers_mean() {
    traced(|spans| async move {
        let client = service_fn(|_: Request<()>| async {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "14".parse().unwrap());
            let frames =
                [Frame::data(Bytes::new()), Frame::trailers(trailers)].map(Ok::<_, io::Error>);
            let response = Response::builder().header("content-type", "application/grpc");
            let body = StreamBody::new(tokio_stream::iter(frames));
            Ok::<_, io::Error>(response.body(body).unwrap())
        });
        let service = AttemptSpans::new()
            .classify(GrpcOutcomes::new())
            .layer(client);
        let response = service.oneshot(Request::new(())).await.unwrap();
        response.into_body().collect().await.unwrap();
        let fields = ["outcome", "error.type", "http.response.status_code"];
        assert_eq!(spans.of("attempt", fields), [["failure", "gateway", "200"]]);
    });
}

#[test]
fn a_response_that_nobody_waits_for_is_cancelled() {
    traced(|spans| async move {
        let hangs =
            service_fn(|_: Sent| std::future::pending::<io::Result<Response<Full<Bytes>>>>());
        let pool = Pool::of_addresses(["10.0.0.1:80"]).unwrap();
        let balance =
            BalanceLayer::new(pool, Ordered::new()).layer(AttemptSpans::new().layer(hangs));
        let service = RequestSpans::new().layer(recommended(balance));
        let request = service.oneshot(get("http://shop.example/"));
        let waited = tokio::time::timeout(Duration::from_secs(1), request).await;
        assert!(waited.is_err());
        assert_eq!(spans.of("request", ["outcome"]), [["cancelled"]]);
        assert_eq!(spans.of("attempt", ["outcome"]), [["cancelled"]]);
    });
}

#[test]
fn where_no_subscriber_is_interested_nothing_is_put_into_the_request_and_nothing_allocated() {
    let client = service_fn(|request: Request<()>| {
        assert!(request.extensions().is_empty());
        let body = Full::new(Bytes::from_static(b"hello"));
        std::future::ready(Ok::<_, io::Error>(Response::new(body)))
    });
    let mut service = RequestSpans::new().layer(AttemptSpans::new().layer(client));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut request = || {
        let response = runtime.block_on(service.call(Request::new(()))).unwrap();
        drop(response);
    };
    // With none at all, what is wanted in other threads of this test would count.
    let warnings = tracing_subscriber::registry().with(LevelFilter::WARN);
    tracing::subscriber::with_default(warnings, || {
        request();
        assert_eq!(allocation_counter::measure(request).count_total, 0);
    });
}
