use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Method, Request, Response};
use evenkeel::backend::{Completion, Outcome};
use evenkeel::observe::status::{Status, StatusBody};
use evenkeel::{Backend, Pool};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// Ids that are harmless only where they stay text.
pub(crate) const HOSTILE: [&str; 6] = [
    "<img src=x onerror=alert(1)>",
    "\"};alert(1)//",
    "</script><script>alert(1)</script>",
    "a\\b\"c\nd",
    "__proto__",
    "\u{202e}…\u{0}",
];

pub(crate) fn pool<'a>(ids: impl IntoIterator<Item = &'a str>) -> Pool<()> {
    let backends = ids.into_iter().map(|id| Backend::new(id, ()));
    backends.collect()
}

pub(crate) fn start(pool: &Pool<()>, id: &str) -> Completion {
    let started = pool.start(|set| (0..set.len()).find(|&rank| set.id(rank) == id));
    started.expect("it is eligible").1
}

pub(crate) fn requests(pool: &Pool<()>, id: &str, count: usize, outcome: Outcome) {
    for _ in 0..count {
        start(pool, id).finish(outcome);
    }
}

pub(crate) async fn ask(status: &Status, method: Method, path: &str) -> Response<StatusBody> {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).expect("a request");
    let answer: Result<_, Infallible> = status.clone().oneshot(request).await;
    answer.expect("it cannot fail")
}

pub(crate) async fn text(response: Response<StatusBody>) -> String {
    let body = response.into_body().collect().await.expect("a body");
    String::from_utf8(body.to_bytes().to_vec()).expect("it is UTF-8")
}

pub(crate) async fn get(status: &Status, path: &str) -> String {
    let response = ask(status, Method::GET, path).await;
    assert_eq!(response.status(), 200, "{path}");
    text(response).await
}
