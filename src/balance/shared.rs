use std::sync::Arc;

use tokio::sync::Notify;

use crate::backend::Value;
use crate::picker::{Core, OnChange, Picker};
use crate::set::Pool;

/// What all clones of a balance share; requests that wait for a change are woken by it.
pub(crate) type Shared<T, Req> = Core<T, Req, Arc<Notify>>;

pub(crate) fn share<T, Req>(
    pool: Pool<T>,
    picker: impl Picker<Req> + 'static,
) -> Arc<Shared<T, Req>>
where
    T: Value,
    Req: 'static,
{
    Core::new(pool, Arc::new(picker), Arc::new(Notify::new()))
}

impl OnChange for Arc<Notify> {
    fn changed(&self) {
        self.notify_waiters();
    }
}
