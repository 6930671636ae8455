use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evenkeel::observe::status::Status;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::setup::{HOSTILE, ask, get, pool, text};

const PATHS: [&str; 3] = ["/", "/status.json", "/metrics"];

fn header(headers: &HeaderMap, name: impl AsRef<str>) -> &str {
    let name = name.as_ref();
    let value = headers.get(name).unwrap_or_else(|| panic!("no {name}"));
    value.to_str().expect("it is ASCII")
}

#[tokio::test]
async fn every_answer_is_kept_by_nobody_and_read_by_its_type_alone() {
    let pool = pool(["a"]);
    let status = Status::new().pool("shop", &pool);
    for path in PATHS.into_iter().chain(["/nothing"]) {
        let response = ask(&status, Method::GET, path).await;
        let headers = response.headers();
        assert_eq!(header(headers, CACHE_CONTROL), "no-store", "{path}");
        assert_eq!(header(headers, X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        assert!(headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).is_none(), "{path}");
        let policy = header(headers, CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
    }
    for (path, expected) in [
        ("/", "text/html; charset=utf-8"),
        ("/status.json", "application/json"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
    ] {
        let response = ask(&status, Method::GET, path).await;
        assert_eq!(header(response.headers(), CONTENT_TYPE), expected);
    }
}

#[tokio::test]
async fn head_says_what_get_would_without_a_body() {
    let pool = pool(["a"]);
    let status = Status::new().pool("shop", &pool);
    for path in ["/", "/metrics"] {
        let head = ask(&status, Method::HEAD, path).await;
        assert_eq!(head.status(), StatusCode::OK);
        let body = get(&status, path).await;
        assert_eq!(
            header(head.headers(), CONTENT_LENGTH),
            body.len().to_string()
        );
        assert_eq!(text(head).await, "");
    }
}

#[tokio::test]
async fn nothing_but_get_and_head_is_allowed_and_nothing_else_is_found() {
    let status = Status::new();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        for path in PATHS {
            let response = ask(&status, method.clone(), path).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(header(response.headers(), ALLOW), "GET, HEAD");
        }
    }
    for path in [
        "/status.json/",
        "/index.html",
        "//",
        "/metrics?x/../y",
        "/%2e%2e/etc",
    ] {
        let expected = if path.starts_with("/metrics") {
            200
        } else {
            404
        };
        let response = ask(&status, Method::GET, path).await;
        assert_eq!(response.status(), expected, "{path}");
    }
}

/// The text of an element.
fn inside<'a>(page: &'a str, tag: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<{tag}>")).expect("it begins");
    rest.split_once(&format!("</{tag}>")).expect("it ends").0
}

#[tokio::test]
async fn the_policy_allows_the_script_and_the_style_of_the_page_and_no_other() {
    let status = Status::new();
    let response = ask(&status, Method::GET, "/").await;
    let policy = header(response.headers(), CONTENT_SECURITY_POLICY).to_owned();
    let page = text(response).await;
    for tag in ["script", "style"] {
        let inside = inside(&page, tag);
        assert!(inside.len() > 1000, "{tag}");
        let hash = STANDARD.encode(Sha256::digest(inside));
        let allowed = format!("; {tag}-src 'sha256-{hash}';");
        assert!(policy.contains(&allowed), "{policy} has no {allowed}");
        assert_eq!(page.matches(&format!("<{tag}")).count(), 1);
    }
    assert!(policy.contains("connect-src 'self'"));
    assert!(policy.contains("frame-ancestors 'none'"));
}

#[tokio::test]
async fn the_page_is_the_same_whatever_backends_are_called_and_asks_nobody_else() {
    let (plain, hostile) = (pool(["a"]), pool(HOSTILE));
    let plain = get(&Status::new().pool("shop", &plain), "/").await;
    let hostile = get(&Status::new().pool("<b>", &hostile), "/").await;
    assert_eq!(plain, hostile);
    // The only address in it names the elements of a picture.
    let addresses = plain.matches("://").count();
    assert_eq!(
        addresses,
        plain.matches("http://www.w3.org/2000/svg").count()
    );
    for never in [
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
    ] {
        assert!(!plain.contains(never), "{never}");
    }
}

#[tokio::test]
async fn it_works_under_a_prefix_with_and_without_a_slash() {
    let pool = pool(["a"]);
    let status = Status::new().pool("shop", &pool);
    let app: Router = Router::new().nest_service("/internal/status", status);
    for path in ["", "/", "/status.json", "/metrics"] {
        let uri = format!("/internal/status{path}");
        let request = Request::get(uri).body(Body::empty()).expect("a request");
        let response = app.clone().oneshot(request).await.expect("it cannot fail");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let body = response.into_body().collect().await.expect("a body");
        assert!(!body.to_bytes().is_empty());
    }
}

/// The whole way, over a connection.
#[tokio::test]
async fn a_head_request_is_answered_over_a_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let status = Status::new();
    let address: SocketAddr = crate::browser::serve(Router::new().fallback_service(status)).await;
    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("a connection");
    let request = b"HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "there is a body: {answer}");
}
