use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{COOKIE, EXPECT, HOST, HeaderValue, VIA};
use http::{HeaderMap, Request, Version};
use http_body::Body;

use super::forwarded::Forwarding;
use super::found::Found;
use super::upgrade::Upgrade;
use super::{Problem, Refused, hop_by_hop, refuse};

/// What all clones of a proxy share.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) forwarding: Forwarding,
    pub(super) host: Option<HeaderValue>,
    pub(super) via: Option<Via>,
    pub(super) upgrades: Vec<HeaderValue>,
    pub(super) tunnel_idle: Duration,
    pub(super) body_idle: Duration,
    pub(super) on_problem: Option<Arc<OnProblem>>,
}

pub(super) type OnProblem = dyn Fn(&Problem<'_>) + Send + Sync;

/// One for each version that a request can have come with.
#[derive(Clone, Debug)]
pub(super) struct Via {
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

/// `Via`, `Host`, `Forwarded`, three of `X-Forwarded-…`, and `X-Real-IP`.
const MOST_ADDED: usize = 7;

impl Via {
    /// `None` if the name is no token.
    pub(super) fn new(name: &str) -> Option<Self> {
        // The same letters as the name of a header.
        name.parse::<http::HeaderName>().ok()?;
        let of = |version| HeaderValue::try_from(format!("{version} {name}")).ok();
        Some(Self {
            http10: of("1.0")?,
            http11: of("1.1")?,
            http2: of("2")?,
        })
    }

    fn of(&self, version: Version) -> &HeaderValue {
        match version {
            Version::HTTP_2 => &self.http2,
            Version::HTTP_10 => &self.http10,
            _ => &self.http11,
        }
    }
}

impl Settings {
    pub(super) fn new() -> Self {
        Self {
            forwarding: Forwarding::new(),
            host: None,
            via: Via::new("evenkeel"),
            upgrades: vec![HeaderValue::from_static("websocket")],
            tunnel_idle: Duration::from_secs(3600),
            body_idle: Duration::from_secs(60),
            on_problem: None,
        }
    }

    /// Makes a client's request one that can be sent on.
    pub(super) fn prepare<B: Body>(
        &self,
        request: &mut Request<B>,
    ) -> Result<Option<Upgrade>, Refused> {
        let found = Found::of(request.headers());
        refuse::check(request, found)?;
        let upgrade = if found.has(Found::UPGRADE) {
            Upgrade::asked(request, &self.upgrades)
        } else {
            None
        };
        let version = std::mem::replace(request.version_mut(), Version::HTTP_11);
        let authority = request.uri().authority();
        let asked_host = authority.and_then(|host| HeaderValue::from_str(host.as_str()).ok());

        let headers = request.headers_mut();
        // Once, for all that is added here.
        headers.reserve(MOST_ADDED);
        hop_by_hop::remove_of_request(headers, found);
        if let Some(upgrade) = &upgrade {
            upgrade.ask(headers);
        }
        if found.has(Found::EXPECT) {
            // Whoever reads the body here has said already that it may be sent.
            headers.remove(EXPECT);
        }
        if version == Version::HTTP_2 && found.has(Found::COOKIE) {
            join_cookies(headers);
        }
        if let Some(via) = &self.via {
            headers.append(VIA, via.of(version).clone());
        }
        let asked_host = match asked_host {
            Some(host) => {
                headers.insert(HOST, host.clone());
                Some(host)
            }
            None => headers.get(HOST).cloned(),
        };
        self.forwarding.tell(request, asked_host.as_ref(), found);
        if let Some(host) = &self.host {
            request.headers_mut().insert(HOST, host.clone());
        }
        Ok(upgrade)
    }
}

/// HTTP/2 can send them on several lines, which others take for several headers (RFC 9113, section
/// 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let lines = headers.get_all(COOKIE);
    if lines.iter().nth(1).is_none() {
        return;
    }
    let lines: Vec<&[u8]> = lines.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(cookies) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        headers.insert(COOKIE, cookies);
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;

    use super::*;

    type NoBody = Empty<&'static [u8]>;

    fn prepared(request: http::request::Builder) -> Request<NoBody> {
        let mut request = request.body(NoBody::new()).expect("a request");
        let upgrade = Settings::new().prepare(&mut request);
        assert!(upgrade.expect("it is passed on").is_none());
        request
    }

    #[test]
    fn cookies_of_http_2_are_put_together_and_those_of_http_1_left_alone() {
        let request = |version| {
            let request = Request::get("http://shop.example/").version(version);
            prepared(request.header(COOKIE, "a=1").header(COOKIE, "b=2"))
        };
        assert_eq!(request(Version::HTTP_2).headers()[COOKIE], "a=1; b=2");
        let request = request(Version::HTTP_11);
        assert_eq!(request.headers().get_all(COOKIE).iter().count(), 2);
    }

    #[test]
    fn via_tells_by_which_version_the_request_came() {
        let versions = [
            (Version::HTTP_10, "1.0 evenkeel"),
            (Version::HTTP_11, "1.1 evenkeel"),
            (Version::HTTP_2, "2 evenkeel"),
        ];
        for (version, via) in versions {
            let request = Request::get("http://shop.example/").version(version);
            let request = prepared(request.header(VIA, "1.1 other"));
            let lines: Vec<_> = request.headers().get_all(VIA).iter().collect();
            assert_eq!(lines, ["1.1 other", via]);
            assert_eq!(request.version(), Version::HTTP_11);
        }
    }

    #[test]
    fn the_target_is_the_host_whatever_the_header_says() {
        let request = Request::get("http://shop.example:81/").header(HOST, "other.example");
        let request = prepared(request);
        assert_eq!(request.headers()[HOST], "shop.example:81");
        assert_eq!(request.headers()["x-forwarded-host"], "shop.example:81");
    }

    #[test]
    fn a_host_that_was_set_is_told_to_backends_and_the_one_that_was_asked_for_forwarded() {
        let mut settings = Settings::new();
        settings.host = Some(HeaderValue::from_static("inside.example"));
        let request = Request::get("/").header(HOST, "shop.example");
        let mut request = request.body(NoBody::new()).expect("a request");
        settings.prepare(&mut request).expect("it is passed on");
        assert_eq!(request.headers()[HOST], "inside.example");
        assert_eq!(request.headers()["x-forwarded-host"], "shop.example");
    }

    #[test]
    fn an_expectation_is_met_here() {
        let request = Request::post("/")
            .header(HOST, "a")
            .header(EXPECT, "100-continue");
        assert!(!prepared(request).headers().contains_key(EXPECT));
    }
}
