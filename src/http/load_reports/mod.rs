//! What backends say of their load, as a header of their responses: ORCA's `endpoint-load-metrics`.
//!
//! # The backend's side
//!
//! [`ReportLoadLayer`] around a backend's service counts its requests with a
//! [`LoadMeter`](crate::load::LoadMeter), and puts a report on each response. With a
//! [path](ReportLoadLayer::probe_path) for it, it also answers probes.
//!
//! # The client's side
//!
//! Nothing is believed unless it is asked for, since whoever says that it is idle gets more requests:
//! [`BalanceLayer::believe_load_reports`](super::BalanceLayer::believe_load_reports), or
//! [`OnBodyEnd::believe_load_reports`](super::OnBodyEnd::believe_load_reports), with [`read`] or
//! [`take`]. The picker decides what it makes of the reports. [`HttpLoadProbe`] asks one backend for its load.
//!
//! # The header
//!
//! A name of a format and a list in it, as [Envoy] and [ORCA] have them:
//!
//! ```text
//! endpoint-load-metrics: TEXT cpu_utilization=0.3, rps_fractional=120.5, named_metrics.in_flight=7
//! endpoint-load-metrics: JSON {"cpu_utilization": 0.3, "named_metrics": {"in_flight": 7}}
//! ```
//!
//! | name | part of the [`LoadReport`] |
//! | --- | --- |
//! | `application_utilization` | [application utilization](LoadReport::with_application_utilization) |
//! | `cpu_utilization` | [CPU utilization](LoadReport::with_cpu_utilization) |
//! | `mem_utilization` | [memory utilization](LoadReport::with_memory_utilization) |
//! | `rps_fractional` | [requests per second](LoadReport::with_requests_per_second) |
//! | `eps` | [errors per second](LoadReport::with_errors_per_second) |
//! | `named_metrics.in_flight` | [in flight](LoadReport::with_in_flight): rounded down |
//! | `named_metrics.latency` | [latency](LoadReport::with_latency), in seconds |
//! | `named_metrics.service_time` | [service time](LoadReport::with_service_time), in seconds |
//!
//! In `TEXT`, a colon will do for the equals sign. In `JSON`, the named metrics are an object of their
//! own, and names can be written as protobuf does, `cpuUtilization`. Other names are skipped, and
//! their values not looked at. Of several headers the first counts, as in Envoy. The binary format
//! is not read.
//!
//! # What is not taken
//!
//! A report is taken whole or not at all. It is not, when
//!
//! * it is longer than 8 KiB, not UTF-8, or has more than 64 entries;
//! * a number is negative, infinite or none, or a name stands in it twice (in `JSON`, of a name that
//!   is written the same way twice the last counts);
//! * there is anything else in it, or after it.
//!
//! On the way of a response it is then as if there were none. Who wants to know why
//! [parses](parse) it: [`InvalidLoadReport`].
//!
//! # Cost
//!
//! A report in `TEXT` is read without an allocation, one in `JSON` with several. To write one takes
//! one. Each is about half a microsecond.
//!
//! # Examples
//!
//! A backend, and a client that goes by what it says:
//!
//! ```
//! use evenkeel::Pool;
//! use evenkeel::http::BalanceLayer;
//! use evenkeel::http::load_reports::{self, ReportLoadLayer};
//! use evenkeel::load::LoadMeter;
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! # use http_body_util::Full;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app = service_fn(|_request: Request<String>| async {
//!     Ok::<_, std::io::Error>(Response::new("hello".to_owned()))
//! });
//! let backend = ReportLoadLayer::new(LoadMeter::new().capacity(100)?).layer(app);
//!
//! // This client calls it directly; it could as well be hyper-util's.
//! let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"])?;
//! let client = BalanceLayer::reported_weighted_round_robin(pool)
//!     .believe_load_reports(load_reports::take)
//!     .layer(backend);
//! let response = client.oneshot(Request::new(String::new())).await?;
//! assert!(!response.headers().contains_key(load_reports::HEADER));
//! # Ok(())
//! # }
//! ```
//!
//! # References
//!
//! [Envoy]: `source/common/orca/orca_parser.cc`; gRFC A51.
//!
//! [Envoy]: https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/load_balancing_policies/client_side_weighted_round_robin/v3/client_side_weighted_round_robin.proto
//! [ORCA]: https://www.envoyproxy.io/docs/envoy/latest/xds/data/orca/v3/orca_load_report.proto

mod format;
mod future;
mod invalid;
mod json;
mod layer;
mod parts;
mod probe;
mod service;
mod text;

