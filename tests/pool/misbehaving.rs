//! Values whose `Clone` panics or whose `Drop` uses the pool: the pool stays whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use evenkeel::backend::BackendInfo;
use evenkeel::picker::{Context, ExactLeastRequests, Ordered, Selector, Update};
use evenkeel::{Backend, BackendSet, Picker, Pool};

use crate::ids;

/// Panics when it is cloned, while it is told to.
struct Fragile(Arc<AtomicBool>);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(
            !self.0.load(Ordering::Relaxed),
            "cloned in the wrong moment"
        );
        Self(Arc::clone(&self.0))
    }
}

/// A pool of three, the members of which have just been published and so are copied at a change.
fn fragile() -> (Pool<Fragile>, Arc<AtomicBool>) {
    let broken = Arc::<AtomicBool>::default();
    let backends = ["a", "b", "c"].map(|id| Backend::new(id, Fragile(Arc::clone(&broken))));
    (Pool::from(backends), broken)
}

#[test]
fn a_change_that_panics_leaves_the_pool_as_it_was() {
    let (pool, broken) = fragile();
    broken.store(true, Ordering::Relaxed);
    assert!(catch_unwind(AssertUnwindSafe(|| pool.remove("a"))).is_err());
    broken.store(false, Ordering::Relaxed);
    assert_eq!(ids(&pool), ["a", "b", "c"]);
    assert!(pool.get("a").is_some());
    assert!(pool.remove("a"));
    pool.insert(Backend::new("a", Fragile(broken)));
    assert_eq!(ids(&pool), ["b", "c", "a"]);
}

#[test]
fn an_edit_that_panics_half_way_loses_no_backend_and_counts_none_twice() {
    let (pool, broken) = fragile();
    // The pool keeps members in pieces of 128. So the new one gets a piece of its own, and it is
    // the removal that copies.
    let many = (0..125).map(|n| Backend::new(n.to_string(), Fragile(Arc::clone(&broken))));
    pool.edit(|edit| many.for_each(|backend| edit.insert(backend)));
    broken.store(true, Ordering::Relaxed);
    let edit = || {
        pool.edit(|edit| {
            edit.remove("no such backend");
            edit.insert(Backend::new("new", Fragile(Arc::clone(&broken))));
            edit.remove("b");
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(edit)).is_err());
    broken.store(false, Ordering::Relaxed);
    pool.set_weight("c", 2);
    let listed = ids(&pool);
    assert_eq!(
        pool.get("new").is_some(),
        listed.contains(&"new".to_owned())
    );
    assert_eq!(listed.len(), pool.len());
    assert!(listed.iter().all(|id| pool.get(id).is_some()));
    for id in &listed {
        assert!(pool.remove(id), "{id} is listed twice");
    }
    assert!(pool.is_empty());
}

/// Takes itself out of the list of those that are there, when it is dropped.
#[derive(Clone)]
struct Deregisters(#[allow(dead_code, reason = "its drop is what counts")] Arc<Registration>);

struct Registration(OnceLock<Pool<Deregisters>>);

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(pool) = self.0.get() {
            pool.remove("other");
        }
    }
}

#[test]
fn a_value_whose_drop_uses_the_pool_does_not_deadlock() {
    let registration = || Deregisters(Arc::new(Registration(OnceLock::new())));
    let pool = Pool::new();
    let last = registration();
    assert!(last.0.0.set(pool.clone()).is_ok());
    pool.insert(Backend::new("other", registration()));
    // In and out within one edit, so that nobody else has it.
    pool.edit(|edit| {
        edit.insert(Backend::new("brief", last));
        edit.remove("brief");
    });
    assert!(pool.is_empty());
}

impl PartialEq for Deregisters {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[test]
fn nor_does_one_that_replace_all_has_no_use_for() {
    let registration = || Deregisters(Arc::new(Registration(OnceLock::new())));
    let pool = Pool::from([Backend::new("a", registration())]);
    let same = registration();
    assert!(same.0.0.set(pool.clone()).is_ok());
    assert!(!pool.replace_all([Backend::new("a", same)]).any());
}

#[test]
fn the_index_survives_a_change_that_panics() {
    let broken = Arc::<AtomicBool>::default();
    let backend = |id: &str| Backend::new(id, Fragile(Arc::clone(&broken)));
    let pool = Pool::from([backend("a"), backend("b")]);
    let selector = Selector::<_, ()>::new(pool.clone(), ExactLeastRequests::new());
    broken.store(true, Ordering::Relaxed);
    assert!(catch_unwind(AssertUnwindSafe(|| pool.insert(backend("c")))).is_err());
    broken.store(false, Ordering::Relaxed);
    pool.insert(backend("c"));
    let _held: Vec<_> = (0..30).map(|_| selector.select(&())).collect();
    let loads: Vec<_> = pool.list().iter().map(BackendInfo::in_flight).collect();
    assert_eq!(loads, [10, 10, 10]);
}

/// Takes the first, and panics when it is to prepare for two.
struct AfraidOfTwo;

impl Picker<()> for AfraidOfTwo {
    fn pick(&self, _: &dyn BackendSet, (): &(), _: &mut Context) -> Option<usize> {
        Some(0)
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<()>>> {
        assert!(update.members().len() != 2, "two");
        None
    }
}

#[test]
fn a_picker_that_panics_keeps_a_change_from_no_other() {
    let pool = Pool::from(["a", "b", "c"].map(|id| Backend::new(id, ())));
    let _afraid = Selector::<_, ()>::new(pool.clone(), AfraidOfTwo);
    let other = Selector::<_, ()>::new(pool.clone(), Ordered::new());
    assert!(catch_unwind(AssertUnwindSafe(|| pool.remove("a"))).is_err());
    let ((), completion) = other.select(&()).expect("two are eligible");
    assert_eq!(completion.backend(), "b");
}
