use std::fmt;
use std::net::SocketAddr;

use evenkeel::InvalidSetting;
use evenkeel::discover::{Source, Updates};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher;
use kube::{Api, Client};

use crate::breaks::Breaks;
use crate::name::check;
use crate::port::Port;
use crate::updates::updates;

/// The endpoints of one Service, as its `EndpointSlice`s have them.
///
/// # Identity
///
/// A backend's id is its address and port, such as `10.1.2.3:8080` or `[fd00::7]:8080`, since that is
/// what is balanced over and probed. A pod is a new one after each restart of its Deployment, and has
/// an address of its own; one of a Service with two IP families has two. Which pod it is stands in
/// the metadata.
///
/// # What becomes of an endpoint
///
/// | endpoint | backend |
/// | --- | --- |
/// | ready, or nothing said | [`Healthy`](evenkeel::backend::Hint::Healthy) |
/// | not ready, terminating | [`Draining`](evenkeel::backend::Hint::Draining): its requests finish, and it has no new ones |
/// | not ready, terminating, serving, and none is ready in the whole Service | [`Degraded`](evenkeel::backend::Hint::Degraded): it is used, as kube-proxy does |
/// | not ready | [`Unhealthy`](evenkeel::backend::Hint::Unhealthy): only [in panic](evenkeel::set::Rules::panic_threshold) |
/// | zone | zone |
/// | pod, node, `hints.forZones` | metadata `kubernetes.pod` (`namespace/name`), `kubernetes.node`, `kubernetes.hints.zones` (`a,b`) |
/// | annotation `evenkeel.io/weight` of its slice | weight (1) |
/// | in several slices, as while it moves | one backend, in the best condition of them |
///
/// A slice of names (`FQDN`), one without the port, an address that is none: each is
/// [skipped](evenkeel::set::Happened::Skipped) with the reason, and hides none of the others. A weight
/// that is none is told in the same way, and is 1.
///
/// Kubernetes' controllers keep no annotations of the slices that they make for others. So weights
/// are for slices that you write yourself, or a controller of yours.
///
/// # Failures
///
/// A watch that times out goes on where it was. So does one that breaks off after ten seconds or
/// more; one that is too old (410) is followed by a new list. Whatever else happens is an error:
/// [`Follow`](evenkeel::discover::Follow) pauses, and all is listed again. Where lists succeed and
/// watches do not, the pause grows to ten seconds.
///
/// # Examples
///
/// ```no_run
/// use evenkeel::Pool;
/// use evenkeel::discover::Follow;
/// use evenkeel::http::Address;
/// use evenkeel_kubernetes::EndpointSlices;
///
/// # async fn follow() -> Result<(), Box<dyn std::error::Error>> {
/// let client = kube::Client::try_default().await?;
/// let pool = Pool::<Address>::new();
/// let source = EndpointSlices::new(client, "shop", "checkout")?.port("http");
/// let _feeding = Follow::new(source).spawn(&pool);
/// # Ok(())
/// # }
/// ```
#[must_use = "a source does nothing before it is followed"]
pub struct EndpointSlices {
    client: Client,
    namespace: String,
    service: String,
    pub(crate) settings: Settings,
    page_size: Option<u32>,
    breaks: Breaks,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) port: Port,
    pub(crate) family: IpFamily,
    pub(crate) hinted_for: Option<String>,
}

/// Which addresses of pods are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IpFamily {
    /// All, so that a pod of a Service with two families is two backends. The default.
    #[default]
    Any,
    /// Only IPv4.
    V4,
    /// Only IPv6.
    V6,
}

impl EndpointSlices {
    /// The endpoints of a Service. What its pods listen on has to be [chosen](Self::port) if there
    /// is more than one port.
    ///
    /// # Errors
    ///
    /// With names that no namespace and no Service can have.
    pub fn new(
        client: Client,
        namespace: impl Into<String>,
        service: impl Into<String>,
    ) -> Result<Self, InvalidSetting> {
        Ok(Self {
            client,
            namespace: check("namespace", namespace.into())?,
            service: check("Service", service.into())?,
            settings: Settings::default(),
            page_size: None,
            breaks: Breaks::default(),
        })
    }

    /// Chooses the port, by its name in the Service or by the number on which the pods listen.
    /// Default: [the only one](Port::Only).
    pub fn port(mut self, port: impl Into<Port>) -> Self {
        self.settings.port = port.into();
        self
    }

    /// Sets which addresses are taken. Default [`IpFamily::Any`].
    pub fn ip_family(mut self, family: IpFamily) -> Self {
        self.settings.family = family;
        self
    }

    /// Takes only endpoints that Kubernetes means for this zone, when all that are ready have such
    /// hints and there is one for the zone. Default: all.
    ///
    /// Kubernetes gives hints to Services with `trafficDistribution` or the annotation
    /// `service.kubernetes.io/topology-mode`. Where clients are few or of different weight, evenkeel's
    /// own [zones](evenkeel::set::Rules::local_zone) follow the load more closely; use one of the two.
    pub fn topology_hints(mut self, zone: impl Into<String>) -> Self {
        self.settings.hinted_for = Some(zone.into());
        self
    }

    /// Sets how many slices the API server is asked for at once. Default 500; 0 is all.
    pub fn page_size(mut self, slices: u32) -> Self {
        self.page_size = Some(slices);
        self
    }
}

impl Source for EndpointSlices {
    type Value = SocketAddr;

    fn name(&self) -> String {
        format!("kubernetes {}/{}", self.namespace, self.service)
    }

    fn watch(&mut self) -> Option<Updates<SocketAddr>> {
        let api = Api::<EndpointSlice>::namespaced(self.client.clone(), &self.namespace);
        let selector = format!("kubernetes.io/service-name={}", self.service);
        let mut config = watcher::Config::default().labels(&selector);
        if let Some(page_size) = self.page_size {
            config = config.page_size(page_size);
        }
        let events = watcher(api, config);
        Some(updates(events, self.settings.clone(), self.breaks.clone()))
    }
}

impl fmt::Debug for EndpointSlices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointSlices")
            .field("namespace", &self.namespace)
            .field("service", &self.service)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
