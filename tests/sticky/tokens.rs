//! Tokens: what is in them, and what is no token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use evenkeel::Pool;
use evenkeel::http::sticky::{SessionCookie, Sticky, Tokens};
use proptest::prelude::*;

use crate::setup::{App, ask_with, pool, site, tokens};

fn by_header(tokens: Tokens) -> Sticky {
    Sticky::header(tokens, "x-route").unwrap()
}

/// The backend and the token of a new client.
async fn arrive(pool: &Pool<App>, tokens: Tokens) -> (String, String) {
    let (backend, headers) = ask_with(&site(pool, &by_header(tokens)), None).await;
    (backend, headers["x-route"].to_str().unwrap().to_owned())
}

/// Whether a token counts; if it does, whether it is left as it is.
#[derive(Debug, PartialEq)]
enum Seen {
    Absent,
    Kept,
    Renewed,
}

/// What becomes of a token for `home`: a client that is bound stays there for several requests,
/// since others go round.
async fn seen(pool: &Pool<App>, tokens: Tokens, home: &str, token: &str) -> Seen {
    let site = site(pool, &by_header(tokens));
    let (mut stayed, mut told) = (0, 0);
    for _ in 0..3 {
        let (backend, headers) = ask_with(&site, Some(("x-route", token))).await;
        stayed += usize::from(backend == home);
        told += usize::from(headers.contains_key("x-route"));
    }
    match (stayed, told) {
        (3, 0) => Seen::Kept,
        (3, 3) => Seen::Renewed,
        (1, 3) => Seen::Absent,
        other => panic!("{other:?} of 3 stayed and were told"),
    }
}

/// The 1st of January 2030 and so many seconds.
fn at<const SECONDS: u64>() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_893_456_000 + SECONDS)
}

#[tokio::test]
async fn a_token_is_60_characters_and_names_nobody() {
    let pool = pool();
    for _ in 0..3 {
        let (home, token) = arrive(&pool, tokens()).await;
        assert_eq!(token.len(), 60);
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        assert_eq!(bytes[0], 1);
        for part in [&home[..], "10.0", ":80", "shop"] {
            assert!(
                !bytes
                    .windows(part.len())
                    .any(|window| window == part.as_bytes())
            );
        }
    }
}

#[tokio::test]
async fn the_token_of_a_known_key_time_and_backend_never_changes() {
    // So that all versions of this crate understand each other. Computed with Python's hmac.
    let pool = Pool::from([evenkeel::Backend::new("10.0.0.1:80", App::default())]);
    let (_, token) = arrive(&pool, tokens().clock(at::<0>)).await;
    assert_eq!(
        token,
        "AekyepAAAAAAcN0qAFDl6fxzHXO39Ns_-F6qVW2Ec8sZ9y-uZdeDgwfbVX9v"
    );
}

#[tokio::test]
async fn a_well_signed_token_of_another_version_is_absent() {
    // Computed with Python's hmac, as the one above but for its version, 2.
    let token = "AukyepAAAAAAcN0qAFDl6fxzHXO39Ns_-F6qVW2yxXGypADZ3xLhQ3U2DKBJ";
    let tokens = tokens().clock(at::<0>);
    assert_eq!(
        seen(&pool(), tokens, "10.0.0.1:80", token).await,
        Seen::Absent
    );
}

#[tokio::test]
async fn a_token_of_another_pool_key_or_version_is_absent() {
    let pool = pool();
    let (home, token) = arrive(&pool, tokens()).await;
    assert_eq!(seen(&pool, tokens(), &home, &token).await, Seen::Kept);

    let other_pool = Tokens::new("blog", [[7; 32]]).unwrap();
    assert_eq!(seen(&pool, other_pool, &home, &token).await, Seen::Absent);
    let other_key = Tokens::new("shop", [[8; 32]]).unwrap();
    assert_eq!(seen(&pool, other_key, &home, &token).await, Seen::Absent);

    let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
    bytes[0] = 2;
    let other_version = URL_SAFE_NO_PAD.encode(bytes);
    assert_eq!(
        seen(&pool, tokens(), &home, &other_version).await,
        Seen::Absent
    );
}

