use std::net::SocketAddr;
use std::sync::Arc;

use hickory_resolver::net::NetError;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;

/// Why a look-up has no result, not even that there is nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the system's DNS configuration cannot be read")]
    Configuration(#[source] Arc<NetError>),
    #[error("{kind} of {name}, asked of {server}")]
    NoAnswer {
        name: String,
        kind: RecordType,
        server: SocketAddr,
        #[source]
        source: Arc<NetError>,
    },
    #[error("{kind} of {name}: {server} answers with {code}")]
    Code {
        name: String,
        kind: RecordType,
        server: SocketAddr,
        code: ResponseCode,
    },
    #[error("{kind} of {name}: {server} only refers to other servers; it does not look names up")]
    Referral {
        name: String,
        kind: RecordType,
        server: SocketAddr,
    },
    #[error("{kind} of {name}: its aliases (CNAME) form a loop at {at}")]
    Loop {
        name: String,
        kind: RecordType,
        at: String,
    },
    #[error("{kind} of {name}: more than {most} aliases (CNAME) in a row")]
    TooManyAliases {
        name: String,
        kind: RecordType,
        most: usize,
    },
}

impl Failure {
    pub(super) fn configuration(source: impl Into<NetError>) -> Self {
        Self::Configuration(Arc::new(source.into()))
    }

    /// Whether nobody was reached. If so, the next question will hardly fare better.
    pub(super) fn is_silence(&self) -> bool {
        let Self::NoAnswer { source, .. } = self else {
            return false;
        };
        matches!(
            **source,
            NetError::Timeout | NetError::Io(_) | NetError::NoConnections
        )
    }

    /// The same, where it is clear what was asked for.
    pub(super) fn why(&self) -> String {
        match self {
            Self::NoAnswer { server, source, .. } => format!("{server}: {source}"),
            Self::Configuration(source) => format!("{self}: {source}"),
            Self::Code { server, code, .. } => format!("{server} answers with {code}"),
            _ => self.to_string(),
        }
    }
}
