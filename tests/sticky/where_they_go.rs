//! A client stays with its backend, while there is one.

use std::time::Duration;

use evenkeel::http::sticky::{OnGone, SessionCookie, Sticky};
use evenkeel::http::{GrpcOutcomes, OnBodyEnd};
use evenkeel::picker::NoBackend;
use evenkeel::{Backend, Balance, Error, InvalidSetting, Pool};
use http::Request;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, ServiceExt};

use crate::setup::{App, Site, ask, ask_with, cookie, pool, site, tokens};

fn by_cookie() -> Sticky {
    Sticky::cookie(tokens(), SessionCookie::new("route").unwrap()).unwrap()
}

/// A new client: its backend and its cookie.
async fn arrive(site: &Site) -> (String, String) {
    let (backend, headers) = ask_with(site, None).await;
    (
        backend,
        cookie(&headers).expect("a new client is given a cookie"),
    )
}

#[tokio::test]
async fn a_balance_with_any_classifier_can_be_sticky() {
    let track = OnBodyEnd::new().classify(GrpcOutcomes::new());
    let site = by_cookie().layer(Balance::round_robin(pool()).track(track));
    let request = || Request::new(());
    let response = site.clone().oneshot(request()).await.unwrap();
    let home = response.body().backend().to_owned();

    let mut again = request();
    let cookie = cookie(response.headers()).unwrap().parse().unwrap();
    again.headers_mut().insert("cookie", cookie);
    let response = site.into_http_responses().oneshot(again).await.unwrap();
    assert_eq!(response.body().get_ref().unwrap().backend(), home);
}

#[tokio::test]
async fn a_client_stays_with_the_backend_that_answered_first_and_is_told_once() {
    let site = site(&pool(), &by_cookie());
    for _ in 0..3 {
        let (home, cookie) = arrive(&site).await;
        for _ in 0..10 {
            let (backend, headers) = ask_with(&site, Some(("cookie", &cookie))).await;
            assert_eq!(backend, home);
            assert!(!headers.contains_key("set-cookie"));
        }
    }
}

#[tokio::test]
async fn a_header_and_a_parameter_do_the_same_for_clients_without_cookies()
-> Result<(), InvalidSetting> {
    let by_header = site(&pool(), &Sticky::header(tokens(), "x-route")?);
    let by_query = site(&pool(), &Sticky::query(tokens(), "route", "x-route")?);
    for _ in 0..3 {
        let (home, headers) = ask_with(&by_header, None).await;
        let token = headers["x-route"].to_str().unwrap();
        let (backend, headers) = ask_with(&by_header, Some(("x-route", token))).await;
        assert_eq!((backend, headers.get("x-route")), (home, None));

        let (home, headers) = ask_with(&by_query, None).await;
        let token = headers["x-route"].to_str().unwrap();
        let request = Request::get(format!("/cart?page=2&route={token}"));
        let (backend, headers) = ask(&by_query, request.body(()).unwrap()).await.unwrap();
        assert_eq!((backend, headers.get("x-route")), (home, None));
    }
    Ok(())
}

#[tokio::test]
async fn a_draining_backend_keeps_its_sessions_and_gets_no_new_ones() {
    let pool = pool();
    let site = site(&pool, &by_cookie());
    let (home, cookie) = arrive(&site).await;
    for out in [
        Box::new(|| pool.drain(&home)) as Box<dyn Fn() -> bool>,
        Box::new(|| pool.undrain(&home) && pool.set_weight(&home, 0)),
    ] {
        assert!(out());
        assert_eq!(ask_with(&site, Some(("cookie", &cookie))).await.0, home);
        for _ in 0..6 {
            assert_ne!(arrive(&site).await.0, home);
        }
    }
}

#[tokio::test]
async fn when_its_backend_has_left_a_client_is_bound_to_another() {
    let pool = pool();
    let site = site(&pool, &by_cookie());
    let (home, old) = arrive(&site).await;
    pool.remove(&home);

    let (backend, headers) = ask_with(&site, Some(("cookie", &old))).await;
    assert_ne!(backend, home);
    let new = cookie(&headers).expect("it is told its new backend");
    for _ in 0..4 {
        assert_eq!(ask_with(&site, Some(("cookie", &new))).await.0, backend);
    }
}

#[tokio::test]
async fn when_its_backend_is_out_a_client_settles_with_another_and_stays_there() {
    let pool = pool();
    let site = site(&pool, &by_cookie());
    let (home, old) = arrive(&site).await;
    pool.force_down(&home);

    let (backend, headers) = ask_with(&site, Some(("cookie", &old))).await;
    assert_ne!(backend, home);
    let new = cookie(&headers).expect("it is told its new backend");
    pool.unforce(&home);
    for _ in 0..4 {
        assert_eq!(ask_with(&site, Some(("cookie", &new))).await.0, backend);
        // Who was not told is at home again.
        assert_eq!(ask_with(&site, Some(("cookie", &old))).await.0, home);
    }
}

#[tokio::test]
async fn where_a_session_is_worth_nothing_elsewhere_it_waits_for_its_backend_to_be_back() {
    let pool = pool();
    let site = site(&pool, &by_cookie().on_gone(OnGone::Fail));
    let (home, cookie) = arrive(&site).await;
    pool.force_down(&home);

    let request = || {
        Request::get("/")
            .header("cookie", &cookie)
            .body(())
            .unwrap()
    };
    let error = ask(&site, request()).await.unwrap_err();
    let expected = format!(
        "no backend to send the request to: the backend that it is bound to is out ({home}: forced down)"
    );
    assert_eq!(error.to_string(), expected);
    pool.unforce(&home);
    assert_eq!(ask_with(&site, Some(("cookie", &cookie))).await.0, home);
}

