use http::Request;
use http::header::{HOST, HeaderName};

use crate::InvalidSetting;
use crate::http::cookie;
use crate::picker::hash::{Key, KeyBytes};

/// A header as a key, from [`header`].
#[derive(Clone, Debug)]
pub struct Header(HeaderName);

/// A cookie as a key, from [`cookie`](cookie()).
#[derive(Clone, Debug)]
pub struct Cookie(String);

/// A parameter of the query as a key, from [`query`].
#[derive(Clone, Debug)]
pub struct QueryParameter(String);

/// The path as a key, from [`path`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Path {
    segments: usize,
    length: usize,
}

/// Path and query as a key, from [`uri`].
#[derive(Clone, Copy, Debug)]
pub struct Uri(());

/// The name of the site as a key, from [`host`].
#[derive(Clone, Copy, Debug)]
pub struct Host(());

/// The value of a header; of the first, if there are several.
///
/// # Errors
///
/// When the name is not that of a header.
///
/// # Examples
///
/// ```
/// use evenkeel::http::key;
///
/// let error = key::header("no spaces").unwrap_err();
/// assert_eq!(error.to_string(), "invalid header name \"no spaces\": expected a token, such as x-user");
/// ```
pub fn header(name: &str) -> Result<Header, InvalidSetting> {
    match name.parse() {
        Ok(name) => Ok(Header(name)),
        Err(_) => Err(InvalidSetting::new(
            "header name",
            format_args!("{name:?}"),
            "a token, such as x-user",
        )),
    }
}

/// The value of a cookie, without quotes around it; of the first that is not empty, if there are
/// several.
///
/// # Errors
///
/// When the name is not that of a cookie.
pub fn cookie(name: &str) -> Result<Cookie, InvalidSetting> {
    if cookie::is_name(name) {
        Ok(Cookie(name.to_owned()))
    } else {
        Err(InvalidSetting::new(
            "cookie name",
            format_args!("{name:?}"),
            "a token, such as session",
        ))
    }
}

/// The value of a parameter in the query, as in `?user=7&page=2`; of the first that is not empty,
/// if there are several.
///
/// # Errors
///
/// When the name is empty, or has characters that no name in a query has.
pub fn query(name: &str) -> Result<QueryParameter, InvalidSetting> {
    let valid = |byte: u8| byte.is_ascii_graphic() && !b"&=#".contains(&byte);
    if !name.is_empty() && name.bytes().all(valid) {
        Ok(QueryParameter(name.to_owned()))
    } else {
        let expected = "a name as it stands in a query, such as user";
        Err(InvalidSetting::new(
            "parameter name",
            format_args!("{name:?}"),
            expected,
        ))
    }
}

/// The path, without the query.
///
/// # Examples
///
/// ```
/// use evenkeel::http::key;
/// use evenkeel::picker::hash::Key;
/// use http::Request;
///
/// let request = Request::get("/users/7/orders?page=2").body(())?;
/// assert_eq!(key::path().of(&request).unwrap().as_bytes(), b"/users/7/orders");
/// assert_eq!(key::path().segments(2)?.of(&request).unwrap().as_bytes(), b"/users/7");
/// assert_eq!(key::path().length(6)?.of(&request).unwrap().as_bytes(), b"/users");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn path() -> Path {
    Path {
        segments: usize::MAX,
        length: usize::MAX,
    }
}

/// Path and query.
pub fn uri() -> Uri {
    Uri(())
}

/// The name of the site, in lower case and without the port: that of the request's URI, or else of
/// its `Host` header.
///
/// # Examples
///
/// ```
/// use evenkeel::http::key;
/// use evenkeel::picker::hash::Key;
/// use http::Request;
///
/// let request = Request::get("/").header("host", "Shop.example:8080").body(())?;
/// assert_eq!(key::host().of(&request).unwrap().as_bytes(), b"shop.example");
/// # Ok::<(), http::Error>(())
/// ```
pub fn host() -> Host {
    Host(())
}

impl Header {
    /// Returns the name.
    pub fn name(&self) -> &HeaderName {
        &self.0
    }
}

impl Path {
    /// Takes the first segments only: of `/a/b/c` 2 are `/a/b`. Default: all.
    ///
    /// # Errors
    ///
    /// For 0.
    pub fn segments(self, segments: usize) -> Result<Self, InvalidSetting> {
        match segments {
            0 => Err(InvalidSetting::new("number of segments", 0, "1 or more")),
            _ => Ok(Self { segments, ..self }),
        }
    }

    /// Takes so many bytes at most. Default: all.
    ///
    /// # Errors
    ///
    /// For 0.
    pub fn length(self, length: usize) -> Result<Self, InvalidSetting> {
        match length {
            0 => Err(InvalidSetting::new("length", 0, "1 or more bytes")),
            _ => Ok(Self { length, ..self }),
        }
    }
}

impl<B> Key<Request<B>> for Header {
    fn of<'r>(&'r self, request: &'r Request<B>) -> Option<KeyBytes<'r>> {
        Some(request.headers().get(&self.0)?.as_bytes().into())
    }
}

impl<B> Key<Request<B>> for Cookie {
    fn of<'r>(&'r self, request: &'r Request<B>) -> Option<KeyBytes<'r>> {
        let mut values = cookie::values(request.headers(), &self.0);
        values.find(|value| !value.is_empty()).map(Into::into)
    }
}

impl<B> Key<Request<B>> for QueryParameter {
    fn of<'r>(&'r self, request: &'r Request<B>) -> Option<KeyBytes<'r>> {
        let mut pairs = request.uri().query()?.split('&');
        pairs.find_map(|pair| {
            let value = pair.strip_prefix(self.0.as_str())?.strip_prefix('=')?;
            (!value.is_empty()).then(|| value.into())
        })
    }
}

impl<B> Key<Request<B>> for Path {
    fn of<'r>(&'r self, request: &'r Request<B>) -> Option<KeyBytes<'r>> {
        let path = request.uri().path().as_bytes();
        let path = &path[..path.len().min(self.length)];
        let mut slashes = (1..path.len()).filter(|&at| path[at] == b'/');
        let end = match self.segments {
            usize::MAX => path.len(),
            segments => slashes.nth(segments - 1).unwrap_or(path.len()),
        };
        Some(path[..end].into())
    }
}

impl<B> Key<Request<B>> for Uri {
    fn of<'r>(&'r self, request: &'r Request<B>) -> Option<KeyBytes<'r>> {
        Some(request.uri().path_and_query()?.as_str().into())
    }
}

impl<B> Key<Request<B>> for Host {
    fn of<'r>(&'r self, request: &'r Request<B>) -> Option<KeyBytes<'r>> {
        let host = match request.uri().host() {
            Some(host) => host.as_bytes(),
            None => without_port(request.headers().get(HOST)?.as_bytes()),
        };
        Some(if host.iter().any(u8::is_ascii_uppercase) {
            host.to_ascii_lowercase().into()
        } else {
            host.into()
        })
    }
}

fn without_port(host: &[u8]) -> &[u8] {
    // An IPv6 address has colons of its own, within brackets.
    let bracket = host.iter().rposition(|&byte| byte == b']').unwrap_or(0);
    match host[bracket..].iter().position(|&byte| byte == b':') {
        Some(colon) => &host[..bracket + colon],
        None => host,
    }
}
