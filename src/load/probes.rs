use std::fmt;
use std::time::Duration;

use crate::InvalidSetting;

/// How a balance asks backends for their load, from [`Balance::load_probes`](crate::Balance::load_probes).
///
/// The service is given a backend's value, such as its address, and answers with a
/// [`LoadReport`](super::LoadReport). Whatever fails is an answer that does not come: the error is dropped.
///
/// These are not [health probes](crate::health::Probe): nobody is taken out because of them.
///
/// # How they are sent
///
/// A picker such as [`Prequal`](crate::picker::Prequal) [names](crate::picker::Context::probe)
/// backends while it picks. For each of them a task is spawned on the current tokio runtime, beside
/// the request: the service is cloned, driven to readiness and called there. Without a runtime
/// nobody is asked. A panic of the service ends its own task.
///
/// The answer is told to the picker as an [`Event::Probed`](crate::backend::Event::Probed) with the
/// time at which it came, if the backend is a member still, and the picker has not been
/// dropped with its balance.
///
/// Each probe costs its request the spawning of a task, which allocates, before the request is given
/// to its backend. A balance without load probes is as fast as if there were none.
///
/// # Panics
///
/// The tasks need tokio's timer: on a runtime that was built without `enable_time` each of them
/// panics, and no answer comes.
///
/// # Examples
///
/// ```
/// use evenkeel::load::{LoadProbes, LoadReport};
/// use evenkeel::{Backend, Balance, Pool};
/// use std::time::Duration;
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let job = service_fn(|_request: ()| async { Ok::<_, std::io::Error>(()) });
/// # #[derive(Clone)]
/// # struct Worker<S> { job: S, queue: u32 }
/// # impl<S: tower::Service<()>> tower::Service<()> for Worker<S> {
/// #     type Response = S::Response;
/// #     type Error = S::Error;
/// #     type Future = S::Future;
/// #     fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
/// #         self.job.poll_ready(cx)
/// #     }
/// #     fn call(&mut self, request: ()) -> S::Future { self.job.call(request) }
/// # }
/// # let worker = |queue| Worker { job: job.clone(), queue };
/// // In earnest this asks over the network.
/// let ask = service_fn(|worker: Worker<_>| async move {
///     Ok::<_, std::io::Error>(LoadReport::new().with_in_flight(worker.queue))
/// });
/// let probes = LoadProbes::new(ask).timeout(Duration::from_millis(100))?;
///
/// let pool = Pool::from([Backend::new("a", worker(7)), Backend::new("b", worker(2))]);
/// let balance = Balance::prequal(pool).load_probes(probes);
/// balance.oneshot(()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct LoadProbes<S> {
    pub(crate) service: S,
    pub(crate) timeout: Duration,
    pub(crate) max_under_way: usize,
}

impl<S> LoadProbes<S> {
    /// Asks with a service: a [`tower::Service`] of a backend's value, whose response is a
    /// [`LoadReport`](super::LoadReport).
    pub fn new(service: S) -> Self {
        Self {
            service,
            timeout: Duration::from_secs(1),
            max_under_way: 256,
        }
    }

    /// Sets how long a probe may take, readiness included. Default 1 s: an answer that is older is
    /// of no use to [`Prequal`](crate::picker::Prequal).
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, InvalidSetting> {
        if timeout.is_zero() {
            let given = format!("{timeout:?}");
            return Err(InvalidSetting::new("probe timeout", given, "more than 0"));
        }
        self.timeout = timeout;
        Ok(self)
    }

    /// Sets how many probes may be under way at a time, in all. Default 256. Beyond them no more
    /// are sent.
    ///
    /// # Errors
    ///
    /// When it is 0.
    pub fn max_under_way(mut self, probes: usize) -> Result<Self, InvalidSetting> {
        if probes == 0 {
            let what = "number of probes under way";
            return Err(InvalidSetting::new(what, probes, "at least 1"));
        }
        self.max_under_way = probes;
        Ok(self)
    }
}

impl<S> fmt::Debug for LoadProbes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadProbes")
            .field("timeout", &self.timeout)
            .field("max_under_way", &self.max_under_way)
            .finish_non_exhaustive()
    }
}