#[tokio::test]
async fn a_backend_that_comes_back_under_its_id_has_its_clients_back() {
    let pool = pool();
    let site = site(&pool, &by_cookie());
    let (home, cookie) = arrive(&site).await;
    for _ in 0..3 {
        pool.remove(&home);
        pool.insert(Backend::new(home.as_str(), App::default()));
        assert_eq!(ask_with(&site, Some(("cookie", &cookie))).await.0, home);
        // At once, so that the pool has the same ids before and after.
        pool.edit(|edit| {
            edit.remove(&home);
            edit.insert(Backend::new(home.as_str(), App::default()));
        });
        assert_eq!(ask_with(&site, Some(("cookie", &cookie))).await.0, home);
    }
}

#[tokio::test]
async fn where_a_session_is_worth_nothing_elsewhere_its_requests_fail() {
    let pool = pool();
    let site = site(&pool, &by_cookie().on_gone(OnGone::Fail));
    let (home, cookie) = arrive(&site).await;
    assert_eq!(ask_with(&site, Some(("cookie", &cookie))).await.0, home);
    pool.remove(&home);

    let request = Request::get("/")
        .header("cookie", &cookie)
        .body(())
        .unwrap();
    let error = ask(&site, request).await.unwrap_err();
    assert!(matches!(error, Error::NoBackend(NoBackend::Gone)));

    // New clients do not notice, and a browser can be told to be one.
    assert_ne!(arrive(&site).await.0, home);
    let removal = SessionCookie::new("route").unwrap().removal();
    assert_eq!(
        removal,
        "route=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
    );
}

#[tokio::test]
async fn the_response_for_a_session_whose_backend_has_left_does_not_ask_to_wait() {
    let pool = pool();
    let site = site(&pool, &by_cookie().on_gone(OnGone::Fail));
    let (home, cookie) = arrive(&site).await;
    pool.remove(&home);
    let service = site
        .into_http_responses()
        .retry_after(Duration::from_secs(2));
    let request = Request::get("/")
        .header("cookie", &cookie)
        .body(())
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(!response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_session_whose_backend_was_busy_once_stays_bound_to_it() {
    // Both have room for one request at a time.
    let pool: Pool<_> = ["a", "b"]
        .into_iter()
        .map(|id| Backend::new(id, ConcurrencyLimit::new(App::default(), 1)))
        .collect();
    let balance = Balance::round_robin(pool.clone()).count_to_body_end();
    let site = by_cookie().layer(balance);
    let first = site.clone().oneshot(Request::new(())).await.unwrap();
    let cookie = cookie(first.headers()).unwrap();
    let home = first.body().backend().to_owned();

    let with_cookie = || {
        Request::get("/")
            .header("cookie", &cookie)
            .body(())
            .unwrap()
    };
    let mut busy = pool.value(&home).unwrap();
    busy.ready().await.unwrap();
    let elsewhere = site.clone().oneshot(with_cookie()).await.unwrap();
    assert_ne!(elsewhere.body().backend(), home);
    assert!(!elsewhere.headers().contains_key("set-cookie"));

    drop(busy);
    let back = site.oneshot(with_cookie()).await.unwrap();
    assert_eq!(back.body().backend(), home);
}

#[tokio::test]
async fn a_response_with_a_token_is_not_for_shared_caches() {
    let mut app = App::default();
    let public = "public, max-age=60".parse().unwrap();
    app.headers.insert("cache-control", public);
    let pool = Pool::from([Backend::new("a", app)]);
    for sticky in [by_cookie(), Sticky::header(tokens(), "x-route").unwrap()] {
        let site = site(&pool, &sticky);
        let (_, first) = ask_with(&site, None).await;
        let directives: Vec<_> = first.get_all("cache-control").iter().collect();
        assert_eq!(directives, ["public, max-age=60", "private"]);

        let known = match first.get("x-route") {
            Some(token) => ("x-route", token.to_str().unwrap().to_owned()),
            None => ("cookie", cookie(&first).unwrap()),
        };
        let (_, next) = ask_with(&site, Some((known.0, &known.1))).await;
        assert_eq!(next.get_all("cache-control").iter().count(), 1);
    }
}

#[tokio::test]
async fn a_response_that_has_no_room_for_another_header_is_left_as_it_is() {
    let mut app = App::default();
    let mut number = 0;
    let value = http::HeaderValue::from_static("1");
    while app.headers.try_append(name(number), value.clone()).is_ok() {
        number += 1;
    }
    let pool = Pool::from([Backend::new("a", app)]);
    let (backend, headers) = ask_with(&site(&pool, &by_cookie()), None).await;
    assert_eq!((backend.as_str(), headers.len()), ("a", number));
}

fn name(number: usize) -> http::HeaderName {
    format!("x-{number}").parse().unwrap()
}

#[tokio::test]
async fn among_several_cookies_of_the_name_the_one_that_counts_is_found() {
    let site = site(&pool(), &by_cookie());
    let (home, cookie) = arrive(&site).await;
    for cookies in [
        format!("route=; route=x; {cookie}; other=1"),
        format!("a={cookie}; {cookie}"),
    ] {
        for _ in 0..3 {
            assert_eq!(ask_with(&site, Some(("cookie", &cookies))).await.0, home);
        }
    }
}

#[tokio::test]
async fn the_applications_own_cookies_are_left_alone() {
    let mut app = App::default();
    app.headers.insert("set-cookie", "cart=7".parse().unwrap());
    let pool = Pool::from([Backend::new("a", app)]);
    let (_, headers) = ask_with(&site(&pool, &by_cookie()), None).await;
    let set: Vec<_> = headers.get_all("set-cookie").iter().collect();
    assert_eq!(set.len(), 2);
    assert_eq!(set[0], "cart=7");
}
