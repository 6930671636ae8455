//! A request can be dropped at any moment, and a backend may panic.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use evenkeel::balance::Head;
use evenkeel::retry::Hedge;
use fastrand::Rng;
use futures_util::FutureExt as _;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};

use crate::setup::{
    BROKEN, GATEWAY, LATE, Observer, REFUSED, Says, Step, UNSAFE, World, gateway, layer, seed,
    tokens,
};

fn any_step(rng: &mut Rng) -> Step {
    let wait = Head::failed(GATEWAY).retry_after(Duration::from_millis(rng.u64(0..40)));
    let says = [
        Says::Well,
        Says::Well,
        BROKEN,
        REFUSED,
        LATE,
        gateway(),
        Says::Head(GATEWAY, wait),
        Says::Never,
    ];
    (rng.u64(0..30), says[rng.usize(..says.len())])
}

#[tokio::test(start_paused = true)]
async fn whenever_a_request_is_dropped_all_is_counted_back_and_told() {
    let seed = seed();
    let mut whole = 0;
    for round in 0..3000 {
        let mut rng = Rng::with_seed(seed.wrapping_add(round));
        let names = ["a", "b", "c"];
        let world = World::new(names.map(|name| (name, any_step(&mut rng))));
        for name in names {
            world.says(name, [any_step(&mut rng), any_step(&mut rng)]);
        }
        let (budget, observer) = (tokens(3), Observer::default());
        let mut layer = layer().attempts(rng.u32(1..5)).unwrap();
        layer = layer.budget(budget.clone()).observer(observer.clone());
        if rng.bool() {
            layer = layer.hedge(Hedge::after(Duration::from_millis(rng.u64(0..20))));
        }
        if rng.bool() {
            layer = layer.total_time(Duration::from_millis(rng.u64(0..60)));
        }
        let mut balance = world.ordered();
        if rng.bool() {
            balance = balance.attempt_timeout(Duration::from_millis(rng.u64(0..30)));
        }
        let mut service = layer.layer(balance);
        let before = budget.available();
        let request = if rng.bool() { 1 } else { UNSAFE };
        {
            let mut future = pin!(service.call(request));
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..rng.u32(0..60) {
                if future.as_mut().poll(&mut cx).is_ready() {
                    whole += 1;
                    break;
                }
                if rng.u32(0..20) == 0 {
                    let id = names[rng.usize(..3)];
                    if rng.bool() {
                        world.pool.drain(id);
                    } else {
                        world.pool.undrain(id);
                    }
                }
                advance(Duration::from_millis(rng.u64(0..10))).await;
            }
        }
        let asked = world.log().len();
        assert_eq!(world.in_flight(), 0, "round {round}");
        let heard = observer.heard();
        assert_eq!(heard.requests.len(), 1, "round {round}: {heard:?}");
        assert_eq!(heard.requests[0].len(), asked, "round {round}: {heard:?}");
        assert_eq!(heard.attempts.len(), asked, "round {round}: {heard:?}");
        // One that waits for its pause has its token already, and one that found nobody had it.
        let taken = (before - budget.available()).round() as usize;
        assert!(
            taken + 1 >= asked,
            "round {round}: {taken} tokens, {asked} attempts"
        );
    }
    assert!(
        (300..2900).contains(&whole),
        "{whole} of 3000 were not dropped"
    );
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_panics_leaves_nothing_behind() {
    let scripts: [(Step, Step); 4] = [
        ((0, Says::Panic), (0, Says::Well)),
        ((5, Says::Panic), (0, Says::Well)),
        ((0, BROKEN), (3, Says::Panic)),
        // The hedge panics while the first is pending.
        ((60, Says::Well), (5, Says::Panic)),
    ];
    for (a, b) in scripts {
        let world = World::new([("a", a), ("b", b)]);
        let observer = Observer::default();
        let layer = layer().hedge(Hedge::after(Duration::from_millis(20)));
        let service = layer.observer(observer.clone()).layer(world.ordered());
        let asking = AssertUnwindSafe(service.clone().oneshot(1)).catch_unwind();
        assert!(asking.await.is_err());
        assert_eq!(world.in_flight(), 0);
        let heard = observer.heard();
        assert_eq!(heard.requests.len(), 1);
        assert_eq!(heard.requests[0].len(), world.asked().len(), "{heard:?}");
        // The service works as before.
        world.says("a", [(0, Says::Well)]);
        assert_eq!(service.oneshot(2).await.unwrap().from, "a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_service_does_not_end_its_requests() {
    let world = World::new([("a", (10, BROKEN)), ("b", (10, Says::Well))]);
    let mut service = layer().layer(world.ordered());
    let future = service.call(1);
    drop(service);
    assert_eq!(future.await.unwrap().from, "b");
}

#[test]
fn without_a_runtime_what_needs_no_timer_works() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let world = {
        let _inside = runtime.enter();
        World::new([
            ("a", (0, BROKEN)),
            ("b", (0, gateway())),
            ("c", (0, Says::Well)),
        ])
    };
    // The second retry would have to pause.
    let layer = layer().hedge(Hedge::after(Duration::from_millis(1)));
    let service = layer
        .total_time(Duration::from_secs(1))
        .layer(world.ordered());
    let mut future = pin!(service.oneshot(1));
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(answer)) = future.as_mut().poll(&mut cx) else {
        panic!("nothing is to wait for")
    };
    assert_eq!(answer.from, "b");
    assert_eq!(world.asked(), ["a", "b"]);
}
