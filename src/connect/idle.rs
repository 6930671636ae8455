use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Connected;
use crate::InvalidSetting;
use crate::set::Pool;
use crate::time::CENTURY;

/// Drops services of a pool that nobody uses: connections to a thousand backends, of which a picker
/// hardly ever picks most.
///
/// A backend stays a member, and its service is made again when it is next picked. One with requests
/// in flight is in use, up to the ends of their responses.
///
/// # Cost
///
/// A look at each member, as often as the time-out says. For a request nothing, but that its service
/// is marked as used if it is not yet.
///
/// # Examples
///
/// ```
/// use evenkeel::connect::IdleTimeout;
/// use evenkeel::{Backend, Balance, Pool};
/// use std::time::Duration;
/// use tower::{ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let make = service_fn(|port: u16| async move {
///     println!("connects to {port}");
///     Ok::<_, std::io::Error>(service_fn(move |request: u32| async move {
///         Ok::<_, std::io::Error>(format!("{port} answers {request}"))
///     }))
/// });
/// let pool = Pool::connected(make, [Backend::new("a", 8001)]);
/// let _dropping = IdleTimeout::new(Duration::from_secs(60)).unwrap().spawn(&pool);
///
/// let balance = Balance::<_, u32>::least_requests(pool.clone());
/// balance.clone().oneshot(1).await.unwrap();
/// assert!(pool.value("a").unwrap().is_made());
///
/// tokio::time::sleep(Duration::from_secs(121)).await;
/// assert!(!pool.value("a").unwrap().is_made());
/// balance.oneshot(2).await.unwrap(); // connects again
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "it drops nothing before it is given a pool"]
pub struct IdleTimeout(Duration);

/// Services are dropped when they are idle; dropping this ends that.
#[derive(Debug)]
#[must_use = "dropping it ends the dropping of services"]
pub struct DroppingIdle(JoinHandle<()>);

impl IdleTimeout {
    /// Services that were not used for this time are dropped, after twice the time at the latest.
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn new(timeout: Duration) -> Result<Self, InvalidSetting> {
        if timeout.is_zero() {
            let given = format_args!("{timeout:?}");
            return Err(InvalidSetting::new(
                "idle time-out",
                given,
                "more than none",
            ));
        }
        Ok(Self(timeout.min(CENTURY)))
    }

    /// Drops idle services of a pool on a task of its own. It ends at its first look after the pool was
    /// dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with its time enabled.
    #[track_caller]
    pub fn spawn<S: Send + Sync + 'static>(self, pool: &Pool<Connected<S>>) -> DroppingIdle {
        DroppingIdle(tokio::spawn(self.run(pool)))
    }

    /// Drops idle services of a pool for as long as the future is polled, and the pool is there.
    pub fn run<S: Send + Sync + 'static>(
        self,
        pool: &Pool<Connected<S>>,
    ) -> impl Future<Output = ()> + use<S> {
        let pool = pool.downgrade();
        async move {
            loop {
                tokio::time::sleep(self.0).await;
                let Some(pool) = pool.upgrade() else {
                    return;
                };
                pool.drop_unused();
            }
        }
    }
}

impl<S: Send + Sync + 'static> Pool<Connected<S>> {
    /// Drops the services that were not used since this was called last, and have no request in
    /// flight. Returns how many. For a task that does it, see [`IdleTimeout`].
    ///
    /// O(members).
    pub fn drop_unused(&self) -> usize {
        let snapshot = self.snapshot();
        let idle = snapshot.all().filter(|member| {
            let in_flight = member.live.in_flight();
            member.value.drop_unless_used(in_flight > 0)
        });
        idle.count()
    }
}

impl Future for DroppingIdle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

impl Drop for DroppingIdle {
    fn drop(&mut self) {
        self.0.abort();
    }
}
