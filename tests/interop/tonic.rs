//! tonic's channels, one for each backend.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use evenkeel::backend::State;
use evenkeel::balance::Direct;
use evenkeel::connect::Connected;
use evenkeel::health::{Ejection, Health, Watching};
use evenkeel::http::{GrpcOutcomes, Idempotent, OnBodyEnd, ReplayBody, recommended};
use evenkeel::picker::Ordered;
use evenkeel::{Backend, Balance, Pool};
use tokio::sync::Notify;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health as HealthService, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::{ServiceBuilder, service_fn};

use crate::servers::{Server, count, counts, eventually, idle, in_flight};

/// Answers as the service's name says.
struct Answers {
    go_on: Arc<Notify>,
}

type Updates = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl HealthService for Answers {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match request.into_inner().service.as_str() {
            "unavailable" => Err(Status::unavailable("not now")),
            "unknown" => Err(Status::not_found("no such service")),
            _ => Ok(Response::new(serving())),
        }
    }

    type WatchStream = Updates;

    /// One message, and the second when it is told to go on. Then the end, or an error.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Updates>, Status> {
        let (go_on, service) = (Arc::clone(&self.go_on), request.into_inner().service);
        let last = match service.as_str() {
            "breaks" => Err(Status::unavailable("not any more")),
            _ => Ok(serving()),
        };
        let later = tokio_stream::once(last).then(move |last| {
            let go_on = Arc::clone(&go_on);
            async move {
                go_on.notified().await;
                last
            }
        });
        let updates = tokio_stream::once(Ok(serving())).chain(later);
        Ok(Response::new(Box::pin(updates)))
    }
}

fn serving() -> HealthCheckResponse {
    HealthCheckResponse {
        status: ServingStatus::Serving.into(),
    }
}

