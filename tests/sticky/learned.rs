//! Sessions that the application names itself.

use std::time::Duration;

use evenkeel::http::sticky::{Learned, OnGone, Sticky};
use evenkeel::picker::NoBackend;
use evenkeel::{Backend, Balance, Error, Pool};
use http::Request;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, ServiceExt};

use crate::setup::{App, Site, ask, ask_with, site};

/// Backends that each name a session of their own: `s-a`, `s-b`, `s-c`.
fn pool(header: &str, value: fn(&str) -> String) -> Pool<App> {
    let app = |id: &str| {
        let mut app = App::default();
        let name: http::HeaderName = header.parse().unwrap();
        app.headers.insert(name, value(id).parse().unwrap());
        app
    };
    ["a", "b", "c"]
        .into_iter()
        .map(|id| Backend::new(id, app(id)))
        .collect()
}

fn by_cookie() -> Pool<App> {
    pool("set-cookie", |id| {
        format!("JSESSIONID=s-{id}; Path=/; HttpOnly")
    })
}

fn sticky() -> Learned {
    Learned::cookie("JSESSIONID").unwrap()
}

/// Whether a session is bound to its backend; asking counts as its use.
async fn is_bound(site: &Site, session: &str) -> bool {
    let cookie = format!("other=1; JSESSIONID={session}");
    let mut homes = Vec::new();
    for _ in 0..3 {
        homes.push(ask_with(site, Some(("cookie", &cookie))).await.0);
    }
    homes.iter().all(|home| format!("s-{home}") == session)
}

async fn learn_all(site: &Site) {
    for _ in 0..3 {
        ask_with(site, None).await;
    }
}

#[tokio::test]
async fn a_session_goes_to_the_backend_that_named_it() {
    let site = site(&by_cookie(), &Sticky::learned(sticky()));
    assert!(!is_bound(&site, "s-z").await);
    learn_all(&site).await;
    for session in ["s-a", "s-b", "s-c"] {
        assert!(is_bound(&site, session).await, "{session}");
    }
}

#[tokio::test]
async fn a_header_names_sessions_as_well() {
    let learned = Learned::header("mcp-session-id").unwrap();
    let pool = pool("mcp-session-id", |id| format!("s-{id}"));
    let site = site(&pool, &Sticky::learned(learned));
    learn_all(&site).await;
    for id in ["a", "b", "c"] {
        for _ in 0..3 {
            let session = format!("s-{id}");
            let (backend, _) = ask_with(&site, Some(("mcp-session-id", &session))).await;
            assert_eq!(backend, id);
        }
    }
}

#[tokio::test]
async fn a_drained_backend_keeps_the_sessions_that_it_named() {
    let pool = by_cookie();
    let site = site(&pool, &Sticky::learned(sticky()));
    learn_all(&site).await;
    pool.drain("b");
    assert!(is_bound(&site, "s-b").await);
}

#[tokio::test]
async fn a_session_whose_backend_has_left_is_picked_for_anew_or_fails() {
    for on_gone in [OnGone::PickAnother, OnGone::Fail] {
        let pool = by_cookie();
        let site = site(&pool, &Sticky::learned(sticky()).on_gone(on_gone));
        learn_all(&site).await;
        pool.remove("b");
        let ask_once = async || {
            let request = Request::get("/").header("cookie", "JSESSIONID=s-b");
            ask(&site, request.body(()).unwrap()).await
        };
        let answer = ask_once().await;
        if on_gone == OnGone::Fail {
            let error = answer.unwrap_err();
            assert!(matches!(error, Error::NoBackend(NoBackend::Gone)));
        } else {
            assert_ne!(answer.unwrap().0, "b");
        }
        // It is forgotten, and so is that it failed.
        assert_ne!(ask_once().await.unwrap().0, "b");
    }
}

#[tokio::test]
async fn a_session_that_another_backend_names_once_while_its_own_is_busy_stays_where_it_was() {
    // Both name the session that they are asked for, as with a store that they share.
    let mut app = App::default();
    app.headers.insert("x-session", "s1".parse().unwrap());
    let pool: Pool<_> = ["a", "b"]
        .into_iter()
        .map(|id| Backend::new(id, ConcurrencyLimit::new(app.clone(), 1)))
        .collect();
    let balance = Balance::round_robin(pool.clone()).count_to_body_end();
    let site = Sticky::learned(Learned::header("x-session").unwrap()).layer(balance);
    let ask = async |session: bool| {
        let mut request = Request::new(());
        if session {
            let value = "s1".parse().unwrap();
            request.headers_mut().insert("x-session", value);
        }
        let response = site.clone().oneshot(request).await.unwrap();
        response.body().backend().to_owned()
    };
    let home = ask(false).await;
    let mut busy = pool.value(&home).unwrap();
    busy.ready().await.unwrap();
    assert_ne!(ask(true).await, home);
    drop(busy);
    for _ in 0..3 {
        assert_eq!(ask(true).await, home);
    }
}

#[tokio::test]
async fn of_several_cookies_of_the_name_an_empty_one_does_not_hide_the_session() {
    let site = site(&by_cookie(), &Sticky::learned(sticky()));
    learn_all(&site).await;
    for _ in 0..3 {
        let cookies = Some(("cookie", "JSESSIONID=; JSESSIONID=s-b"));
        assert_eq!(ask_with(&site, cookies).await.0, "b");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_forgotten_when_it_was_idle_for_too_long() {
    let idle = Duration::from_secs(600);
    let pool = by_cookie();
    let site = site(&pool, &Sticky::learned(sticky()));
    learn_all(&site).await;
    // They name nothing any more, so that only what was learnt counts.
    for id in ["a", "b", "c"] {
        pool.insert(Backend::new(id, App::default()));
    }

    for _ in 0..3 {
        tokio::time::sleep(idle).await;
        assert!(is_bound(&site, "s-a").await, "each use keeps it");
    }
    assert!(!is_bound(&site, "s-b").await);
    tokio::time::sleep(idle + Duration::from_millis(1)).await;
    assert!(!is_bound(&site, "s-a").await);
}

#[tokio::test]
async fn no_more_sessions_are_remembered_than_the_capacity() {
    // Each response names a new session, so memory is asked for again and again.
    let pool = by_cookie();
    let site = site(&pool, &Sticky::learned(sticky().capacity(20).unwrap()));
    for number in 0..100 {
        let mut app = App::default();
        let cookie = format!("JSESSIONID=n{number}");
        app.headers.insert("set-cookie", cookie.parse().unwrap());
        pool.insert(Backend::new("a", app));
        pool.drain("b");
        pool.drain("c");
        ask_with(&site, None).await;
    }
    pool.edit(|edit| {
        edit.insert(Backend::new("a", App::default()));
        edit.insert(Backend::new("b", App::default()));
        edit.undrain("b");
    });
    let mut known = 0;
    for number in 0..100 {
        let cookie = format!("JSESSIONID=n{number}");
        let first = ask_with(&site, Some(("cookie", &cookie))).await.0;
        let second = ask_with(&site, Some(("cookie", &cookie))).await.0;
        known += usize::from(first == "a" && second == "a");
    }
    assert!((10..=20).contains(&known), "{known} are known");
}
