//! The page, as a browser shows it.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use evenkeel::backend::{Failure, Outcome};
use evenkeel::observe::status::Status;
use evenkeel::{Backend, Pool};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::driver::Browser;
use crate::setup::{HOSTILE, pool, requests};

pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// The text of a cell in the row of a backend; null if there is none.
fn cell(place: usize, part: &str) -> String {
    format!(
        "document.querySelectorAll('tbody tr')[{place}]?.querySelector('{part}')?.textContent ?? null"
    )
}

const LIVE: &str = "document.getElementById('live').textContent";

/// Taken down before the page itself runs: anything that a page would have to be ashamed of.
const WATCH: &str = "window.seen = [];
    addEventListener('error', (event) => seen.push(event.message ?? 'a resource'), true);
    addEventListener('unhandledrejection', (event) => seen.push(String(event.reason)));
    addEventListener('securitypolicyviolation', (event) => seen.push(event.violatedDirective));
    window.alert = (text) => seen.push('alert ' + text);";

async fn watched() -> Option<Browser> {
    let browser = Browser::start().await?;
    let script = json!({ "source": WATCH });
    let command = "Page.addScriptToEvaluateOnNewDocument";
    browser.command(command, script).await;
    Some(browser)
}

async fn nothing_went_wrong(browser: &Browser) {
    assert_eq!(browser.run("return window.seen").await, json!([]));
    assert_eq!(browser.complaints().await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_goes_down_drains_and_comes_back_while_somebody_looks() {
    let Some(browser) = watched().await else {
        return;
    };
    let pool: Pool<()> = pool(["a", "b"]);
    let status = Status::new().pool("shop", &pool);
    let address = serve(Router::new().nest_service("/status", status)).await;
    browser.open(&format!("http://{address}/status")).await;
    browser.wait_for(LIVE, "live").await;
    browser
        .wait_for("document.querySelector('h2').textContent", "shop")
        .await;
    for (place, id) in ["a", "b"].into_iter().enumerate() {
        browser.wait_for(&cell(place, ".id"), id).await;
        browser.wait_for(&cell(place, ".state"), "healthy").await;
    }

    pool.force_down("a");
    browser.wait_for(&cell(0, ".state"), "forced down").await;
    browser.wait_for("document.title", "1 of 2 healthy").await;
    pool.unforce("a");
    browser.wait_for(&cell(0, ".state"), "healthy").await;
    pool.drain("a");
    browser.wait_for(&cell(0, ".state"), "draining").await;
    let colour = "return getComputedStyle(document.querySelector('.state')).color";
    let draining = browser.run(colour).await;
    pool.undrain("a");
    browser.wait_for(&cell(0, ".state"), "healthy").await;
    assert_ne!(browser.run(colour).await, draining);
    browser.wait_for("document.title", "2 of 2 healthy").await;

    requests(&pool, "b", 1200, Outcome::Success);
    requests(&pool, "b", 3, Outcome::Failure(Failure::Timeout));
    browser
        .wait_for(&cell(1, "[data-label=Requests] span"), "1,203")
        .await;
    browser
        .wait_for(&cell(1, "[data-label=Failed] span"), "3")
        .await;
    browser
        .wait_for(&cell(1, "[data-label=Failed] .small"), "3 × timed out")
        .await;
    browser
        .wait_for(&cell(1, "[data-label=Share] span"), "100 %")
        .await;
    let line = "document.querySelectorAll('tbody tr')[1].querySelectorAll('polyline').length > 0";
    browser.wait_for(line, true).await;

    pool.insert(Backend::new("c", ()).zone("north"));
    browser.wait_for(&cell(2, ".id"), "c").await;
    browser.wait_for(&cell(2, ".small"), "north").await;
    pool.remove("a");
    browser.wait_for(&cell(0, ".id"), "b").await;
    browser.wait_for(&cell(2, ".id"), Value::Null).await;
    nothing_went_wrong(&browser).await;

    // Its links lead where it is.
    let links =
        "return [...document.querySelectorAll('footer a')].map((a) => new URL(a.href).pathname)";
    let expected = json!(["/status/status.json", "/status/metrics"]);
    assert_eq!(browser.run(links).await, expected);
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_backends_are_called_stays_text() {
    let Some(browser) = watched().await else {
        return;
    };
    let pool: Pool<()> = HOSTILE
        .into_iter()
        .map(|id| Backend::new(id, ()).zone(id).metadata(id, id))
        .collect();
    let status = Status::new()
        .pool(HOSTILE[0], &pool)
        .pool(HOSTILE[1], &pool);
    let home = Router::new().route("/", get(async || Redirect::to("/pages/")));
    let address = serve(home.nest_service("/pages/", status)).await;
    browser.open(&format!("http://{address}/")).await;
    browser.wait_for(LIVE, "live").await;
    browser
        .wait_for(
            "document.querySelectorAll('tbody tr').length",
            2 * HOSTILE.len(),
        )
        .await;
    for (place, id) in HOSTILE.into_iter().enumerate() {
        browser.wait_for(&cell(place, ".id"), id).await;
        let about = format!("{id} · {id} {id}");
        browser.wait_for(&cell(place, ".small"), about).await;
    }
    let elements = "return document.querySelectorAll('img, script, iframe, object').length";
    assert_eq!(browser.run(elements).await, 1, "the page has one script");
    // Some more rounds, in which rows are found again.
    browser
        .wait_for("document.querySelectorAll('polyline').length > 0", true)
        .await;
    nothing_went_wrong(&browser).await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_that_the_server_is_gone_and_what_is_shown_is_old() {
    let Some(browser) = watched().await else {
        return;
    };
    let pool = pool(["a"]);
    let status = Status::new().pool("shop", &pool);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    // In a runtime of its own, with which all connections end.
    let server = tokio::runtime::Builder::new_multi_thread();
    let server = { server }
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let app = Router::new().fallback_service(status);
    server.spawn(async move { axum::serve(listener, app).await });
    browser.open(&format!("http://{address}/")).await;
    browser.wait_for(LIVE, "live").await;

    server.shutdown_background();
    browser
        .wait_for("document.getElementById('live').dataset.is", "gone")
        .await;
    browser
        .wait_for(
            &format!("{LIVE}.startsWith('the server is gone, what is shown is ')"),
            true,
        )
        .await;
    browser
        .wait_for("document.querySelector('main').className", "old")
        .await;
    browser.wait_for(&cell(0, ".id"), "a").await;
    assert_eq!(browser.run("return window.seen").await, json!([]));
    browser.end().await;
}

const WELL: usize = 0;
const HANGS: usize = 1;
const FAILS: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_is_wrong_with_the_server_until_it_answers_again() {
    let Some(browser) = watched().await else {
        return;
    };
    let pool = pool(["a"]);
    let status = Status::new().pool("shop", &pool);
    let mode = Arc::new(AtomicUsize::new(WELL));
    let moody = Arc::clone(&mode);
    let in_some_mode = from_fn(move |request: Request, next: Next| {
        let mode = moody.load(Ordering::SeqCst);
        async move {
            match mode {
                HANGS => pending().await,
                FAILS => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                _ => next.run(request).await,
            }
        }
    });
    let app = Router::new().fallback_service(status).layer(in_some_mode);
    browser.open(&format!("http://{}/", serve(app).await)).await;
    browser.wait_for(LIVE, "live").await;

    // It takes a while to be called absent, but not to be called old.
    mode.store(HANGS, Ordering::SeqCst);
    let is = "document.getElementById('live').dataset.is + ' ' + document.querySelector('main').className";
    browser.wait_for(is, "stale old").await;
    let begins = |text| format!("{LIVE}.startsWith('{text}')");
    browser
        .wait_for(&begins("the server does not answer"), true)
        .await;
    browser.wait_for("document.title", "no answer").await;
    mode.store(FAILS, Ordering::SeqCst);
    browser
        .wait_for(&begins("the server answered 503"), true)
        .await;
    mode.store(WELL, Ordering::SeqCst);
    browser.wait_for(LIVE, "live").await;
    browser
        .wait_for("document.querySelector('main').className", "")
        .await;
    browser.wait_for("document.title", "1 of 1 healthy").await;
    assert_eq!(browser.run("return window.seen").await, json!([]));
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_while_nobody_looks() {
    let Some(browser) = watched().await else {
        return;
    };
    let pool = pool(["a"]);
    let status = Status::new().pool("shop", &pool);
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let count = from_fn(move |request: Request, next: Next| {
        counter.fetch_add(1, Ordering::SeqCst);
        next.run(request)
    });
    let app = Router::new().fallback_service(status).layer(count);
    browser.open(&format!("http://{}/", serve(app).await)).await;
    browser.wait_for(LIVE, "live").await;
    let asked = || asked.load(Ordering::SeqCst);
    let hide = "Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })";
    browser.run(hide).await;
    // What was asked before may still be on its way.
    let mut before = asked();
    for round in 0.. {
        sleep(Duration::from_millis(2500)).await;
        if asked() == before {
            break;
        }
        before = asked();
        assert!(round < 5, "it does not stop");
    }
    let show = "delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))";
    browser.run(show).await;
    while asked() < before + 2 {
        sleep(Duration::from_millis(50)).await;
    }
    browser.wait_for(LIVE, "live").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_fits_a_telephone() {
    let Some(browser) = watched().await else {
        return;
    };
    let long = "long".repeat(40);
    let pool = pool(["a", &long]);
    let status = Status::new().pool("shop", &pool);
    let address = serve(Router::new().fallback_service(status)).await;
    let size = json!({ "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true });
    browser
        .command("Emulation.setDeviceMetricsOverride", size)
        .await;
    browser.open(&format!("http://{address}/")).await;
    browser.wait_for(&cell(1, ".id"), long).await;
    browser
        .wait_for("document.documentElement.scrollWidth", 390)
        .await;
    nothing_went_wrong(&browser).await;
    browser.end().await;
}
