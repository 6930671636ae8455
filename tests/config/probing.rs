//! Probes as a file asks for them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use evenkeel::backend::State;
use evenkeel::config::Config;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::time::sleep;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

use crate::read;

type Asked = Arc<Mutex<Vec<Request<Bytes>>>>;

/// Takes down what it is asked, and answers with a status.
fn client(
    asked: &Asked,
    status: StatusCode,
) -> BoxCloneSyncService<Request<Full<Bytes>>, Response<String>, BoxError> {
    let asked = Arc::clone(asked);
    BoxCloneSyncService::new(service_fn(move |request: Request<Full<Bytes>>| {
        let asked = Arc::clone(&asked);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            asked.lock().unwrap().push(Request::from_parts(head, body));
            let mut response = Response::new("all is well".to_owned());
            *response.status_mut() = status;
            Ok::<_, BoxError>(response)
        }
    }))
}

/// What is asked within a minute, and what becomes of the backend.
async fn probed(config: &Config, status: StatusCode) -> (Vec<Request<Bytes>>, State) {
    let (asked, pool) = (Asked::default(), config.pool());
    let _watching = config.watch(&pool, client(&asked, status));
    sleep(Duration::from_secs(60)).await;
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    (asked, pool.get("a").unwrap().state())
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_http_asks_what_the_file_says() {
    let config = read(
        r#"
        [[backend]]
        address = "10.0.0.1:81"
        id = "a"
        [probe]
        path = "/health?deep=1"
        method = "OPTIONS"
        host = "shop.example"
        headers = { x-probe = "yes" }
        expect_status = [204, "301-302"]
        body_contains = "well"
        "#,
    );
    let (asked, state) = probed(&config, StatusCode::FOUND).await;
    assert_eq!(state, State::Healthy);
    let request = &asked[0];
    assert_eq!(request.method(), "OPTIONS");
    assert_eq!(request.uri(), "http://10.0.0.1:81/health?deep=1");
    assert_eq!(request.headers()["host"], "shop.example");
    assert_eq!(request.headers()["x-probe"], "yes");

    let (_, state) = probed(&config, StatusCode::OK).await;
    assert_eq!(state, State::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_grpc_asks_for_the_service() {
    let config = read("[[backend]]\naddress = \"a\"\n[probe]\nkind = \"grpc\"\nservice = \"shop\"");
    let (asked, state) = probed(&config, StatusCode::OK).await;
    assert_eq!(asked[0].uri(), "http://a/grpc.health.v1.Health/Check");
    assert!(asked[0].body().ends_with(b"shop"));
    assert_eq!(state, State::Unhealthy, "that was no gRPC");
}

#[tokio::test(start_paused = true)]
async fn without_a_section_nobody_is_asked() {
    let config = read("[[backend]]\naddress = \"a\"");
    let (asked, state) = probed(&config, StatusCode::INTERNAL_SERVER_ERROR).await;
    assert_eq!((asked.len(), state), (0, State::Healthy));
}

/// By a connection of its own, in real time.
#[tokio::test]
async fn a_probe_of_tcp_connects() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let text = format!("[[backend]]\naddress = \"{address}\"\n[probe]\nkind = \"tcp\"");
    let (config, asked) = (read(&text), Asked::default());
    let pool = config.pool();
    let _watching = config.watch(&pool, client(&asked, StatusCode::OK));
    let connected = tokio::time::timeout(Duration::from_secs(60), listener.accept()).await;
    assert!(connected.unwrap().is_ok());
    assert!(asked.lock().unwrap().is_empty());
}
