use std::sync::{Arc, Mutex};
use std::time::Duration;

use envoy_types::pb::envoy::service::endpoint::v3::endpoint_discovery_service_client::EndpointDiscoveryServiceClient as Client;
use evenkeel::InvalidSetting;
use evenkeel::discover::{Source, Updates};
use evenkeel::http::Address;
use tokio::sync::watch;
use tonic::transport::Endpoint;

use crate::mapping::{LocalityWeights, Mapping};
use crate::node::Node;
use crate::policy::{Policies, Policy};
use crate::protocol::{Incremental, Protocol, StateOfTheWorld, Wanted};
use crate::session::{Calling, Memory, Requests, Setup, updates};

/// The endpoints of one cluster, from a management server: a [`Source`] for
/// [`Follow`](evenkeel::discover::Follow).
///
/// It keeps one connection, with one stream, to the management server. What becomes of what the
/// server says stands in the [crate's documentation](crate).
///
/// # Examples
///
/// ```no_run
/// use evenkeel::Pool;
/// use evenkeel::discover::Follow;
/// use evenkeel::http::Address;
/// use evenkeel_eds::{Eds, Node};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), evenkeel::InvalidSetting> {
/// let eds = Eds::new("http://10.0.0.1:18000", "shop")?.node(Node::new("shop-7f9c").cluster("web"));
/// let pool = Pool::<Address>::new();
/// let _feeding = Follow::new(eds).spawn(&pool);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "it asks for nothing before it is followed"]
pub struct Eds {
    server: Endpoint,
    cluster: String,
    resource: Option<String>,
    node: Node,
    mapping: Mapping,
    incremental: bool,
    initial_fetch_timeout: Option<Duration>,
    max_message: usize,
    memory: Arc<Mutex<Memory>>,
    policy: watch::Sender<Arc<Policy>>,
}

impl Eds {
    /// Asks the management server at a URI, such as `http://10.0.0.1:18000`, for a cluster's
    /// endpoints. Without TLS: for that see [`with_endpoint`](Self::with_endpoint).
    ///
    /// Connecting to it may take 5 s. That the connection has died is noticed by TCP, which looks
    /// after 30 s of silence, three times in 10 s; and by HTTP/2, which looks every five minutes and
    /// waits for 20 s: gRPC's servers take it amiss if a client does that more often, unless they are
    /// told otherwise.
    ///
    /// # Errors
    ///
    /// When this is not such a URI, or the name is empty.
    pub fn new(server: &str, cluster: impl Into<String>) -> Result<Self, InvalidSetting> {
        let invalid = || {
            InvalidSetting::new(
                "management server",
                format_args!("{server:?}"),
                "a URI such as http://10.0.0.1:18000",
            )
        };
        let endpoint = Endpoint::from_shared(server.to_owned()).map_err(|_| invalid())?;
        let uri = endpoint.uri();
        if uri.scheme_str() != Some("http") || uri.authority().is_none() {
            return Err(invalid());
        }
        let endpoint = endpoint
            .connect_timeout(Duration::from_secs(5))
            .tcp_keepalive(Some(Duration::from_secs(30)))
            .tcp_keepalive_interval(Some(Duration::from_secs(10)))
            .tcp_keepalive_retries(Some(3))
            .http2_keep_alive_interval(Duration::from_secs(300))
            .keep_alive_timeout(Duration::from_secs(20))
            .keep_alive_while_idle(true);
        Self::with_endpoint(endpoint, cluster)
    }