use std::str::FromStr;

use http::HeaderMap;
use http::header::HeaderName;

pub use self::format::Format;
pub use self::future::ReportLoadFuture;
pub use self::invalid::InvalidLoadReport;
use self::invalid::Problem;
pub use self::layer::ReportLoadLayer;
pub use self::probe::{HttpLoadProbe, LoadProbeError, LoadProbeFuture};
pub use self::service::ReportLoad;
use crate::load::LoadReport;

/// The header that reports stand in.
pub const HEADER: HeaderName = HeaderName::from_static("endpoint-load-metrics");

/// Longer ones are not read.
const MAX_LENGTH: usize = 8 * 1024;

/// Nor are those that have more.
const MAX_ENTRIES: usize = 64;

/// Reads the report in a response's headers, and leaves it there, so that the caller sees it too. A
/// report that is not valid is none.
///
/// For [`OnBodyEnd::believe_load_reports`](super::OnBodyEnd::believe_load_reports), hence `&mut`.
///
/// # Examples
///
/// ```
/// use evenkeel::http::load_reports::{HEADER, read};
/// use http::{HeaderMap, HeaderValue};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(HEADER, HeaderValue::from_static("TEXT cpu_utilization=0.25"));
/// assert_eq!(read(&mut headers).unwrap().cpu_utilization(), Some(0.25));
/// assert!(headers.contains_key(HEADER));
///
/// headers.insert(HEADER, HeaderValue::from_static("TEXT cpu_utilization=NaN"));
/// assert_eq!(read(&mut headers), None);
/// ```
pub fn read(headers: &mut HeaderMap) -> Option<LoadReport> {
    parse_value(headers.get(HEADER)?.as_bytes()).ok()
}

/// Takes the report out of a response's headers, so that the caller does not see it. A report that is
/// not valid is none, and taken out, too.
///
/// # Examples
///
/// ```
/// use evenkeel::http::load_reports::{HEADER, take};
/// use http::{HeaderMap, HeaderValue};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(HEADER, HeaderValue::from_static("TEXT eps=2"));
/// assert_eq!(take(&mut headers).unwrap().errors_per_second(), Some(2.0));
/// assert!(headers.is_empty());
/// ```
pub fn take(headers: &mut HeaderMap) -> Option<LoadReport> {
    parse_value(headers.remove(HEADER)?.as_bytes()).ok()
}

/// Parses the report in a response's headers, if there is one.
///
/// # Errors
///
/// If it is not valid.
///
/// # Examples
///
/// ```
/// use evenkeel::http::load_reports::{HEADER, parse};
/// use http::{HeaderMap, HeaderValue};
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(parse(&headers), Ok(None));
///
/// headers.insert(HEADER, HeaderValue::from_static("TEXT cpu_utilization=-1"));
/// let error = parse(&headers).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "invalid load report: cpu_utilization is \"-1\", expected a number from 0",
/// );
/// ```
pub fn parse(headers: &HeaderMap) -> Result<Option<LoadReport>, InvalidLoadReport> {
    let value = headers.get(HEADER);
    let report = value.map(|value| parse_value(value.as_bytes())).transpose();
    report.map_err(InvalidLoadReport::from)
}

/// A report as it stands in the header, with the feature `load-reports`.
///
/// ```
/// use evenkeel::load::LoadReport;
///
/// let report: LoadReport = "TEXT cpu_utilization=0.3, named_metrics.in_flight=7".parse()?;
/// assert_eq!((report.cpu_utilization(), report.in_flight()), (Some(0.3), Some(7)));
/// # Ok::<(), evenkeel::http::load_reports::InvalidLoadReport>(())
/// ```
impl FromStr for LoadReport {
    type Err = InvalidLoadReport;

    fn from_str(value: &str) -> Result<Self, InvalidLoadReport> {
        parse_value(value.as_bytes()).map_err(InvalidLoadReport::from)
    }
}

fn parse_value(value: &[u8]) -> Result<LoadReport, Problem<'_>> {
    if value.len() > MAX_LENGTH {
        return Err(Problem::TooLong(value.len()));
    }
    let value = std::str::from_utf8(value).map_err(|_| Problem::NotUtf8)?;
    let (format, list) = value.split_once(' ').unwrap_or((value, ""));
    match format {
        "TEXT" => text::parse(list),
        "JSON" => json::parse(list),
        _ => Err(Problem::format(format)),
    }
}

#[cfg(test)]
mod tests;
