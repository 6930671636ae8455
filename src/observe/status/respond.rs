use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use serde::Serialize;

use super::StatusBody;
use super::page::Page;
use crate::set::{PoolStatus, PoolView};

const TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn page(page: &Page) -> Response<StatusBody> {
    let mut response = of("text/html; charset=utf-8", page.html.clone());
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, page.policy.clone());
    response
}

pub(super) fn json(pools: &[(&str, PoolStatus)], most: usize) -> Response<StatusBody> {
    #[derive(Serialize)]
    struct All<'a> {
        pools: Vec<PoolView<'a>>,
    }

    let views = pools
        .iter()
        .map(|(name, status)| PoolView::new(Some(name), status, most));
    let all = All {
        pools: views.collect(),
    };
    match serde_json::to_vec(&all) {
        Ok(json) => of("application/json", json),
        Err(error) => {
            let mut response = of(TEXT, error.to_string());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

pub(super) fn metrics(text: String) -> Response<StatusBody> {
    of("text/plain; version=0.0.4; charset=utf-8", text)
}

pub(super) fn not_found() -> Response<StatusBody> {
    let mut response = of(TEXT, "There are /, /status.json and /metrics.\n");
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

pub(super) fn not_allowed() -> Response<StatusBody> {
    let mut response = of(TEXT, "It can only be read.\n");
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let allowed = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(ALLOW, allowed);
    response
}

fn of(content_type: &'static str, text: impl Into<Bytes>) -> Response<StatusBody> {
    let text = text.into();
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(StatusBody::new(text));
    let headers = response.headers_mut();
    // HEAD says how long the answer to GET is.
    headers.insert(CONTENT_LENGTH, length);
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        // The page has its own.
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
