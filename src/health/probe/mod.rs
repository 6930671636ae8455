//! How a backend is asked whether it is well.

#[cfg(feature = "http")]
mod address;
#[cfg(feature = "http")]
mod grpc;
#[cfg(feature = "http")]
mod http;
mod tcp;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tower::BoxError;

#[cfg(feature = "http")]
pub use self::grpc::GrpcProbe;
#[cfg(feature = "http")]
pub use self::http::HttpProbe;
pub use self::tcp::TcpProbe;

/// What a backend answered to a probe.
///
/// A probe that has no degrees answers `()`, which is healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answer {
    /// It is well.
    Healthy,
    /// It serves, but would rather that others did.
    Degraded,
}

/// The backend to ask: its id, and the value that it has in the pool.
#[derive(Clone, Debug)]
pub struct Target<T> {
    id: Arc<str>,
    value: T,
}

/// Asks a backend whether it is well.
///
/// An error means that it is not. People will read its text, and those of its causes, as the
/// reason, so it should say what was found and what was expected.
///
/// Every `Fn(Target<T>)` is a probe that returns a future of a `Result`, whose value is an
/// [`Answer`] or `()`. [`TcpProbe`], `HttpProbe` and `GrpcProbe` are those that are ready made.
///
/// A probe with state of its own hands a clone to each future:
///
/// ```
/// use evenkeel::health::{Probe, Target};
/// use std::sync::Arc;
///
/// fn with_prefix(prefix: Arc<str>) -> impl Probe<u16> {
///     move |target: Target<u16>| {
///         let prefix = Arc::clone(&prefix);
///         async move {
///             println!("{prefix}: asks {}", target.id());
///             Ok::<(), std::io::Error>(())
///         }
///     }
/// }
/// ```
///
/// The value of a [`Connected`](crate::connect::Connected) says nothing of its address: probe by
/// [`target.id()`](Target::id), if ids are addresses.
///
/// # Panics
///
/// A probe that panics has failed; the watch goes on.
///
/// # Cancel safety
///
/// There is no timeout in a probe: whoever runs it drops the future when it takes too long. A probe
/// should leave nothing behind then.
///
/// # Examples
///
/// ```
/// use evenkeel::health::{Answer, Probe, Target};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // The value of a backend, here, is the length of its queue.
/// let probe = async |target: Target<usize>| match *target.value() {
///     0..100 => Ok(Answer::Healthy),
///     100..1000 => Ok(Answer::Degraded),
///     length => Err(format!("{length} in the queue, expected less than 1000")),
/// };
///
/// assert_eq!(probe.probe(Target::new("a", 99)).await.unwrap(), Answer::Healthy);
/// assert_eq!(probe.probe(Target::new("b", 100)).await.unwrap(), Answer::Degraded);
/// let reason = probe.probe(Target::new("c", 1000)).await.unwrap_err();
/// assert_eq!(reason.to_string(), "1000 in the queue, expected less than 1000");
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot probe backends whose value is a `{T}`",
    label = "not a probe of a `{T}`",
    note = "a probe is an `Fn(Target<{T}>)` that returns a `Send` future of `Result<(), E>` or \
            `Result<Answer, E>`, and is itself `Send`, `Sync` and `'static`",
    note = "`HttpProbe`, `GrpcProbe` and `TcpProbe::new()` are probes of an `http::Address`; their \
            client must be `Clone`, `Send`, `Sync` and `'static`, its future and its responses `Send`",
    note = "for other values there is `TcpProbe::to(|value: &{T}| ..)`",
    note = "if this is a `Result`, a setting that can be refused lacks its `?`"
)]
pub trait Probe<T>: Send + Sync + 'static {
    /// Asks the backend.
    ///
    /// # Errors
    ///
    /// The reason why it is not healthy.
    fn probe(&self, target: Target<T>) -> impl Future<Output = Result<Answer, BoxError>> + Send;
}

/// A [`Probe`] whose type is forgotten.
pub(crate) trait DynProbe<T>: Send + Sync + 'static {
    fn probe_boxed(&self, target: Target<T>) -> Probing<'_>;
}

/// The future of a [`DynProbe`].
pub(crate) type Probing<'a> = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send + 'a>>;

impl From<()> for Answer {
    /// Healthy.
    fn from((): ()) -> Self {
        Self::Healthy
    }
}

impl<T> Target<T> {
    /// A backend to ask, with its id and its value; to try a probe by hand.
    pub fn new(id: impl Into<Arc<str>>, value: T) -> Self {
        Self {
            id: id.into(),
            value,
        }
    }

    /// Returns the backend's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the backend's value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Returns the backend's value, owned.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T, F, Fut, A, E> Probe<T> for F
where
    F: Fn(Target<T>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<A, E>> + Send,
    A: Into<Answer>,
    E: Into<BoxError>,
{
    fn probe(&self, target: Target<T>) -> impl Future<Output = Result<Answer, BoxError>> + Send {
        let answer = self(target);
        async move { answer.await.map(Into::into).map_err(Into::into) }
    }
}

impl<T, P> DynProbe<T> for P
where
    T: Clone + Send + Sync + 'static,
    P: Probe<T>,
{
    fn probe_boxed(&self, target: Target<T>) -> Probing<'_> {
        Box::pin(self.probe(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_probe_whose_type_is_forgotten_answers_the_same() {
        let probe = async |target: Target<u8>| match target.value() {
            0 => Ok(()),
            _ => Err("not zero"),
        };
        let probe: Arc<dyn DynProbe<u8>> = Arc::new(probe);
        let healthy = probe.probe_boxed(Target::new("a", 0)).await;
        assert_eq!(healthy.unwrap(), Answer::Healthy);
        let reason = probe.probe_boxed(Target::new("b", 1)).await.unwrap_err();
        assert_eq!(reason.to_string(), "not zero");
    }
}
