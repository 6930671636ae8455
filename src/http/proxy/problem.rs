use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use http::{Method, StatusCode, Uri};

/// A request that a [`Proxy`](super::Proxy) could not answer as its client wished, for the log.
///
/// [`Display`](fmt::Display) has all in one line: the status, the error and its causes, the request.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    pub(super) asked: &'a Asked,
    pub(super) status: Option<StatusCode>,
    pub(super) error: &'a (dyn Error + 'static),
}

/// What is kept of a request for the log.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) client: Option<IpAddr>,
    pub(super) method: Method,
    pub(super) uri: Uri,
}

impl<'a> Problem<'a> {
    /// Returns whose connection it came over, if that is known.
    pub fn client(&self) -> Option<IpAddr> {
        self.asked.client
    }

    /// Returns the request's method.
    pub fn method(&self) -> &'a Method {
        &self.asked.method
    }

    /// Returns what it asked for.
    pub fn uri(&self) -> &'a Uri {
        &self.asked.uri
    }

    /// Returns the status of the answer; `None` where the answer had begun already, and broke off.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Returns what went wrong: [`Refused`](super::Refused), [`BrokeOff`](super::BrokeOff), an
    /// [`Error`](crate::Error) of this crate, or whatever the service inside has.
    pub fn error(&self) -> &'a (dyn Error + 'static) {
        self.error
    }
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status {
            write!(f, "{status}: ")?;
        }
        write!(f, "{}", self.error)?;
        let mut next = self.error.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        write!(f, "; {} {}", self.asked.method, self.asked.uri)?;
        match self.asked.client {
            Some(client) => write!(f, " from {client}"),
            None => Ok(()),
        }
    }
}
