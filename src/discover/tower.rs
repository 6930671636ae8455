use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;
use tower::BoxError;
use tower::discover::{Change, Discover};

use super::driver::{Driver, Ended};
use super::follow::Follow;
use super::simple::once;
use super::source::Update;
use crate::backend::Backend;
use crate::set::Pool;

/// Feeds a pool from tower's [`Discover`], by the rules of [`Follow`]: keys become ids.
///
/// The insertion of a live key replaces its service and keeps its statistics. A `Discover` cannot be
/// opened again, so this ends when it ends or fails.
///
/// # Cancel safety
///
/// Dropping the future stops the feeding; the pool keeps what it has.
///
/// # Examples
///
/// ```
/// use evenkeel::discover::{self, Ended};
/// use evenkeel::Pool;
/// use tower::discover::ServiceList;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// # let (a, b) = ("service a", "service b");
/// # #[derive(Clone)] struct Echo(&'static str);
/// # impl tower::Service<()> for Echo {
/// #     type Response = &'static str; type Error = std::io::Error;
/// #     type Future = std::future::Ready<Result<&'static str, std::io::Error>>;
/// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> { std::task::Poll::Ready(Ok(())) }
/// #     fn call(&mut self, _: ()) -> Self::Future { std::future::ready(Ok(self.0)) }
/// # }
/// let pool = Pool::new();
/// let source = ServiceList::new::<()>([Echo(a), Echo(b)]);
/// let ended = discover::follow(source, &pool).await;
/// assert!(matches!(ended, Ended::Source));
/// assert_eq!(pool.len(), 2);
/// # });
/// ```
pub fn follow<D>(source: D, pool: &Pool<D::Service>) -> impl Future<Output = Ended> + use<D>
where
    D: Discover + Send + 'static,
    D::Key: ToString,
    D::Service: Clone + Send + 'static,
    D::Error: Into<BoxError>,
{
    let follow = Follow::new(once("tower's Discover", Changes { discover: source }));
    // Services cannot be compared.
    Driver::new(follow.allow_empty(true), pool, D::Service::clone, |_, _| {
        false
    })
    .run()
}

pin_project! {
    struct Changes<D> {
        #[pin]
        discover: D,
    }
}

impl<D> Stream for Changes<D>
where
    D: Discover,
    D::Key: ToString,
    D::Error: Into<BoxError>,
{
    type Item = Result<Update<D::Service>, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let change = self.project().discover.poll_discover(cx);
        change.map(|change| {
            Some(match change? {
                Ok(Change::Insert(key, service)) => {
                    Ok(Update::changes().put(Backend::new(key.to_string(), service)))
                }
                Ok(Change::Remove(key)) => Ok(Update::changes().remove(key.to_string())),
                Err(error) => Err(error.into()),
            })
        })
    }
}
