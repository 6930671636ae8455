//! Attributes of the cookie, and settings that are refused.

use std::time::Duration;

use evenkeel::http::sticky::{Learned, SameSite, SessionCookie, Sticky, Tokens};

use crate::setup::{ask_with, pool, site, tokens};

fn route() -> SessionCookie {
    SessionCookie::new("route").unwrap()
}

/// What follows the token in `Set-Cookie`.
async fn attributes(cookie: SessionCookie) -> String {
    let tokens = tokens().lifetime(Duration::from_secs(3_600)).unwrap();
    let sticky = Sticky::cookie(tokens, cookie).unwrap();
    let (_, headers) = ask_with(&site(&pool(), &sticky), None).await;
    let set = headers["set-cookie"].to_str().unwrap();
    let (token, attributes) = set.split_once("; ").unwrap();
    assert!(token.starts_with("route=") && token.len() == "route=".len() + 60);
    attributes.to_owned()
}

#[tokio::test]
async fn the_cookie_has_the_attributes_that_it_was_given() {
    assert_eq!(
        attributes(route()).await,
        "Max-Age=3600; Path=/; Secure; HttpOnly; SameSite=Lax"
    );
    let shop = route()
        .path("/shop")
        .and_then(|cookie| cookie.domain("shop.example"))
        .unwrap();
    assert_eq!(
        attributes(shop.same_site(SameSite::None)).await,
        "Max-Age=3600; Path=/shop; Domain=shop.example; Secure; HttpOnly; SameSite=None"
    );
    let plain = route()
        .secure(false)
        .http_only(false)
        .same_site(SameSite::Strict)
        .until_browser_closes();
    assert_eq!(attributes(plain).await, "Path=/; SameSite=Strict");
}

#[test]
fn what_makes_no_sense_is_refused_with_the_value_and_what_was_expected() {
    let contradicts = |cookie| Sticky::cookie(tokens(), cookie).map(|_| ()).unwrap_err();
    let host = || SessionCookie::new("__Host-route").unwrap();
    for (error, message) in [
        (
            SessionCookie::new("a;b").map(|_| ()).unwrap_err(),
            "invalid cookie name \"a;b\": expected a token, such as route",
        ),
        (
            route().path("shop").map(|_| ()).unwrap_err(),
            "invalid cookie path \"shop\": expected a path, such as /shop",
        ),
        (
            route()
                .path("/; Domain=evil.example")
                .map(|_| ())
                .unwrap_err(),
            "invalid cookie path \"/; Domain=evil.example\": expected a path, such as /shop",
        ),
        (
            route().domain("shop example").map(|_| ()).unwrap_err(),
            "invalid cookie domain \"shop example\": expected a domain, such as shop.example",
        ),
        (
            contradicts(route().secure(false).same_site(SameSite::None)),
            "invalid cookie \"route\": expected Secure, with SameSite=None",
        ),
        (
            contradicts(host().path("/shop").unwrap()),
            "invalid cookie \"__Host-route\": expected Secure, Path=/ and no Domain, with a name that begins with __Host-",
        ),
        (
            contradicts(SessionCookie::new("__secure-route").unwrap().secure(false)),
            "invalid cookie \"__secure-route\": expected Secure, with a name that begins with __Secure-",
        ),
        (
            Tokens::new("shop", [[0; 31]]).map(|_| ()).unwrap_err(),
            "invalid key of 31 bytes: expected 32 or more random bytes",
        ),
        (
            Tokens::new("shop", [[0; 32]; 0]).map(|_| ()).unwrap_err(),
            "invalid number of keys 0: expected 1 or more",
        ),
        (
            Tokens::new("", [[0; 32]]).map(|_| ()).unwrap_err(),
            "invalid name of a pool \"\": expected a text",
        ),
        (
            tokens().lifetime(Duration::ZERO).map(|_| ()).unwrap_err(),
            "invalid lifetime 0ns: expected from 1 second to 400 days",
        ),
        (
            Sticky::header(tokens(), "x route").map(|_| ()).unwrap_err(),
            "invalid header name \"x route\": expected a token, such as x-user",
        ),
        (
            Learned::cookie("").map(|_| ()).unwrap_err(),
            "invalid cookie name \"\": expected a token, such as session",
        ),
        (
            Learned::cookie("id")
                .unwrap()
                .capacity(1)
                .map(|_| ())
                .unwrap_err(),
            "invalid capacity 1: expected 2 or more sessions",
        ),
    ] {
        assert_eq!(error.to_string(), message);
    }
}
