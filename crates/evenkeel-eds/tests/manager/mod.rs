//! A management server that does what a test says, and notes what it is told.

#![allow(dead_code, reason = "each test uses a part of it")]

mod messages;

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::endpoint::v3::endpoint_discovery_service_server::{
    EndpointDiscoveryService, EndpointDiscoveryServiceServer,
};
use evenkeel::Pool;
use evenkeel::http::Address;
use evenkeel::set::SourceStatus;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

pub(crate) use self::messages::*;

/// Nothing here takes that long, unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Listens on the loopback interface until it is dropped.
pub(crate) struct Manager {
    pub(crate) address: SocketAddr,
    streams: mpsc::UnboundedReceiver<Conversation<DiscoveryRequest, DiscoveryResponse>>,
    deltas: mpsc::UnboundedReceiver<Conversation<DeltaDiscoveryRequest, DeltaDiscoveryResponse>>,
    mute: watch::Sender<bool>,
    server: JoinHandle<()>,
}

/// One stream, from the server's side.
pub(crate) struct Conversation<Q, P> {
    requests: mpsc::UnboundedReceiver<Q>,
    responses: mpsc::UnboundedSender<Result<P, Status>>,
    /// Becomes an error when the client is gone.
    over: oneshot::Receiver<()>,
}

struct Service {
    streams: mpsc::UnboundedSender<Conversation<DiscoveryRequest, DiscoveryResponse>>,
    deltas: mpsc::UnboundedSender<Conversation<DeltaDiscoveryRequest, DeltaDiscoveryResponse>>,
    /// Whether heads of responses are kept back, until a stream has something to say.
    mute: watch::Receiver<bool>,
}

impl Manager {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        Self::start_as(Server::builder(), address).await
    }

    pub(crate) async fn start_as(mut server: Server, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (streams, new_streams) = mpsc::unbounded_channel();
        let (deltas, new_deltas) = mpsc::unbounded_channel();
        let (mute, muted) = watch::channel(false);
        let service = Service {
            streams,
            deltas,
            mute: muted,
        };
        let service = EndpointDiscoveryServiceServer::new(service);
        let service = service.max_encoding_message_size(usize::MAX);
        let server = server.add_service(service);
        let server = server.serve_with_incoming(TcpListenerStream::new(listener));
        Self {
            address,
            streams: new_streams,
            deltas: new_deltas,
            mute,
            server: tokio::spawn(async { server.await.unwrap() }),
        }
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// As servers in Go do: the head of the response comes with the first message.
    pub(crate) fn keep_heads_back(&self, mute: bool) {
        self.mute.send_replace(mute);
    }

    pub(crate) async fn stream(&mut self) -> Conversation<DiscoveryRequest, DiscoveryResponse> {
        soon(self.streams.recv()).await.unwrap()
    }

    /// However long it takes.
    pub(crate) async fn next_stream(
        &mut self,
    ) -> Option<Conversation<DiscoveryRequest, DiscoveryResponse>> {
        self.streams.recv().await
    }

    pub(crate) async fn delta(
        &mut self,
    ) -> Conversation<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
        soon(self.deltas.recv()).await.unwrap()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl<Q, P> Conversation<Q, P> {
    pub(crate) async fn request(&mut self) -> Q {
        let request = soon(self.requests.recv()).await;
        request.expect("the client says something")
    }

    /// What has come already.
    pub(crate) fn try_request(&mut self) -> Option<Q> {
        self.requests.try_recv().ok()
    }

    pub(crate) fn respond(&self, response: P) {
        let _ = self.responses.send(Ok(response));
    }

    pub(crate) fn fail(&self, status: Status) {
        let _ = self.responses.send(Err(status));
    }

    /// Waits until the client has ended it.
    pub(crate) async fn ended(mut self) {
        let _ = soon(&mut self.over).await;
    }
}

fn converse<Q: Send + 'static, P>(
    mut requests: Streaming<Q>,
) -> (
    Conversation<Q, P>,
    UnboundedReceiverStream<Result<P, Status>>,
) {
    let (heard, said) = mpsc::unbounded_channel();
    let (responses, outgoing) = mpsc::unbounded_channel();
    let (living, over) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let _living = living;
        while let Ok(Some(request)) = requests.message().await {
            let _ = heard.send(request);
        }
    });
    let conversation = Conversation {
        requests: said,
        responses,
        over,
    };
    (conversation, UnboundedReceiverStream::new(outgoing))
}

type Outgoing<P> = Pin<Box<dyn Stream<Item = Result<P, Status>> + Send>>;

impl Service {
    async fn unmuted(&self) {
        let mut mute = self.mute.clone();
        let _ = mute.wait_for(|mute| !mute).await;
    }
}

#[tonic::async_trait]
impl EndpointDiscoveryService for Service {
    type StreamEndpointsStream = Outgoing<DiscoveryResponse>;
    type DeltaEndpointsStream = Outgoing<DeltaDiscoveryResponse>;

    async fn stream_endpoints(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamEndpointsStream>, Status> {
        let (conversation, outgoing) = converse(request.into_inner());
        let _ = self.streams.send(conversation);
        self.unmuted().await;
        Ok(Response::new(Box::pin(outgoing)))
    }

    async fn delta_endpoints(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaEndpointsStream>, Status> {
        let (conversation, outgoing) = converse(request.into_inner());
        let _ = self.deltas.send(conversation);
        self.unmuted().await;
        Ok(Response::new(Box::pin(outgoing)))
    }

    async fn fetch_endpoints(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("only streams"))
    }
}

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    let within = tokio::time::timeout(PATIENCE, future).await;
    within.expect("it takes too long")
}

/// Waits until it is so.
pub(crate) async fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = check() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let within = tokio::time::timeout(PATIENCE, wait).await;
    within.unwrap_or_else(|_| panic!("never: {what}"))
}

pub(crate) fn ids(pool: &Pool<Address>) -> Vec<String> {
    let list = pool.list();
    let mut ids: Vec<_> = list.iter().map(|backend| backend.id().to_owned()).collect();
    ids.sort();
    ids
}

pub(crate) async fn until_ids(pool: &Pool<Address>, expected: &[&str]) {
    until(&format!("{expected:?}"), || {
        (ids(pool) == expected).then_some(())
    })
    .await;
}

pub(crate) fn source(pool: &Pool<Address>) -> SourceStatus {
    pool.status().sources()[0].clone()
}
