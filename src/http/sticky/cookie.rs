use std::fmt::Write as _;

use http::HeaderValue;

use crate::InvalidSetting;
use crate::http::cookie::is_name;

/// The cookie that keeps a client with its backend: its name and attributes.
///
/// Unless told otherwise it is `Path=/; Secure; HttpOnly; SameSite=Lax`, for the host that set it,
/// and kept for as long as its token counts.
///
/// # Examples
///
/// ```
/// use evenkeel::http::sticky::{SameSite, SessionCookie};
///
/// let cookie = SessionCookie::new("route")?.path("/shop")?.same_site(SameSite::Strict);
///
/// let error = SessionCookie::new("my route").unwrap_err();
/// assert_eq!(error.to_string(), "invalid cookie name \"my route\": expected a token, such as route");
/// # let _ = cookie;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SessionCookie {
    name: String,
    path: String,
    domain: Option<String>,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
    kept: bool,
}

/// Which requests from other sites bring the cookie along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// None.
    Strict,
    /// When a link is followed.
    Lax,
    /// All. Browsers ask for `Secure` with it.
    None,
}

impl SessionCookie {
    /// A cookie with a name.
    ///
    /// # Errors
    ///
    /// When it is no name for a cookie.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidSetting> {
        let name = name.into();
        if !is_name(&name) {
            let given = format_args!("{name:?}");
            return Err(InvalidSetting::new(
                "cookie name",
                given,
                "a token, such as route",
            ));
        }
        Ok(Self {
            name,
            path: "/".to_owned(),
            domain: None,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            kept: true,
        })
    }

    /// Sets `Path`. Default `/`.
    ///
    /// # Errors
    ///
    /// When it does not begin with a slash, or has a character that an attribute cannot have.
    pub fn path(self, path: impl Into<String>) -> Result<Self, InvalidSetting> {
        let path = path.into();
        if path.starts_with('/') && is_attribute(&path) {
            return Ok(Self { path, ..self });
        }
        let given = format_args!("{path:?}");
        Err(InvalidSetting::new(
            "cookie path",
            given,
            "a path, such as /shop",
        ))
    }

    /// Sets `Domain`, so that the hosts below it share the cookie. Default: absent, only the host
    /// that set it gets it back.
    ///
    /// # Errors
    ///
    /// When it is no domain.
    pub fn domain(self, domain: impl Into<String>) -> Result<Self, InvalidSetting> {
        let domain = domain.into();
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        if !domain.is_empty() && domain.bytes().all(valid) {
            return Ok(Self {
                domain: Some(domain),
                ..self
            });
        }
        let given = format_args!("{domain:?}");
        Err(InvalidSetting::new(
            "cookie domain",
            given,
            "a domain, such as shop.example",
        ))
    }

    /// Sets `Secure`: only over TLS. Default true.
    pub fn secure(self, secure: bool) -> Self {
        Self { secure, ..self }
    }

    /// Sets `HttpOnly`: out of reach of scripts. Default true.
    pub fn http_only(self, http_only: bool) -> Self {
        Self { http_only, ..self }
    }

    /// Sets `SameSite`. Default [`Lax`](SameSite::Lax).
    pub fn same_site(self, same_site: SameSite) -> Self {
        Self { same_site, ..self }
    }

    /// Leaves out `Max-Age`, so that browsers forget the cookie when they are closed. Its token
    /// counts no longer for that. Default: `Max-Age` is the tokens' lifetime.
    pub fn until_browser_closes(self) -> Self {
        Self {
            kept: false,
            ..self
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Refuses what browsers would refuse.
    pub(super) fn check(&self) -> Result<(), InvalidSetting> {
        // Browsers do not look at case here.
        let begins_with = |prefix: &str| {
            let start = self.name.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let problem = if self.same_site == SameSite::None && !self.secure {
            "Secure, with SameSite=None"
        } else if begins_with("__Secure-") && !self.secure {
            "Secure, with a name that begins with __Secure-"
        } else if begins_with("__Host-")
            && (!self.secure || self.domain.is_some() || self.path != "/")
        {
            "Secure, Path=/ and no Domain, with a name that begins with __Host-"
        } else {
            return Ok(());
        };
        let given = format_args!("{:?}", self.name);
        Err(InvalidSetting::new("cookie", given, problem))
    }

    /// Returns the value of a `Set-Cookie` with which a browser forgets this cookie; see
    /// [`OnGone::Fail`](super::OnGone::Fail).
    pub fn removal(&self) -> HeaderValue {
        let text = self.text("", Some(0));
        // Every part was checked.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }

    /// The value of `Set-Cookie`. Nothing in it is from a request.
    pub(super) fn set(&self, token: &str, seconds: u64) -> Option<HeaderValue> {
        let text = self.text(token, self.kept.then_some(seconds));
        HeaderValue::try_from(text).ok()
    }

    fn text(&self, token: &str, max_age: Option<u64>) -> String {
        let mut text = format!("{}={token}", self.name);
        if let Some(seconds) = max_age {
            let _ = write!(text, "; Max-Age={seconds}");
        }
        let _ = write!(text, "; Path={}", self.path);
        if let Some(domain) = &self.domain {
            let _ = write!(text, "; Domain={domain}");
        }
        text.push_str(if self.secure { "; Secure" } else { "" });
        text.push_str(if self.http_only { "; HttpOnly" } else { "" });
        text.push_str(match self.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        text
    }
}

fn is_attribute(text: &str) -> bool {
    text.bytes()
        .all(|byte| (b' '..=b'~').contains(&byte) && byte != b';')
}
