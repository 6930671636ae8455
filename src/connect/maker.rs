use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use futures_util::future::FutureExt;
use tower::BoxError;
use tower_service::Service;

use super::Connected;
use crate::backend::Backend;
use crate::backoff::Backoff;
use crate::set::Pool;

/// Makes [`Connected`] services: a maker, which is tower's `MakeService` (a service from address to
/// service), and how to back off from an address that it cannot reach.
///
/// # Examples
///
/// A pool that follows a list of addresses. A connection is made for each new one when it is first
/// used:
///
/// ```
/// use evenkeel::connect::Connect;
/// use evenkeel::{Backend, Balance, Pool};
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), evenkeel::Error> {
/// let connect = Connect::new(service_fn(|address: &'static str| async move {
///     // Here a tonic channel, an HTTP/2 connection …
///     Ok::<_, std::io::Error>(service_fn(move |request: u32| async move {
///         Ok::<_, std::io::Error>(format!("{address} answers {request}"))
///     }))
/// }));
///
/// let pool = Pool::new();
/// let list = ["10.0.0.1:50051"];
/// pool.replace_all_with(list.map(|address| Backend::new(address, address)), |address| connect.to(address));
///
/// let response = Balance::least_requests(pool).oneshot(7).await?;
/// assert_eq!(response, "10.0.0.1:50051 answers 7");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Connect<M> {
    make: Arc<M>,
    backoff: Backoff,
}

impl<M> Connect<M> {
    /// Uses a maker, with the default back-off. A maker that may hang should be given a time-out.
    pub fn new(make: M) -> Self {
        Self {
            make: Arc::new(make),
            backoff: Backoff::default(),
        }
    }

    /// Sets the back-off.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Returns the service for one address; it is made when it is first needed.
    pub fn to<A, S>(&self, address: A) -> Connected<S>
    where
        A: Clone + Send + Sync + 'static,
        M: Service<A, Response = S> + Clone + Send + Sync + 'static,
        M::Error: Into<BoxError>,
        M::Future: Send,
        S: Send + Sync + 'static,
    {
        let make = Arc::clone(&self.make);
        let make = move || {
            let (mut make, address) = (M::clone(&make), address.clone());
            async move {
                poll_fn(|cx| make.poll_ready(cx))
                    .await
                    .map_err(Into::into)?;
                make.call(address).await.map_err(Into::into)
            }
            .boxed()
        };
        Connected::new(make, self.backoff)
    }
}

impl<S: Send + Sync + 'static> Pool<Connected<S>> {
    /// Creates a pool of addresses, for each of which a service is made when it is first needed.
    ///
    /// `make` is tower's `MakeService`. For a back-off of your own, or a list that changes, see
    /// [`Connect`].
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::{Backend, Balance, Pool};
    /// use tower::service_fn;
    ///
    /// let make = service_fn(|port: u16| async move {
    ///     Ok::<_, std::io::Error>(service_fn(move |request: String| async move {
    ///         Ok::<_, std::io::Error>(format!("{request} on {port}"))
    ///     }))
    /// });
    /// let pool = Pool::connected(make, [8001, 8002].map(|port| Backend::new(port.to_string(), port)));
    /// let balance = Balance::<_, String>::least_requests(pool);
    /// # let _ = balance;
    /// ```
    pub fn connected<M, A>(make: M, backends: impl IntoIterator<Item = Backend<A>>) -> Self
    where
        A: Clone + Send + Sync + 'static,
        M: Service<A, Response = S> + Clone + Send + Sync + 'static,
        M::Error: Into<BoxError>,
        M::Future: Send,
    {
        let connect = Connect::new(make);
        let pool = Self::new();
        pool.replace_all_with(backends, |address| connect.to(address));
        pool
    }
}

impl<M> Clone for Connect<M> {
    fn clone(&self) -> Self {
        Self {
            make: Arc::clone(&self.make),
            backoff: self.backoff,
        }
    }
}

impl<M> fmt::Debug for Connect<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}
