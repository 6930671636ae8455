use std::task::{Context, Poll};

use http::{Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::ReportLoadFuture;
use super::layer::Settings;
use crate::http::HeldBody;
use crate::load::{Guard, LoadMeter};

/// A service that reports its load, made by a [`ReportLoadLayer`](super::ReportLoadLayer).
///
/// # Cancel safety
///
/// A response future can be dropped at any point: its request is over then.
///
/// # Errors
///
/// Those of the service inside.
#[derive(Clone, Debug)]
pub struct ReportLoad<S> {
    service: S,
    settings: Settings,
}

impl<S> ReportLoad<S> {
    pub(super) fn new(service: S, settings: Settings) -> Self {
        Self { service, settings }
    }

    /// Returns the service inside.
    pub fn get_ref(&self) -> &S {
        &self.service
    }

    /// Returns the meter.
    pub fn meter(&self) -> &LoadMeter {
        &self.settings.meter
    }

    fn is_probe<B>(&self, request: &Request<B>) -> bool {
        let path = self.settings.probe_path.as_deref();
        path == Some(request.uri().path()) && *request.method() == Method::GET
    }
}

impl<S, B, RB> Service<Request<B>> for ReportLoad<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: Body + Default,
{
    type Response = Response<HeldBody<RB, Guard>>;
    type Error = S::Error;
    type Future = ReportLoadFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Settings { meter, format, .. } = &self.settings;
        if self.is_probe(&request) {
            return ReportLoadFuture::probe(meter.clone(), *format);
        }
        let request_in_flight = meter.start();
        ReportLoadFuture::called(self.service.call(request), request_in_flight, *format)
    }
}
