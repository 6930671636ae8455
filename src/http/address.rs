use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};

use crate::backend::Backend;
use crate::set::Pool;

/// Where a backend listens: scheme and authority, and the name that its certificate should have.
///
/// # Examples
///
/// ```
/// use evenkeel::http::Address;
///
/// let address: Address = "10.0.0.1:8080".parse()?;
/// assert_eq!(address.to_string(), "http://10.0.0.1:8080");
///
/// let address: Address = "https://10.0.0.1:8443".parse()?;
/// let address = address.with_server_name("api.example.com");
/// assert_eq!(address.server_name(), Some("api.example.com"));
///
/// let error = "10.0.0.1:8080/path".parse::<Address>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "invalid address \"10.0.0.1:8080/path\": expected [http://|https://]HOST[:PORT], without a path",
/// );
/// # Ok::<(), evenkeel::http::InvalidAddress>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    server_name: Option<Arc<str>>,
}

/// A text is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid address {given:?}: expected [http://|https://]HOST[:PORT], {problem}")]
pub struct InvalidAddress {
    given: String,
    problem: &'static str,
}

impl Address {
    /// Sets the name that the server's certificate should have, where that is not the host.
    ///
    /// It is kept for the connector; see the notes on TLS in the [module](crate::http).
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Returns the name that the server's certificate should have, if it was set.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Returns the scheme: `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.scheme.as_str()
    }

    /// Returns host and port, as in a URI.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// Returns host and port, which is the scheme's own where the address has none.
    pub(crate) fn host_and_port(&self) -> String {
        match self.authority.port_u16() {
            Some(_) => self.authority.to_string(),
            None if self.scheme == Scheme::HTTPS => format!("{}:443", self.authority),
            None => format!("{}:80", self.authority),
        }
    }

    /// Returns the absolute URI of a path.
    pub(crate) fn uri(&self, path: PathAndQuery) -> Uri {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        // All three parts are there, which is what this can complain about.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let invalid = |problem| InvalidAddress {
            given: given.to_owned(),
            problem,
        };
        let (scheme, rest) = match given.split_once("://") {
            None => (Scheme::HTTP, given),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::HTTP, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::HTTPS, rest),
            Some(_) => return Err(invalid("with one of these schemes or none")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(invalid("without a path"));
        }
        if rest.matches(':').count() > 1 && !rest.starts_with('[') {
            return Err(invalid("with an IPv6 address in brackets"));
        }
        let authority: Authority = rest.parse().map_err(|_| invalid("with a valid host"))?;
        let host = authority.host();
        if host.is_empty() {
            return Err(invalid("with a host"));
        }
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let valid = match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => host.bytes().all(bare),
        };
        if !valid {
            return Err(invalid("with a valid host"));
        }
        if authority.as_str().contains('@') {
            return Err(invalid("without a user"));
        }
        // The port of an authority is any run of digits, and may be missing after its colon.
        let port = authority
            .as_str()
            .strip_prefix(authority.host())
            .unwrap_or("");
        let digits = |port: &&str| port.bytes().all(|byte| byte.is_ascii_digit());
        let number = port
            .strip_prefix(':')
            .filter(digits)
            .and_then(|port| port.parse::<u16>().ok());
        if !port.is_empty() && number.is_none_or(|port| port == 0) {
            return Err(invalid("with a port from 1 to 65535"));
        }
        Ok(Self {
            scheme,
            authority,
            server_name: None,
        })
    }
}

impl From<SocketAddr> for Address {
    /// An `http` address.
    fn from(address: SocketAddr) -> Self {
        let authority = address.to_string();
        Self {
            scheme: Scheme::HTTP,
            authority: authority.parse().expect("a socket address is an authority"),
            server_name: None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl Pool<Address> {
    /// Creates a pool of addresses; each backend's id is its address as it was written.
    ///
    /// # Errors
    ///
    /// The first text that is not an address.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::Pool;
    ///
    /// let pool = Pool::of_addresses(["10.0.0.1:8080", "https://10.0.0.2"])?;
    /// assert_eq!(pool.list()[1].id(), "https://10.0.0.2");
    /// # Ok::<(), evenkeel::http::InvalidAddress>(())
    /// ```
    pub fn of_addresses<A: AsRef<str>>(
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Self, InvalidAddress> {
        let backend = |address: A| {
            let address = address.as_ref();
            Ok(Backend::new(address, address.parse()?))
        };
        addresses.into_iter().map(backend).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_address_is_refused_with_the_reason() {
        let problem = |given: &str| given.parse::<Address>().unwrap_err().problem;
        assert_eq!(problem("ftp://host"), "with one of these schemes or none");
        assert_eq!(problem("host/path"), "without a path");
        assert_eq!(problem("host?query"), "without a path");
        assert_eq!(problem("user@host"), "without a user");
        assert_eq!(problem("host:99999"), "with a port from 1 to 65535");
        assert_eq!(problem("host:0"), "with a port from 1 to 65535");
        assert_eq!(problem("host:+80"), "with a port from 1 to 65535");
        assert_eq!(problem("host:"), "with a port from 1 to 65535");
        assert_eq!(problem("::1"), "with an IPv6 address in brackets");
        assert_eq!(problem(""), "with a valid host");
        assert_eq!(problem("http://"), "with a valid host");
        assert_eq!(problem(":80"), "with a host");
        assert_eq!(problem("two words"), "with a valid host");
        assert_eq!(problem("a,b"), "with a valid host");
        assert_eq!(problem("[host]:80"), "with a valid host");
        assert_eq!(problem("[::1]x:80"), "with a port from 1 to 65535");
    }

    #[test]
    fn hosts_with_and_without_port_and_ipv6_are_addresses() {
        for given in [
            "host",
            "host:80",
            "[::1]:80",
            "127.0.0.1",
            "https://host:443",
            "HTTP://host/",
        ] {
            assert!(given.parse::<Address>().is_ok(), "{given}");
        }
    }

    #[test]
    fn a_missing_port_is_that_of_the_scheme() {
        let host_and_port = |given: &str| given.parse::<Address>().unwrap().host_and_port();
        assert_eq!(host_and_port("host"), "host:80");
        assert_eq!(host_and_port("https://host"), "host:443");
        assert_eq!(host_and_port("https://[::1]"), "[::1]:443");
        assert_eq!(host_and_port("https://[::1]:81"), "[::1]:81");
    }
}
