//! A pool that follows a management server.
//!
//! The management server is a small one in the same process. It says one thing after the other: two
//! endpoints, then that one of them is not healthy, then nonsense, then that they have gone elsewhere.
//!
//! ```text
//! cargo run -p evenkeel-eds --example eds_discovery
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address as PbAddress, HealthStatus, SocketAddress};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::endpoint::v3::endpoint_discovery_service_server::{
    EndpointDiscoveryService, EndpointDiscoveryServiceServer,
};
use envoy_types::pb::google::protobuf::{Any, UInt32Value};
use evenkeel::Pool;
use evenkeel::discover::Follow;
use evenkeel::http::Address;
use evenkeel_eds::{Eds, Node};
use prost::{Message, Name};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (publish, published) = watch::channel(response(1, two(HealthStatus::Healthy)));
    let service = EndpointDiscoveryServiceServer::new(Management { published });
    let server = Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let eds = Eds::new(&format!("http://{address}"), "shop")?.node(Node::new("example"));
    let pool = Pool::<Address>::new();
    let mut events = pool.events();
    let _feeding = Follow::new(eds).spawn(&pool);

    let steps = [
        ("Two endpoints, both of them healthy", None),
        (
            "One of them is not",
            Some(response(2, two(HealthStatus::Unhealthy))),
        ),
        ("Something that cannot be read", Some(garbage(3))),
        (
            "They have gone elsewhere, one without a port",
            Some(response(
                4,
                vec![endpoint("10.0.1.1:80", 1), endpoint("10.0.1.2:0", 1)],
            )),
        ),
    ];
    for (step, next) in steps {
        println!("{step}:");
        if let Some(next) = next {
            publish.send_replace(next);
        }
        // Until the events of this step have come.
        tokio::time::sleep(Duration::from_millis(300)).await;
        while let Some(event) = events.try_next() {
            println!("  event: {event}");
        }
        for backend in pool.list() {
            let (id, state, weight) = (backend.id(), backend.state(), backend.weight());
            println!("  {id} is {state}, weight {weight}");
        }
        for source in pool.status().sources() {
            println!("  {source}");
        }
    }
    Ok(())
}

/// Two endpoints, of which the second is like this.
fn two(health: HealthStatus) -> Vec<LbEndpoint> {
    let second = LbEndpoint {
        health_status: health as i32,
        ..endpoint("10.0.0.2:80", 1)
    };
    vec![endpoint("10.0.0.1:80", 3), second]
}

fn endpoint(address: &str, weight: u32) -> LbEndpoint {
    // The example's own addresses are all good.
    let address: SocketAddr = address.parse().expect("an address");
    let socket = SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(PortSpecifier::PortValue(u32::from(address.port()))),
        ..SocketAddress::default()
    };
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(PbAddress {
                address: Some(AddressKind::SocketAddress(socket)),
            }),
            ..Endpoint::default()
        })),
        load_balancing_weight: Some(UInt32Value { value: weight }),
        ..LbEndpoint::default()
    }
}

fn response(version: u32, endpoints: Vec<LbEndpoint>) -> DiscoveryResponse {
    let assignment = ClusterLoadAssignment {
        cluster_name: "shop".into(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints: endpoints,
            ..LocalityLbEndpoints::default()
        }],
        ..ClusterLoadAssignment::default()
    };
    with_content(version, assignment.encode_to_vec())
}

fn garbage(version: u32) -> DiscoveryResponse {
    with_content(version, b"\xff\xff".to_vec())
}

fn with_content(version: u32, value: Vec<u8>) -> DiscoveryResponse {
    let type_url = ClusterLoadAssignment::type_url();
    DiscoveryResponse {
        version_info: version.to_string(),
        nonce: version.to_string(),
        type_url: type_url.clone(),
        resources: vec![Any { type_url, value }],
        ..DiscoveryResponse::default()
    }
}

/// Sends each client what there is, and what comes, and prints what it is answered.
struct Management {
    published: watch::Receiver<DiscoveryResponse>,
}

type Responses<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

#[tonic::async_trait]
impl EndpointDiscoveryService for Management {
    type StreamEndpointsStream = Responses<DiscoveryResponse>;
    type DeltaEndpointsStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_endpoints(
        &self,
        requests: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamEndpointsStream>, Status> {
        let mut requests = requests.into_inner();
        let mut published = self.published.clone();
        let (responses, outgoing) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            // The first request only says what is wanted.
            while let Ok(Some(request)) = requests.message().await {
                if !request.response_nonce.is_empty() {
                    let version = request.version_info;
                    match request.error_detail {
                        None => println!("  the server hears: ACK of version {version}"),
                        Some(error) => {
                            let message = error.message;
                            println!(
                                "  the server hears: NACK, still version {version}: {message}"
                            );
                        }
                    }
                    if published.changed().await.is_err() {
                        return;
                    }
                }
                let next = published.borrow_and_update().clone();
                if responses.send(Ok(next)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }

    async fn delta_endpoints(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaEndpointsStream>, Status> {
        Err(Status::unimplemented("this server sends all or nothing"))
    }

    async fn fetch_endpoints(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("this server has only streams"))
    }
}
