use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Pending, pending};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use serde::Deserialize;
use tower::BoxError;
use tower_service::Service;

use super::invalid::{Invalid, Told};
use super::values::{Statuses, Time};
use crate::health::{GrpcProbe, Health, HttpProbe, ProbeSettings, TcpProbe};
use crate::http::Address;

/// `[probe]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ProbeSection {
    kind: Kind,

    path: Option<String>,
    method: Option<String>,
    host: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    expect_status: Option<Vec<Statuses>>,
    body_contains: Option<String>,
    body_limit: Option<usize>,
    degraded_header: Option<String>,

    service: Option<String>,

    interval: Option<Time>,
    changing_interval: Option<Time>,
    idle_interval: Option<Time>,
    jitter: Option<f64>,
    timeout: Option<Time>,
    rise: Option<u32>,
    fall: Option<u32>,
    gated: bool,
    concurrency: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Http,
    Grpc,
    Tcp,
}

/// A probe that was checked, and is still to get its client.
#[derive(Clone, Debug)]
pub(super) struct Probing {
    section: ProbeSection,
    settings: ProbeSettings,
}

impl Probing {
    pub(super) fn new(section: ProbeSection) -> Result<Self, Invalid> {
        section.check_kind()?;
        let settings = section.settings()?;
        let _checked = section.http(NoClient)?;
        Ok(Self { section, settings })
    }

    pub(super) fn settings(&self) -> &ProbeSettings {
        &self.settings
    }

    pub(super) fn with<C, B, RB>(&self, client: C, health: Health<Address>) -> Health<Address>
    where
        C: Service<Request<B>, Response = Response<RB>> + Clone + Send + Sync + 'static,
        C: Service<Request<B>, Error: Into<BoxError>, Future: Send>,
        B: Default + From<Bytes> + Send + 'static,
        RB: Body<Error: Into<BoxError>> + Send + 'static,
    {
        let (section, settings) = (&self.section, self.settings.clone());
        match section.kind {
            Kind::Tcp => health.probe(TcpProbe::to(Address::host_and_port), settings),
            Kind::Grpc => {
                let service = section.service.clone();
                let probe = GrpcProbe::<_, B>::new(client);
                health.probe(probe.with(service, GrpcProbe::service), settings)
            }
            Kind::Http => {
                let probe = section.http(client).expect("it was checked");
                health.probe(probe, settings)
            }
        }
    }
}

impl ProbeSection {
    /// What belongs to another kind is a mistake.
    fn check_kind(&self) -> Result<(), Invalid> {
        let of_http = [
            ("path", self.path.is_some()),
            ("method", self.method.is_some()),
            ("host", self.host.is_some()),
            ("headers", self.headers.is_some()),
            ("expect_status", self.expect_status.is_some()),
            ("body_contains", self.body_contains.is_some()),
            ("body_limit", self.body_limit.is_some()),
            ("degraded_header", self.degraded_header.is_some()),
        ];
        let wrong = |field, expected| {
            let given = match self.kind {
                Kind::Http => "http",
                Kind::Grpc => "grpc",
                Kind::Tcp => "tcp",
            };
            Err(Invalid::setting(field, "kind of probe", given, expected))
        };
        let there = of_http.iter().find(|(_, is_there)| *is_there);
        match there {
            Some((field, _)) if self.kind != Kind::Http => wrong(*field, "http"),
            _ if self.service.is_some() && self.kind != Kind::Grpc => wrong("service", "grpc"),
            _ => Ok(()),
        }
    }

    fn http<C, B, RB>(&self, client: C) -> Result<HttpProbe<C, B>, Invalid>
    where
        C: Service<Request<B>, Response = Response<RB>>,
    {
        let mut probe = HttpProbe::new(client)
            .told("path", self.path.as_deref(), HttpProbe::path)?
            .told("method", self.method.as_deref(), |probe, name| {
                let method = Method::from_bytes(name.as_bytes());
                method
                    .map(|method| probe.method(method))
                    .map_err(|_| format!("invalid method {name:?}: expected a token, such as GET"))
            })?
            .told("host", self.host.as_deref(), HttpProbe::host)?
            .told("body_limit", self.body_limit, HttpProbe::body_limit)?
            .told(
                "body_contains",
                self.body_contains.as_deref(),
                HttpProbe::body_contains,
            )?
            .told(
                "degraded_header",
                self.degraded_header.as_deref(),
                HttpProbe::degraded_header,
            )?;
        for (name, value) in self.headers.iter().flatten() {
            probe = probe
                .header(name, value)
                .map_err(|error| Invalid::at(format!("headers.{name}"), error))?;
        }
        if self.expect_status.as_ref().is_some_and(Vec::is_empty) {
            let expected = "at least one";
            return Err(Invalid::setting(
                "expect_status",
                "list of statuses",
                "[]",
                expected,
            ));
        }
        for (at, statuses) in self.expect_status.iter().flatten().enumerate() {
            probe = probe
                .expect_status(statuses.0.clone())
                .map_err(|error| Invalid::at(format!("expect_status[{at}]"), error))?;
        }
        Ok(probe)
    }

    fn settings(&self) -> Result<ProbeSettings, Invalid> {
        let settings = ProbeSettings::new()
            .told("interval", self.interval, |settings, time| {
                settings.interval(time.0)
            })?
            .told(
                "changing_interval",
                self.changing_interval,
                |settings, time| settings.changing_interval(time.0),
            )?
            .told("idle_interval", self.idle_interval, |settings, time| {
                settings.idle_interval(time.0)
            })?
            .told("jitter", self.jitter, ProbeSettings::jitter)?
            .told("timeout", self.timeout, |settings, time| {
                settings.timeout(time.0)
            })?
            .told("rise", self.rise, ProbeSettings::rise)?
            .told("fall", self.fall, ProbeSettings::fall)?
            .told("concurrency", self.concurrency, ProbeSettings::concurrency)?
            .with(self.gated.then_some(()), |settings, ()| settings.gated());
        Ok(settings)
    }
}

/// Stands for a client while settings are checked.
struct NoClient;

impl Service<Request<()>> for NoClient {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pending<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }

    fn call(&mut self, _request: Request<()>) -> Self::Future {
        pending()
    }
}
