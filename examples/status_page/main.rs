//! A status page beside a balance: how each backend is, live, as HTML, JSON and Prometheus's text; and
//! routes by which an operator who has a token drains a backend, forces one down, or changes a weight.
//!
//! Without arguments it shows on itself what happens, and ends. To look at the page:
//!
//! ```text
//! EVENKEEL_ADMIN_TOKEN=secret cargo run --example status_page --features status -- --serve
//! curl -X POST -H 'Authorization: Bearer secret' http://127.0.0.1:8480/admin/backends/amber/drain
//! ```

mod admin;
mod backends;
mod traffic;

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use evenkeel::Pool;
use evenkeel::http::Address;
use evenkeel::observe::status::Status;
use http_body_util::BodyExt;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, StatusCode};
use tokio::net::TcpListener;
use tokio::time::sleep;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let serve = match env::args().nth(1).as_deref() {
        None => false,
        Some("--serve") => true,
        Some(other) => return Err(format!("{other}: there is only --serve").into()),
    };
    let pool = backends::pool().await?;
    let client = traffic::begin(&pool);
    if serve {
        // Nobody may do anything without a token, and there is none by default.
        let token = env::var("EVENKEEL_ADMIN_TOKEN").ok();
        if token.is_none() {
            println!("EVENKEEL_ADMIN_TOKEN is not set, so there is no /admin");
        }
        let listener = TcpListener::bind("127.0.0.1:8480").await?;
        println!("http://{}/status", listener.local_addr()?);
        axum::serve(listener, app(&pool, token)).await?;
        return Ok(());
    }

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    let app = app(&pool, Some("for this demonstration".to_owned()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    demonstrate(&pool, &client, server).await
}

/// The page under `/status`, for whoever can reach it; `/admin` for those who have the token.
fn app(pool: &Pool<Address>, token: Option<String>) -> Router {
    let status = Status::new().pool("colours", pool);
    let app = Router::new().nest_service("/status", status);
    match token {
        Some(token) => app.nest("/admin", admin::routes(pool.clone(), token)),
        None => app,
    }
}

async fn demonstrate(
    pool: &Pool<Address>,
    client: &traffic::HttpClient,
    server: SocketAddr,
) -> Result<(), BoxError> {
    let ask = async |method: Method, path: &str, token: Option<&str>| {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{server}{path}"));
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = client.request(request.body(Body::empty())?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, BoxError>((status, String::from_utf8_lossy(&body).into_owned()))
    };

    sleep(Duration::from_secs(2)).await;
    println!(
        "After two seconds; ruby fails, and jade is slow:\n{:#}\n",
        pool.status()
    );

    for (path, token) in [
        ("/admin/backends/amber/drain", None),
        ("/admin/backends/amber/drain", Some("a guess")),
        (
            "/admin/backends/amber/drain",
            Some("for this demonstration"),
        ),
        (
            "/admin/backends/jade/weight/1",
            Some("for this demonstration"),
        ),
    ] {
        let (status, says) = ask(Method::POST, path, token).await?;
        println!(
            "POST {path}, token {token:?}: {}, {}",
            status.as_u16(),
            says.trim()
        );
    }
    sleep(Duration::from_millis(300)).await;
    println!("\n{:#}", pool.status());

    let (status, json) = ask(Method::GET, "/status/status.json", None).await?;
    check(status)?;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    let amber = &json["pools"][0]["backends"][0];
    println!("\nOf /status/status.json, amber:\n{amber:#}");

    let (status, metrics) = ask(Method::GET, "/status/metrics", None).await?;
    check(status)?;
    println!("\nOf /status/metrics, ruby:");
    let of_ruby = metrics.lines().filter(|line| line.contains("\"ruby\""));
    of_ruby.for_each(|line| println!("{line}"));

    let (status, page) = ask(Method::GET, "/status", None).await?;
    check(status)?;
    println!(
        "\n/status is a page of {} bytes. To look at it: --serve",
        page.len()
    );
    Ok(())
}

fn check(status: StatusCode) -> Result<(), BoxError> {
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("the status page answered {status}").into())
    }
}
