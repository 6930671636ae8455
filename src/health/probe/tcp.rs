use std::fmt;
use std::io;

use tokio::net::TcpStream;
use tower::BoxError;

use super::{Answer, Probe, Target};

/// A backend is healthy when it accepts a TCP connection.
///
/// The connection is closed at once, and nothing is sent: the server sees one that ends before its
/// first byte (or, if it speaks first, that is reset), and may log that. Of a name with several
/// addresses, one that accepts is enough.
///
/// `TcpProbe::new()` connects to an `http::Address`, [`TcpProbe::to`] to whatever a function makes
/// of a backend's value.
///
/// # When to use
///
/// For servers that do not speak HTTP. The kernel accepts connections for a process that hangs, so
/// where there is something to ask, prefer `HttpProbe`, `GrpcProbe` or a function.
///
/// # Cancel safety
///
/// Dropping the future gives up the connection. A look-up of a name that has begun goes on, on a
/// thread of tokio's, and its result is thrown away.
///
/// # Examples
///
/// ```
/// use evenkeel::health::{Answer, Probe, Target, TcpProbe};
/// use tokio::net::TcpListener;
///
/// struct Shard {
///     host: String,
///     port: u16,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let probe = TcpProbe::to(|shard: &Shard| format!("{}:{}", shard.host, shard.port));
///
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let (host, port) = ("127.0.0.1".to_owned(), listener.local_addr()?.port());
/// let answer = probe.probe(Target::new("shard-1", Shard { host, port })).await;
/// assert_eq!(answer.unwrap(), Answer::Healthy);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct TcpProbe<F> {
    to: F,
}

/// No connection was made.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {to}")]
struct CannotConnect {
    to: String,
    source: io::Error,
}

impl<F> TcpProbe<F> {
    /// Connects to what a function makes of a backend's value: `HOST:PORT`, as a text or as a
    /// [`SocketAddr`](std::net::SocketAddr). IPv6 addresses are in brackets.
    pub fn to<T, S>(to: F) -> Self
    where
        F: Fn(&T) -> S + Send + Sync + 'static,
        S: ToString,
    {
        Self { to }
    }
}

impl<T, F, S> Probe<T> for TcpProbe<F>
where
    F: Fn(&T) -> S + Send + Sync + 'static,
    S: ToString,
{
    fn probe(&self, target: Target<T>) -> impl Future<Output = Result<Answer, BoxError>> + Send {
        let to = (self.to)(target.value()).to_string();
        async move {
            match TcpStream::connect(&to).await {
                Ok(_closed) => Ok(Answer::Healthy),
                Err(source) => Err(CannotConnect { to, source }.into()),
            }
        }
    }
}

impl<F> fmt::Debug for TcpProbe<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpProbe").finish_non_exhaustive()
    }
}