#[tokio::test]
async fn a_token_is_renewed_in_the_second_half_of_its_life_and_absent_after_it() {
    let pool = pool();
    let hour = || tokens().lifetime(Duration::from_secs(3_600)).unwrap();
    let (home, token) = arrive(&pool, hour().clock(at::<0>)).await;
    for (clock, expected) in [
        (at::<0> as fn() -> SystemTime, Seen::Kept),
        (at::<1_800>, Seen::Kept),
        (at::<1_801>, Seen::Renewed),
        (at::<3_599>, Seen::Renewed),
        (at::<3_600>, Seen::Absent),
        (at::<9_999>, Seen::Absent),
    ] {
        assert_eq!(
            seen(&pool, hour().clock(clock), &home, &token).await,
            expected
        );
    }
    // A shorter life holds for what was given out before, too.
    let minute = tokens().lifetime(Duration::from_secs(60)).unwrap();
    assert_eq!(
        seen(&pool, minute.clock(at::<0>), &home, &token).await,
        Seen::Renewed
    );
}

#[tokio::test]
async fn keys_are_rotated_without_losing_a_session() {
    let pool = pool();
    let keys = |keys: &[u8]| Tokens::new("shop", keys.iter().map(|&key| [key; 32])).unwrap();
    let (home, old) = arrive(&pool, keys(&[1])).await;
    assert_eq!(seen(&pool, keys(&[1, 2]), &home, &old).await, Seen::Kept);
    assert_eq!(seen(&pool, keys(&[2, 1]), &home, &old).await, Seen::Renewed);
    assert_eq!(seen(&pool, keys(&[2]), &home, &old).await, Seen::Absent);

    // What it is renewed to.
    let (_, headers) = ask_with(
        &site(&pool, &by_header(keys(&[2, 1]))),
        Some(("x-route", &old)),
    )
    .await;
    let new = headers["x-route"].to_str().unwrap();
    assert_eq!(seen(&pool, keys(&[2]), &home, new).await, Seen::Kept);
}

#[tokio::test]
async fn a_token_with_any_bit_changed_is_absent() {
    let pool = pool();
    let (home, token) = arrive(&pool, tokens()).await;
    let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
    for bit in 0..8 * bytes.len() {
        let mut forged = bytes.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let forged = URL_SAFE_NO_PAD.encode(forged);
        assert_eq!(
            seen(&pool, tokens(), &home, &forged).await,
            Seen::Absent,
            "bit {bit}"
        );
    }
}

#[tokio::test]
async fn what_is_too_short_or_too_long_or_no_text_is_absent() {
    let pool = pool();
    let (home, token) = arrive(&pool, tokens()).await;
    let long = token.repeat(2_000);
    for wrong in [
        "",
        "x",
        &token[1..],
        &token[..59],
        &token[..56],
        &long,
        &format!("{token}A"),
        &format!(" {token} x"),
        &format!("{token}===="),
        &token.replace(|_| true, "*"),
    ] {
        assert_eq!(
            seen(&pool, tokens(), &home, wrong).await,
            Seen::Absent,
            "{wrong:.80}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_cookie_is_an_error_or_chooses_a_backend(
        cookies in prop::collection::vec("[ -~\\x80-\\xff]{0,100}", 0..20),
        of_the_name in prop::collection::vec("[A-Za-z0-9_=-]{0,80}", 0..10),
    ) {
        let sticky = Sticky::cookie(tokens(), SessionCookie::new("route").unwrap()).unwrap();
        let site = site(&pool(), &sticky);
        let mut request = http::Request::get("/");
        for cookie in cookies.into_iter().chain(of_the_name.into_iter().map(|value| format!("route={value}"))) {
            request = request.header("cookie", cookie.as_bytes());
        }
        let request = request.body(()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut backends = std::collections::HashSet::new();
            for _ in 0..3 {
                let (backend, headers) = crate::setup::ask(&site, request.clone()).await.unwrap();
                prop_assert!(headers.contains_key("set-cookie"));
                backends.insert(backend);
            }
            prop_assert_eq!(backends.len(), 3);
            Ok(())
        })?;
    }
}
