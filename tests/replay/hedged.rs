//! A body beside itself, in a hedge.

use std::convert::Infallible;
use std::time::Duration;

use evenkeel::http::{BalanceLayer, ByMethod, ReplayBody, ReplayLayer};
use evenkeel::retry::{Hedge, RetryLayer};
use evenkeel::{Backend, BackendSet, Balance, Pool, picker};
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::setup::{Script, Step, data};

const SLOW: Duration = Duration::from_secs(5);
const DELAY: Duration = Duration::from_secs(1);

/// Sends a body to a backend that reads so many frames, and then is slow. One more, as fast as a
/// hedge can be, reads all. Returns who has answered, and when.
async fn answered_by(body: Script, frames: usize) -> (&'static str, Duration) {
    let client = service_fn(move |request: Request<ReplayBody<Script>>| async move {
        let slow = request.uri().host() == Some("10.0.0.1");
        let mut body = request.into_body();
        if !slow {
            assert_eq!(body.collect().await.expect("all").to_bytes(), "onetwo");
            return Ok::<_, Infallible>(Response::new("fast".to_owned()));
        }
        for _ in 0..frames {
            body.frame().await;
        }
        sleep(SLOW).await;
        Ok(Response::new("slow".to_owned()))
    });
    let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"]).expect("addresses");
    let first = |set: &dyn BackendSet, _: &Request<_>, _: &mut picker::Context| {
        (0..set.len()).min_by_key(|&rank| set.id(rank).to_owned())
    };
    let service = ServiceBuilder::new()
        .layer(ReplayLayer::new())
        .layer(RetryLayer::new(ByMethod::new()).hedge(Hedge::after(DELAY)))
        .service(BalanceLayer::new(pool, first).layer(client));
    let began = Instant::now();
    let response = service.oneshot(Request::put("/").body(body).expect("a request"));
    let response = response.await.expect("an answer");
    let took = began.elapsed();
    match response.into_body().get_ref().as_str() {
        "slow" => ("slow", took),
        _ => ("fast", took),
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_body_that_is_whole_is_sent_beside_itself() {
    let script = || Script::new([data("one"), data("two")]);
    // Not read, or in part: a copy would wait for the one that it is to overtake.
    for frames in [0, 1, 2] {
        assert_eq!(
            answered_by(script(), frames).await,
            ("slow", SLOW),
            "{frames}"
        );
    }
    assert_eq!(answered_by(script(), 3).await, ("fast", DELAY));
    // It says that it has ended.
    assert_eq!(answered_by(script().ended(true), 2).await, ("fast", DELAY));
    // It has ended, but was not kept.
    let large = Script::new([Step::Data(vec![b' '; 65 * 1024].into())]);
    assert_eq!(answered_by(large, 2).await, ("slow", SLOW));
}

#[tokio::test(start_paused = true)]
async fn what_can_be_sent_again_can_be_sent_beside_unless_it_says_otherwise() {
    let service = |name: &'static str, takes| {
        let answer = move |()| async move {
            sleep(takes).await;
            Ok::<_, Infallible>(name)
        };
        Backend::new(name, service_fn(answer))
    };
    let backends = [service("a", SLOW), service("b", Duration::ZERO)];
    let first = |set: &dyn BackendSet, (): &(), _: &mut picker::Context| {
        (0..set.len()).min_by_key(|&rank| set.id(rank).to_owned())
    };
    let retry = RetryLayer::new(|(): &()| true).hedge(Hedge::after(DELAY));
    let service = retry.layer(Balance::new(backends, first));
    let began = Instant::now();
    assert_eq!(service.oneshot(()).await.expect("an answer"), "b");
    assert_eq!(began.elapsed(), DELAY);
}
