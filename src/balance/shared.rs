use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use super::probing::Probing;
use crate::backend::Value;
use crate::picker::{self, Core, OnChange, Picker};
use crate::set::Pool;

/// What all clones of a balance share.
pub(crate) type Shared<T, Req> = Core<T, Req, Ties>;

/// What ties a balance to the world around it.
#[derive(Default)]
pub(crate) struct Ties {
    /// Requests that wait for a change are woken by it.
    changed: Arc<Notify>,
    /// Sends load probes, if anybody does.
    probing: OnceLock<Arc<dyn Probing>>,
}

pub(crate) fn share<T, Req>(
    pool: Pool<T>,
    picker: impl Picker<Req> + 'static,
) -> Arc<Shared<T, Req>>
where
    T: Value,
    Req: 'static,
{
    Core::new(pool, Arc::new(picker), Ties::default())
}

impl<T, Req: ?Sized> Core<T, Req, Ties> {
    pub(super) fn changed(&self) -> &Arc<Notify> {
        &self.on_change().changed
    }

    /// Only the first counts.
    pub(super) fn set_probing(&self, probing: Arc<dyn Probing>) {
        let _ = self.on_change().probing.set(probing);
    }

    /// Whether somebody sends load probes.
    #[inline]
    pub(super) fn is_probing(&self) -> bool {
        self.on_change().probing.get().is_some()
    }

    /// The context of a pick, in which backends can be named for probes if somebody sends them.
    pub(super) fn pick_context(&self) -> picker::Context {
        let cx = self.context();
        if self.is_probing() {
            cx.with_probes()
        } else {
            cx
        }
    }

    /// Sends the probes that were asked for.
    pub(super) fn send_probes(&self, cx: &picker::Context) {
        if cx.probes().next().is_some()
            && let Some(probing) = self.on_change().probing.get()
        {
            Arc::clone(probing).send(cx);
        }
    }
}

impl OnChange for Ties {
    fn changed(&self) {
        self.changed.notify_waiters();
    }
}
