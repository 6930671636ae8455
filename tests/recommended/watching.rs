//! The pool is watched as long as there is a stack.

use bytes::Bytes;
use evenkeel::backend::State;
use evenkeel::http::recommended;
use http_body_util::Empty;
use tokio::time::sleep;
use tower::ServiceExt;

use crate::setup::{Does, World, get, ms};

type OfGets = World<Empty<Bytes>>;

fn one_is_ill() -> OfGets {
    OfGets::new([("a", Does::Fails), ("b", Does::Answers)])
}

/// Sends more than it takes to eject one that fails.
async fn ask<S>(service: &S)
where
    S: tower::Service<http::Request<Empty<Bytes>>> + Clone,
{
    for _ in 0..50 {
        let _ = service.clone().oneshot(get()).await;
        sleep(ms(20)).await;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_second_stack_watches_the_pool_when_the_first_is_gone() {
    let world = one_is_ill();
    let one = recommended(world.round_robin());
    let two = recommended(world.round_robin());
    for service in [&one, &two] {
        let _ = service.clone().oneshot(get()).await;
    }
    drop(one);
    ask(&two).await;
    assert_eq!(world.state("a"), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_is_dropped_leaves_the_watch_to_others() {
    let world = one_is_ill();
    let one = recommended(world.round_robin());
    let two = recommended(world.round_robin());
    let _ = one.clone().oneshot(get()).await;
    let _ = two.clone().oneshot(get()).await;
    drop(two);
    ask(&one).await;
    assert_eq!(world.state("a"), State::Ejected);
}

/// As with a client in a static, which tests share.
#[test]
fn the_pool_is_watched_though_the_runtime_of_the_first_request_has_ended() {
    let world = one_is_ill();
    let service = recommended(world.round_robin());
    let _ = runtime().block_on(service.clone().oneshot(get()));
    runtime().block_on(async {
        ask(&service).await;
        assert_eq!(world.state("a"), State::Ejected);
    });
}
