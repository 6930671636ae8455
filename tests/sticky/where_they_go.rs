//! A client stays with its backend, while there is one.

use evenkeel::http::sticky::{OnGone, SessionCookie, Sticky};
use evenkeel::picker::NoBackend;
use evenkeel::{Backend, Error, InvalidSetting};
use http::Request;

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

    // New clients do not notice.
    assert_ne!(arrive(&site).await.0, home);
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
    let pool = evenkeel::Pool::from([Backend::new("a", app)]);
    let (_, headers) = ask_with(&site(&pool, &by_cookie()), None).await;
    let set: Vec<_> = headers.get_all("set-cookie").iter().collect();
    assert_eq!(set.len(), 2);
    assert_eq!(set[0], "cart=7");
}