fn ask(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

fn app(go_on: &Arc<Notify>) -> Router {
    let answers = Answers {
        go_on: Arc::clone(go_on),
    };
    tonic::service::Routes::new(HealthServer::new(answers)).into_axum_router()
}

fn endpoint(server: &Server) -> Endpoint {
    Endpoint::from_shared(format!("http://{}", server.address())).expect("a valid address")
}

/// One server, "a", with its channel.
struct Setup {
    pool: Pool<Channel>,
    go_on: Arc<Notify>,
    client: HealthClient<Lb>,
    _server: Server,
    _watching: Watching,
}

type Lb = Balance<Channel, http::Request<Body>, Direct, OnBodyEnd<GrpcOutcomes>>;

fn one() -> Setup {
    let go_on = Arc::default();
    let server = Server::start(app(&go_on));
    let pool = Pool::from([Backend::new("a", endpoint(&server).connect_lazy())]);
    let balance = Balance::least_requests(pool.clone());
    let balance = balance.track(OnBodyEnd::new().classify(GrpcOutcomes::new()));
    Setup {
        client: HealthClient::new(balance),
        _watching: count(&pool),
        pool,
        go_on,
        _server: server,
    }
}

#[tokio::test]
async fn a_call_that_is_answered_is_a_success() {
    let mut setup = one();
    let answer = setup.client.check(ask("")).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
    idle(&setup.pool).await;
    assert_eq!(counts(&setup.pool, "a").successes(), 1);
}

#[tokio::test]
async fn unavailable_is_a_failure_and_not_found_is_none() {
    let mut setup = one();
    let status = setup.client.check(ask("unknown")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(counts(&setup.pool, "a").failures(), 0);
    assert_eq!(counts(&setup.pool, "a").successes(), 1);

    let status = setup.client.check(ask("unavailable")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(counts(&setup.pool, "a").failures(), 1);
    assert_eq!(in_flight(&setup.pool, "a"), 0);
}

#[tokio::test]
async fn a_stream_is_in_flight_until_it_has_ended() {
    let mut setup = one();
    let mut stream = setup.client.watch(ask("")).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    assert_eq!(in_flight(&setup.pool, "a"), 1);
    assert_eq!(counts(&setup.pool, "a").total(), 0);

    setup.go_on.notify_one();
    assert!(stream.message().await.unwrap().is_some());
    assert!(stream.message().await.unwrap().is_none());
    assert_eq!(in_flight(&setup.pool, "a"), 0);
    assert_eq!(counts(&setup.pool, "a").successes(), 1);
}

#[tokio::test]
async fn a_stream_that_ends_badly_is_a_failure_by_its_trailers() {
    let mut setup = one();
    let mut stream = setup
        .client
        .watch(ask("breaks"))
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    setup.go_on.notify_one();
    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(counts(&setup.pool, "a").failures(), 1);
    assert_eq!(in_flight(&setup.pool, "a"), 0);
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_cancelled() {
    let mut setup = one();
    let mut stream = setup.client.watch(ask("")).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    drop(stream);
    assert_eq!(in_flight(&setup.pool, "a"), 0);
    assert_eq!(counts(&setup.pool, "a").cancelled(), 1);
}

/// By the stack that tries again; and back without anybody's doing.
#[tokio::test]
async fn a_backend_that_dies_and_comes_back_is_not_noticed() {
    let go_on = Arc::default();
    let mut a = Server::start(app(&go_on));
    let b = Server::start(app(&go_on));
    let pool = Pool::new();
    for (id, server) in [("a", &a), ("b", &b)] {
        // The stack's bodies are copies that can be sent again; a channel takes its own type.
        let channel = ServiceBuilder::new()
            .map_request(|request: http::Request<ReplayBody<Body>>| request.map(Body::new))
            .service(endpoint(server).connect_lazy());
        pool.insert(Backend::new(id, channel));
    }
    let ejection = Ejection::new()
        .base_time(Duration::from_millis(50))
        .and_then(|ejection| ejection.max_ejected(0.5))
        .unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    let balance = Balance::round_robin(pool.clone());
    let balance = balance.track(OnBodyEnd::new().classify(GrpcOutcomes::new()));
    // All of its calls only ask.
    let service = ServiceBuilder::new()
        .map_request(|mut request: http::Request<Body>| {
            request.extensions_mut().insert(Idempotent);
            request
        })
        .service(recommended(balance));
    let mut client = HealthClient::new(service);
    for _ in 0..4 {
        client.check(ask("")).await.unwrap();
    }
    assert_eq!(counts(&pool, "a").successes(), 2);

    a.kill();
    eventually("it is ejected", async || {
        client.check(ask("")).await.expect("the other answers");
        pool.get("a").unwrap().state() == State::Ejected
    })
    .await;
    assert!(counts(&pool, "a").failures() >= 5);

    a.restart(app(&go_on));
    let before = counts(&pool, "a").successes();
    eventually("it answers again", async || {
        client.check(ask("")).await.expect("one of them answers");
        counts(&pool, "a").successes() > before
    })
    .await;
    idle(&pool).await;
}

/// Made when they are needed, by `Pool::connected`; and one that cannot be made is passed over.
#[tokio::test]
async fn a_maker_of_channels_is_asked_when_they_are_needed() {
    let go_on = Arc::default();
    let mut gone = Server::start(app(&go_on));
    let a = Server::start(app(&go_on));
    gone.kill();
    let make = service_fn(|endpoint: Endpoint| async move { endpoint.connect().await });
    let backends = [("gone", &gone), ("a", &a)];
    let backends = backends.map(|(id, server)| Backend::new(id, endpoint(server)));
    let pool: Pool<Connected<Channel>> = Pool::connected(make, backends);
    let _watching = count(&pool);
    let balance = Balance::new(pool.clone(), Ordered::new());
    let balance = balance.track(OnBodyEnd::new().classify(GrpcOutcomes::new()));
    let mut client = HealthClient::new(balance);
    client.check(ask("")).await.unwrap();
    assert_eq!(counts(&pool, "a").successes(), 1);

    gone.restart(app(&go_on));
    eventually("it is made", async || {
        client.check(ask("")).await.unwrap();
        counts(&pool, "gone").successes() > 0
    })
    .await;
    idle(&pool).await;
}

/// A channel whose server is not there gives its error for the call, not for its readiness.
#[tokio::test]
async fn a_call_that_finds_no_server_never_left() {
    use tower::ServiceExt;

    let mut gone = Server::start(app(&Arc::default()));
    gone.kill();
    let pool = Pool::from([Backend::new("gone", endpoint(&gone).connect_lazy())]);
    let _watching = count(&pool);
    let balance: Balance<_, http::Request<Body>> = Balance::round_robin(pool.clone());
    let request = http::Request::post("http://a/b")
        .body(Body::empty())
        .unwrap();
    let error = balance.oneshot(request).await.err().unwrap();
    assert_eq!(error.failure(), Some(evenkeel::backend::Failure::Connect));
    assert!(error.never_left());
    assert_eq!(counts(&pool, "gone").failures(), 1);
}
