//! gRPC by tonic: a channel for each backend, and one client over all of them.
//!
//! The servers have the health service of gRPC, which has a call with one answer, `Check`, and one
//! with a stream of them, `Watch`. One server is stopped on the way, and started again.
//!
//! ```text
//! cargo run --example tonic_channels
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use evenkeel::backend::State;
use evenkeel::health::{Ejection, Health};
use evenkeel::http::{GrpcOutcomes, Idempotent, OnBodyEnd, ReplayBody, recommended};
use evenkeel::{Backend, Balance, Pool};
use hyper::Request;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};
use tonic::body::Body;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceBuilder;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let pool = Pool::new();
    let mut servers = Vec::new();
    for name in ["one", "two"] {
        let server = Running::start(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address))?;
        // What is sent is a copy that can be sent again; a channel takes its own type.
        let channel = ServiceBuilder::new()
            .map_request(|request: Request<ReplayBody<Body>>| request.map(Body::new))
            .service(
                endpoint
                    .connect_timeout(Duration::from_secs(1))
                    .connect_lazy(),
            );
        pool.insert(Backend::new(name, channel));
        servers.push(server);
    }

    let ejection = Ejection::new()
        .base_time(Duration::from_millis(300))?
        .max_ejected(0.5)?;
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    // The outcome of a call is its gRPC status, in the trailers.
    let balance =
        Balance::round_robin(pool.clone()).track(OnBodyEnd::new().classify(GrpcOutcomes::new()));
    // gRPC has one method, POST, for whatever it does. Which calls can be made twice, its user knows.
    let service = ServiceBuilder::new()
        .map_request(|mut request: Request<Body>| {
            request.extensions_mut().insert(Idempotent);
            request
        })
        .service(recommended(balance));
    let mut client = HealthClient::new(service);
    let ask = HealthCheckRequest::default();
    let show = |what: &str| {
        println!("{what}");
        for backend in pool.list() {
            println!("  {backend}");
        }
    };

    for _ in 0..4 {
        client.check(ask.clone()).await?;
    }
    show("Four calls:");

    let mut stream = client.watch(ask.clone()).await?.into_inner();
    stream.message().await?;
    show("A stream, which goes on:");
    drop(stream);

    servers[0].stop();
    let mut answered = 0;
    while pool
        .get("one")
        .is_some_and(|one| one.state() != State::Ejected)
    {
        client.check(ask.clone()).await?;
        answered += 1;
    }
    show(&format!(
        "One is stopped, and found out; {answered} of {answered} calls were answered:"
    ));

    let address = servers[0].address;
    servers[0] = Running::start(address)?;
    let successes = || pool.get("one").map_or(0, |one| one.counts().successes());
    let before = successes();
    let back = async {
        while successes() == before {
            client.check(ask.clone()).await?;
            sleep(Duration::from_millis(20)).await;
        }
        Ok::<_, tonic::Status>(())
    };
    timeout(Duration::from_secs(30), back).await??;
    show("It is started again, and asked again:");
    Ok(())
}

/// A server on a runtime of its own, so that it can be stopped with all its connections.
struct Running {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Running {
    fn start(address: SocketAddr) -> Result<Self, BoxError> {
        let runtime = Runtime::new()?;
        let incoming = {
            let _inside = runtime.enter();
            tonic::transport::server::TcpIncoming::bind(address)?
        };
        let address = incoming.local_addr()?;
        runtime.spawn(async move {
            let (_reporter, health) = tonic_health::server::health_reporter();
            Server::builder()
                .add_service(health)
                .serve_with_incoming(incoming)
                .await
        });
        Ok(Self {
            address,
            runtime: Some(runtime),
        })
    }

    fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not from within another runtime; its port is free when it has ended.
            let ended = std::thread::spawn(move || drop(runtime));
            let _ = ended.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
