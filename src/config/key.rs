use std::str::FromStr;

use http::Request;

use crate::InvalidSetting;
use crate::http::key::{self, ForwardedIn};
use crate::picker::hash::{Key, KeyBytes};

/// A key of requests, by its name: `cookie:session`.
#[derive(Clone, Debug)]
pub(super) enum RequestKey {
    ClientAddress(key::ClientAddress),
    Path(key::Path),
    Uri(key::Uri),
    Host(key::Host),
    Header(key::Header),
    Cookie(key::Cookie),
    Query(key::QueryParameter),
}

impl RequestKey {
    /// Makes a difference to the client's address only.
    pub(super) fn behind_proxies(
        self,
        networks: Vec<String>,
        header: &ForwardedIn,
    ) -> Result<Self, InvalidSetting> {
        match self {
            Self::ClientAddress(address) => address
                .behind_proxies(networks, header.clone())
                .map(Self::ClientAddress),
            other => Ok(other),
        }
    }
}

impl FromStr for RequestKey {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        let wrong = || {
            let expected = "client-address, path, path:SEGMENTS, uri, host, header:NAME, \
                            cookie:NAME or query:NAME";
            InvalidSetting::new("key", format_args!("{text:?}"), expected)
        };
        match text.split_once(':') {
            None => match text {
                "client-address" => Ok(Self::ClientAddress(key::client_address())),
                "path" => Ok(Self::Path(key::path())),
                "uri" => Ok(Self::Uri(key::uri())),
                "host" => Ok(Self::Host(key::host())),
                _ => Err(wrong()),
            },
            Some(("path", segments)) => {
                let segments = segments.parse().map_err(|_| wrong())?;
                key::path().segments(segments).map(Self::Path)
            }
            Some(("header", name)) => key::header(name).map(Self::Header),
            Some(("cookie", name)) => key::cookie(name).map(Self::Cookie),
            Some(("query", name)) => key::query(name).map(Self::Query),
            Some(_) => Err(wrong()),
        }
    }
}

impl<B> Key<Request<B>> for RequestKey {
    fn of<'r>(&'r self, request: &'r Request<B>) -> Option<KeyBytes<'r>> {
        match self {
            Self::ClientAddress(key) => key.of(request),
            Self::Path(key) => key.of(request),
            Self::Uri(key) => key.of(request),
            Self::Host(key) => key.of(request),
            Self::Header(key) => key.of(request),
            Self::Cookie(key) => key.of(request),
            Self::Query(key) => key.of(request),
        }
    }
}
