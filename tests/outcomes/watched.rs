//! What a response says of its backend, beside its outcome, reaches the pool.

use std::time::Duration;

use evenkeel::backend::State;
use evenkeel::health::{Ejection, Health};
use evenkeel::http::{Classify, HttpOutcomes, OnBodyEnd};
use evenkeel::{Backend, Balance, Pool};
use http::header::HeaderName;
use http::{Request, Response};
use tokio::time::sleep;
use tower::{ServiceExt, service_fn};

/// Two backends, of which "a" answers each request with this head; then one request to it.
async fn after(status: u16, header: &'static str, value: &'static str) -> Pool<impl Clone> {
    let service = service_fn(move |_: Request<()>| async move {
        let response = Response::builder().status(status).header(header, value);
        Ok::<_, std::io::Error>(response.body(String::new()).expect("it is valid"))
    });
    let pool = Pool::from(["a", "b"].map(|id| Backend::new(id, service)));
    let degraded = HeaderName::from_static("x-degraded");
    let classify = HttpOutcomes::new().degraded_header(degraded);
    let balance = Balance::ordered(pool.clone()).track(OnBodyEnd::new().classify(classify));
    let watch = Health::new().ejection(Ejection::new()).spawn(&pool);
    let response = balance.oneshot(Request::new(())).await.expect("a answers");
    assert_eq!(response.body().backend(), "a");
    drop(response);
    sleep(Duration::from_millis(6)).await;
    // It lasts for as long as the test.
    tokio::spawn(watch);
    pool
}

#[tokio::test(start_paused = true)]
async fn a_429_spares_its_backend_for_as_long_as_it_asks() {
    for (status, header, value, seconds) in [
        (429, "retry-after", "7", 7),
        (503, "retry-after", "7", 7),
        (429, "x-nothing", "7", 1),
    ] {
        let pool = after(status, header, value).await;
        let share = || pool.get("a").expect("a member").share();
        assert!((share() - 0.1).abs() < 1e-9, "{status} {header}");
        sleep(Duration::from_millis(seconds * 1000 - 20)).await;
        assert!((share() - 0.1).abs() < 1e-9, "{status} {header}");
        sleep(Duration::from_millis(40)).await;
        assert!((share() - 1.0).abs() < 1e-9, "{status} {header}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_makes_its_backend_degraded_for_a_while() {
    for (value, state) in [("true", State::Degraded), ("false", State::Healthy)] {
        let pool = after(200, "x-degraded", value).await;
        assert_eq!(pool.get("a").expect("a member").state(), state);
        sleep(Duration::from_secs(10)).await;
        assert_eq!(pool.get("a").expect("a member").state(), State::Healthy);
    }
}
