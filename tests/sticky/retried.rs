use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use evenkeel::http::sticky::{OnGone, SessionCookie, Sticky};
use evenkeel::retry::RetryLayer;
use evenkeel::{Backend, Balance, Pool};
use http::{Request, Response, StatusCode};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

use crate::setup::{cookie, tokens};

type App = BoxCloneSyncService<Request<()>, Response<String>, std::convert::Infallible>;

/// Answers with its name, or with 503 while it is down.
fn app(name: &'static str, down: &Arc<AtomicBool>) -> Backend<App> {
    let down = Arc::clone(down);
    let answers = service_fn(move |_request: Request<()>| {
        let mut response = Response::new(name.to_owned());
        if down.load(Ordering::Relaxed) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        async move { Ok(response) }
    });
    Backend::new(name, BoxCloneSyncService::new(answers))
}

#[tokio::test(start_paused = true)]
async fn a_session_is_served_elsewhere_while_its_backend_fails_and_goes_back() {
    let (a, b) = (Arc::default(), Arc::default());
    let pool = Pool::from([app("a", &a), app("b", &b)]);
    for (on_gone, elsewhere) in [(OnGone::PickAnother, true), (OnGone::Fail, false)] {
        let balance = Balance::round_robin(pool.clone()).count_to_body_end();
        let retry = RetryLayer::new(|_request: &Request<()>| true).layer(balance);
        let sticky = Sticky::cookie(tokens(), SessionCookie::new("route").unwrap());
        let site = sticky.unwrap().on_gone(on_gone).layer(retry);

        let first = site.clone().oneshot(Request::new(())).await.unwrap();
        let home = first.body().backend().to_owned();
        let session = cookie(first.headers()).unwrap();
        let ask = || async {
            let request = Request::get("/").header("cookie", &session);
            let answer = site.clone().oneshot(request.body(()).unwrap());
            answer.await.unwrap()
        };
        for _ in 0..4 {
            assert_eq!(ask().await.body().backend(), home);
        }
        let down = if home == "a" { &a } else { &b };
        down.store(true, Ordering::Relaxed);
        for _ in 0..4 {
            let answer = ask().await;
            assert_eq!(answer.body().backend() != home, elsewhere);
            assert_eq!(answer.status().is_success(), elsewhere);
            assert!(
                answer
                    .body()
                    .attempts()
                    .iter()
                    .all(|failed| failed.backend() == home)
            );
            assert_eq!(cookie(answer.headers()), None, "the session stays");
        }
        down.store(false, Ordering::Relaxed);
        assert_eq!(ask().await.body().backend(), home);
    }
}
