use std::sync::Arc;

use tower_layer::Layer;

use super::{Format, ReportLoad};
use crate::InvalidSetting;
use crate::http::parse_path;
use crate::load::LoadMeter;

/// Counts a backend's requests with a [`LoadMeter`], and puts a report on each response.
///
/// A request is in flight from its call until its response body has ended, was dropped, or broke
/// off; a response future that is dropped ends it, too. Its latency is the time to the response head.
/// A status from 500 to 599 is an error, and so is an error of the service. A report that the
/// response has already, from a backend behind this one perhaps, is replaced.
///
/// Put it outside of what makes requests wait, such as a limit: those in a queue are load, too. The
/// response body has to be a `Default`, which is what a probe gets.
///
/// # Examples
///
/// In axum:
///
/// ```
/// use axum::Router;
/// use axum::body::Body;
/// use axum::routing::get;
/// use evenkeel::http::load_reports::{self, ReportLoadLayer};
/// use evenkeel::load::LoadMeter;
/// use http::Request;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let meter = LoadMeter::new().capacity(100)?;
/// let app: Router = Router::new()
///     .route("/", get(async || "hello"))
///     .layer(ReportLoadLayer::new(meter.clone()).probe_path("/load")?);
///
/// let response = app.clone().oneshot(Request::get("/").body(Body::empty())?).await?;
/// let report = load_reports::parse(response.headers())?.unwrap();
/// assert_eq!((report.in_flight(), report.application_utilization()), (Some(1), Some(0.01)));
/// drop(response);
///
/// let response = app.oneshot(Request::get("/load").body(Body::empty())?).await?;
/// assert_eq!(response.status(), 204);
/// let report = load_reports::parse(response.headers())?.unwrap();
/// assert_eq!((report.in_flight(), report.requests_per_second()), (Some(0), Some(1.0)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ReportLoadLayer {
    settings: Settings,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) meter: LoadMeter,
    pub(super) format: Format,
    pub(super) probe_path: Option<Arc<str>>,
}

impl ReportLoadLayer {
    /// Counts with a meter, whose clones can count and report elsewhere as well.
    pub fn new(meter: LoadMeter) -> Self {
        Self {
            settings: Settings {
                meter,
                format: Format::default(),
                probe_path: None,
            },
        }
    }

    /// Sets how reports are written. Default: [`Format::Text`].
    pub fn format(mut self, format: Format) -> Self {
        self.settings.format = format;
        self
    }

    /// Answers a `GET` of this path itself, with status 204 and a report. Such a probe is not counted
    /// as a request, and does not reach the service. Default: no path.
    ///
    /// A query behind it makes no difference. Whoever can ask for it learns how loaded the backend is;
    /// the reports on responses say the same.
    ///
    /// # Errors
    ///
    /// When it is not a path, or has a query.
    pub fn probe_path(mut self, path: &str) -> Result<Self, InvalidSetting> {
        if parse_path(path)?.query().is_some() {
            let given = format_args!("{path:?}");
            return Err(InvalidSetting::new("path", given, "one without a query"));
        }
        self.settings.probe_path = Some(path.into());
        Ok(self)
    }
}

impl<S> Layer<S> for ReportLoadLayer {
    type Service = ReportLoad<S>;

    fn layer(&self, service: S) -> ReportLoad<S> {
        ReportLoad::new(service, self.settings.clone())
    }
}