    /// Asks a management server that is reached as tonic's [`Endpoint`] says: with TLS, and time-outs
    /// and keep-alive of its own.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn with_endpoint(
        server: Endpoint,
        cluster: impl Into<String>,
    ) -> Result<Self, InvalidSetting> {
        Ok(Self {
            server,
            cluster: named("cluster", cluster.into())?,
            resource: None,
            node: Node::default(),
            mapping: Mapping::default(),
            incremental: false,
            initial_fetch_timeout: Some(Duration::from_secs(15)),
            max_message: 64 << 20,
            memory: Arc::default(),
            policy: watch::Sender::default(),
        })
    }

    /// Sets the name of the resource to ask for, where that is not the cluster's: what Envoy calls
    /// the EDS service name.
    ///
    /// # Errors
    ///
    /// When it is empty.
    pub fn resource(mut self, name: impl Into<String>) -> Result<Self, InvalidSetting> {
        self.resource = Some(named("resource", name.into())?);
        Ok(self)
    }

    /// Sets who asks. Default: a node with the id `evenkeel`.
    pub fn node(mut self, node: Node) -> Self {
        self.node = node;
        self
    }

    /// Uses `DeltaEndpoints`, which sends only what has changed, and says when the resource is
    /// removed. Default: `StreamEndpoints`, which every management server has.
    pub fn incremental(mut self) -> Self {
        self.incremental = true;
        self
    }

    /// Makes `https` addresses of the endpoints: whether they speak TLS stands in the cluster, of
    /// which EDS says nothing. Default: `http`.
    pub fn https(mut self) -> Self {
        self.mapping.https = true;
        self
    }

    /// Sets whether the weights of localities count. Default: they are
    /// [ignored](LocalityWeights::Ignored).
    pub fn locality_weights(mut self, weights: LocalityWeights) -> Self {
        self.mapping.locality_weights = weights;
        self
    }

    /// Sets how long a stream may take, with its connection, until there is an assignment. Default
    /// 15 s, as in Envoy; with zero, for ever.
    ///
    /// A management server does not say that it has no such resource. After this time the source is
    /// stale, says so, and asks anew. A stream that goes on where another one has stopped may be silent
    /// for as long as it likes: then nothing has changed.
    pub fn initial_fetch_timeout(mut self, timeout: Duration) -> Self {
        self.initial_fetch_timeout = (!timeout.is_zero()).then_some(timeout);
        self
    }

    /// Sets the largest response that is read, in bytes. Default 64 MiB, more than a million endpoints without metadata. A
    /// larger one ends the stream.
    ///
    /// # Errors
    ///
    /// When it is 0.
    pub fn max_message(mut self, bytes: usize) -> Result<Self, InvalidSetting> {
        if bytes == 0 {
            return Err(InvalidSetting::new(
                "size of a message",
                bytes,
                "at least one byte",
            ));
        }
        self.max_message = bytes;
        Ok(self)
    }

    /// Returns what the assignments say beside their endpoints.
    pub fn policies(&self) -> Policies {
        Policies(self.policy.subscribe())
    }

    fn open<P: Protocol>(
        &self,
        protocol: fn(Wanted) -> P,
        call: fn(tonic::transport::Channel, usize, Requests<P>) -> Calling<P>,
    ) -> Updates<Address> {
        let wanted = Wanted {
            resource: self
                .resource
                .as_ref()
                .unwrap_or(&self.cluster)
                .as_str()
                .into(),
            mapping: self.mapping,
        };
        let setup = Setup {
            server: self.server.clone(),
            node: self.node.message(),
            wanted: wanted.clone(),
            initial_fetch_timeout: self.initial_fetch_timeout,
            max_message: self.max_message,
            memory: Arc::clone(&self.memory),
            policy: self.policy.clone(),
        };
        updates(setup, protocol(wanted), call)
    }
}

impl Source for Eds {
    type Value = Address;

    fn name(&self) -> String {
        let server = self.server.uri().to_string();
        format!("eds {} from {}", self.cluster, server.trim_end_matches('/'))
    }

    fn watch(&mut self) -> Option<Updates<Address>> {
        Some(if self.incremental {
            self.open(Incremental::new, |channel, max_message, requests| {
                Box::pin(async move {
                    let client = Client::new(channel);
                    let mut client = client.max_decoding_message_size(max_message);
                    let response = client.delta_endpoints(requests).await?;
                    Ok(Box::new(response.into_inner()))
                })
            })
        } else {
            self.open(StateOfTheWorld::new, |channel, max_message, requests| {
                Box::pin(async move {
                    let client = Client::new(channel);
                    let mut client = client.max_decoding_message_size(max_message);
                    let response = client.stream_endpoints(requests).await?;
                    Ok(Box::new(response.into_inner()))
                })
            })
        })
    }
}

fn named(what: &'static str, name: String) -> Result<String, InvalidSetting> {
    if name.is_empty() {
        return Err(InvalidSetting::new(what, "\"\"", "a name"));
    }
    Ok(name)
}
