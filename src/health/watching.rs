use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use super::checks::Checks;
use super::probe::DynProbe;
use super::watch::Watch;
use super::{Ejection, Probe, ProbeSettings};
use crate::backend::Value;
use crate::set::Pool;

/// Watches the health of a pool's backends: what their traffic shows, by default, and what probes
/// find, if there is a probe.
///
/// One of them serves all balances over a pool. The pool is held weakly: when all others have
/// dropped it, this ends.
///
/// # Settings while serving
///
/// Watching a pool again takes the place of the watch before, whose future ends. What is known of
/// the backends is kept.
///
/// # Without tower
///
/// Outcomes come from whoever [finishes](crate::backend::Completion::finish) requests, so a
/// [`Selector`](crate::picker::Selector)'s pool is watched as well.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::{Outcome, State, Failure};
/// use evenkeel::health::{Ejection, Health};
/// use evenkeel::picker::{RoundRobin, Selector};
/// use evenkeel::{Backend, Pool};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel::InvalidSetting> {
/// let pool = Pool::from(["a", "b"].map(|id| Backend::new(id, id)));
/// let _watching = Health::new()
///     .ejection(Ejection::new().failures_in_a_row(3)?)
///     .spawn(&pool);
///
/// let selector = Selector::new(pool.clone(), RoundRobin::new());
/// for _ in 0..6 {
///     let (backend, completion) = selector.select(&()).expect("somebody is eligible");
///     let fails = backend == "b";
///     completion.finish(if fails { Outcome::Failure(Failure::Connect) } else { Outcome::Success });
/// }
/// tokio::time::sleep(Duration::from_millis(1)).await;
///
/// let b = pool.get("b").expect("a member");
/// assert_eq!(b.state(), State::Ejected);
/// assert_eq!(b.why().expect("a reason").to_string(), "3 failures in a row");
/// # Ok(())
/// # }
/// ```
#[must_use = "it watches nothing until it is spawned"]
pub struct Health<T> {
    ejection: Ejection,
    probe: Option<(Arc<dyn DynProbe<T>>, ProbeSettings)>,
    seed: Option<u64>,
}

/// Why a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// Nobody has the pool any more.
    #[error("the pool was dropped")]
    PoolDropped,
    /// Another watch has taken its place.
    #[error("another watch has taken over")]
    Replaced,
    /// The runtime that it ran on was shut down.
    #[error("its runtime was shut down")]
    Stopped,
}

/// A watch on a task of its own, from [`Health::spawn`]; dropping this ends it.
///
/// As a future it yields why the watch ended.
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub struct Watching(JoinHandle<Ended>);

impl<T: Value> Health<T> {
    /// Watches what the traffic shows, by the default rules of [`Ejection`], and probes nobody.
    pub fn new() -> Self {
        Self {
            ejection: Ejection::new(),
            probe: None,
            seed: None,
        }
    }

    /// Sets the rules by which a backend's traffic takes it out. Default: [`Ejection::new`]. To
    /// have none, use [`Ejection::none`].
    pub fn ejection(mut self, ejection: Ejection) -> Self {
        self.ejection = ejection;
        self
    }

    /// Probes each backend, too. Replaces the probe that was set before. Default: nobody is probed.
    pub fn probe(mut self, probe: impl Probe<T>, settings: ProbeSettings) -> Self {
        self.probe = Some((Arc::new(probe), settings));
        self
    }

    /// Makes what is left to chance repeatable. For tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Returns a future that watches a pool, and ends when the pool is dropped, or is watched by
    /// another.
    ///
    /// The watch begins with this call: from here on, outcomes are recorded.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the watch, and what was known of the backends' health is forgotten:
    /// nobody is left out whom nobody would take back.
    ///
    /// # Panics
    ///
    /// The future panics on a tokio runtime without a timer.
    pub fn watch(self, pool: &Pool<T>) -> impl Future<Output = Ended> + Send + use<T> {
        self.watch_all(&[pool])
    }

    /// As [`watch`](Self::watch), for several pools: backends with the same id are one to the
    /// probes, and probed once. What the traffic shows is each pool's own affair.
    pub fn watch_all(self, pools: &[&Pool<T>]) -> impl Future<Output = Ended> + Send + use<T> {
        let mut random = self
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let checks = self
            .probe
            .map(|(probe, settings)| Checks::new(probe, settings, random.fork()));
        Watch::new(pools, &self.ejection, checks, &mut random)
    }

    /// Watches a pool on a task of its own.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn spawn(self, pool: &Pool<T>) -> Watching {
        self.spawn_all(&[pool])
    }

    /// Watches several pools on one task; see [`watch_all`](Self::watch_all).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn spawn_all(self, pools: &[&Pool<T>]) -> Watching {
        Watching(tokio::spawn(self.watch_all(pools)))
    }
}

impl<T: Value> Default for Health<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Health<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("ejection", &self.ejection)
            .field("probe", &self.probe.as_ref().map(|(_, settings)| settings))
            .finish_non_exhaustive()
    }
}

impl Future for Watching {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        Pin::new(&mut self.0).poll(cx).map(|joined| match joined {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Ended::Stopped,
            },
        })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}
