//! The layer, and what it costs.

use evenkeel::http::{Replay, ReplayBody, ReplayLayer};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

use crate::setup::{Script, data, poll};

#[tokio::test]
async fn the_layer_sets_how_much_is_kept() {
    let can_replay = async |layer: ReplayLayer| {
        let service = service_fn(async |request: Request<ReplayBody<Full<&'static [u8]>>>| {
            let again = request.clone();
            assert_eq!(again.headers()["name"], "value");
            request.into_body().collect().await?;
            Ok::<_, BoxError>(Response::new(again.body().can_replay()))
        });
        let request = Request::post("/").header("name", "value");
        let request = request.body(Full::new("12345678".as_bytes())).unwrap();
        let response = layer.layer(service).oneshot(request).await.unwrap();
        response.into_body()
    };
    assert!(can_replay(ReplayLayer::new()).await);
    assert!(can_replay(ReplayLayer::default()).await);
    assert!(can_replay(ReplayLayer::new().max_bytes(8)).await);
    assert!(!can_replay(ReplayLayer::new().max_bytes(7)).await);
}

#[test]
fn an_empty_body_costs_no_allocation() {
    let service = service_fn(|request: Request<ReplayBody<Empty<&'static [u8]>>>| {
        let again = request.clone();
        drop(request);
        std::future::ready(Ok::<_, BoxError>(again.into_body().can_replay()))
    });
    let mut service = Replay::new(service);
    let request = Request::new(Empty::new());
    let mut future = None;
    let memory = allocation_counter::measure(|| future = Some(service.call(request)));
    assert_eq!(memory.count_total, 0, "{memory:?}");
    assert!(future.unwrap().into_inner().unwrap());
}

#[test]
fn a_body_costs_its_box_what_is_shared_and_what_is_kept() {
    let script = Script::new([data("short")]).ended(true);
    let memory = allocation_counter::measure(|| {
        let first = ReplayBody::new(script);
        let second = first.clone();
        for mut body in [first, second] {
            assert!(poll(&mut body).is_ready());
        }
    });
    // What is kept is its bytes, who shares them, and the list of such. And one for each copy, so
    // that those that are empty are small.
    assert_eq!(memory.count_total, 2 + 3 + 2, "{memory:?}");
}

/// What a client over HTTP asks of a body, whatever the body inside can do.
#[test]
fn a_body_can_be_moved_sent_and_cloned_whatever_is_inside() {
    fn is<T: Body + Clone + Send + Unpin + 'static>(_body: T) {}
    is(ReplayBody::new(Script::new([])));
    is(ReplayBody::new(
        Full::new(&b""[..]).map_err(BoxError::from).boxed_unsync(),
    ));
}
