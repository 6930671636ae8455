//! Sends the load probes that pickers ask for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tower::ServiceExt;
use tower_service::Service;

use super::Shared;
use crate::backend::{Event, Handle, Observation, Value};
use crate::load::{LoadProbes, LoadReport};
use crate::picker;
use crate::time::{CENTURY, now};

/// Whoever sends the probes of a balance, whatever its types.
pub(crate) trait Probing: Send + Sync {
    /// Sends what was asked for in this context.
    fn send(self: Arc<Self>, cx: &picker::Context);
}

/// What a task needs to ask one backend. It holds the balance weakly, so that probes end with it.
pub(super) struct Prober<T, Req, S> {
    shared: Weak<Shared<T, Req>>,
    service: S,
    timeout: Duration,
    max_under_way: usize,
    under_way: AtomicUsize,
}

/// One probe of those that are counted. It counts itself back.
struct UnderWay<T, Req, S>(Arc<Prober<T, Req, S>>);

impl<T, Req, S> Prober<T, Req, S> {
    pub(super) fn new(shared: &Arc<Shared<T, Req>>, probes: LoadProbes<S>) -> Self {
        Self {
            shared: Arc::downgrade(shared),
            service: probes.service,
            timeout: probes.timeout.min(CENTURY),
            max_under_way: probes.max_under_way,
            under_way: AtomicUsize::new(0),
        }
    }

    /// Counts one in, if there is room for it.
    fn begin(self: &Arc<Self>) -> Option<UnderWay<T, Req, S>> {
        let more = |count: usize| (count < self.max_under_way).then_some(count + 1);
        // `Relaxed`: nothing else hangs on the count.
        let begun = self
            .under_way
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        begun.ok().map(|_| UnderWay(Arc::clone(self)))
    }
}

impl<T, Req, S> Probing for Prober<T, Req, S>
where
    T: Value,
    Req: 'static,
    S: Service<T, Response = LoadReport> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    fn send(self: Arc<Self>, cx: &picker::Context) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        for backend in cx.probes() {
            let Some(under_way) = self.begin() else {
                return;
            };
            runtime.spawn(under_way.ask(backend));
        }
    }
}

impl<T, Req, S> UnderWay<T, Req, S>
where
    T: Value,
    Req: 'static,
    S: Service<T, Response = LoadReport> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    /// Everything of the user's runs in here, so that its panics stay in the task.
    async fn ask(self, backend: Handle) {
        let Some(value) = self.value_of(backend) else {
            return;
        };
        let asking = self.0.service.clone().oneshot(value);
        if let Ok(Ok(report)) = tokio::time::timeout(self.0.timeout, asking).await {
            self.tell(backend, report);
        }
    }

    fn value_of(&self, backend: Handle) -> Option<T> {
        let shared = self.0.shared.upgrade()?;
        let view = shared.view();
        let member = view.snapshot.member_of(backend)?;
        Some(member.value.clone())
    }

    fn tell(&self, backend: Handle, report: LoadReport) {
        if let Some(shared) = self.0.shared.upgrade() {
            let answer = Observation::new(now(), Event::Probed(report));
            shared.view().tell(backend, &answer);
        }
    }
}

impl<T, Req, S> Drop for UnderWay<T, Req, S> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
