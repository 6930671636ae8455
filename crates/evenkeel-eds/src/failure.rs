use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::{Code, Status};

/// Why a stream from the management server is over, or was given up.
///
/// It becomes the error of the source in the pool's status, and another stream is opened after a
/// pause.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The management server cannot be reached.
    Connect(tonic::transport::Error),
    /// The management server, or the connection to it, ended the stream with an error.
    Stream(Box<Status>),
    /// The management server ended the stream.
    Closed,
    /// The management server does not take the answers to what it sends.
    NotRead,
    /// It has not sent this resource within this time.
    #[non_exhaustive]
    NoAssignment {
        /// The name of the resource.
        resource: Arc<str>,
        /// How long it had, from [`Eds::initial_fetch_timeout`](crate::Eds::initial_fetch_timeout).
        within: Duration,
        /// What was wrong with the last response that had it, if there was one.
        refused: Option<String>,
    },
    /// The time is over for which the last assignment was good, and there is no other.
    Expired,
}

impl Failure {
    /// Returns the gRPC code with which the stream ended, if it ended with one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Stream(status) => Some(status.code()),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(_) => f.write_str("the management server cannot be reached"),
            Self::Stream(status) => {
                write!(f, "the stream failed: {:?}", status.code())?;
                match status.message() {
                    "" => Ok(()),
                    message => write!(f, ": {message}"),
                }
            }
            Self::Closed => f.write_str("the management server ended the stream"),
            Self::NotRead => f.write_str("the management server does not read the answers to it"),
            Self::NoAssignment {
                resource,
                within,
                refused,
            } => {
                write!(f, "no assignment of {resource:?} within {within:?}")?;
                match refused {
                    Some(why) => write!(f, "; what came was refused, {why}"),
                    None => Ok(()),
                }
            }
            Self::Expired => f.write_str("the last assignment has expired"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // The first level of it says only that it is an error of the transport.
            Self::Connect(error) => error.source(),
            // What a status displays is said above.
            Self::Stream(status) => status.source(),
            _ => None,
        }
    }
}
