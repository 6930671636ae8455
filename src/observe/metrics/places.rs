use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use metrics::Label;

use super::names::{OTHER, describe};
use super::series::Series;
use crate::backend::{BackendInfo, Handle};
use crate::set::Chunks;

/// Which backend counts in which series.
pub(super) struct Places {
    /// By slot. What is read for each event.
    table: ArcSwap<Chunks<Place>>,
    /// By id. Whoever is not in the table is looked up here.
    registry: Mutex<Registry>,
    common: Box<[Label]>,
    max: usize,
}

#[derive(Clone)]
struct Place {
    backend: Handle,
    series: Arc<Series>,
}

#[derive(Default)]
struct Registry {
    own: HashMap<Arc<str>, Own>,
    other: Option<Arc<Series>>,
    round: u64,
}

/// The series of one id.
struct Own {
    series: Arc<Series>,
    /// When it was a member last.
    round: u64,
}

/// No pool has so many at once; what pretends to is looked up by its id.
const SLOTS: usize = 1 << 24;

impl Places {
    /// Up to `max` ids have series of their own.
    pub(super) fn new(max: usize, common: Box<[Label]>) -> Self {
        Self {
            table: ArcSwap::from_pointee(Chunks::new()),
            registry: Mutex::default(),
            common,
            max,
        }
    }

    /// The labels of all.
    pub(super) fn common(&self) -> &[Label] {
        &self.common
    }

    /// Does something with the series of a backend.
    #[inline]
    pub(super) fn with<R>(&self, id: &str, backend: Handle, f: impl FnOnce(&Series) -> R) -> R {
        let table = self.table.load();
        match table.get(backend.slot()) {
            Some(place) if place.backend == backend => f(&place.series),
            _ => f(&self.find(id, backend)),
        }
    }

    /// The same by the id alone.
    pub(super) fn with_id(&self, id: &str, f: impl FnOnce(&Series)) {
        let series = self.registry().series(id, self.max, &self.common);
        f(&series);
    }

    /// Looks it up by its id, and enters it in the table, from which it may push who was there
    /// before. What comes late from that one is looked up each time.
    #[cold]
    fn find(&self, id: &str, backend: Handle) -> Arc<Series> {
        let mut registry = self.registry();
        let series = registry.series(id, self.max, &self.common);
        let table = self.table.load();
        let slot = backend.slot();
        let is_newer = table.get(slot).is_none_or(|place| place.backend < backend);
        if slot < SLOTS && is_newer {
            let mut table = Chunks::clone(&table);
            let place = Place {
                backend,
                series: Arc::clone(&series),
            };
            table.replace(slot, Some(place));
            self.table.store(Arc::new(table));
        }
        series
    }

    /// Sets what is known of the members, and of those that have left since the last time.
    pub(super) fn set(&self, members: &[BackendInfo]) {
        let mut registry = self.registry();
        registry.round += 1;
        let round = registry.round;
        let mut others = (0, 0);
        for member in members {
            let (in_flight, eligible) = (member.in_flight(), usize::from(member.is_eligible()));
            registry.series(member.id(), self.max, &self.common);
            if let Some(own) = registry.own.get_mut(member.id()) {
                own.round = round;
                own.series.set(in_flight, eligible);
            } else {
                others = (others.0 + in_flight, others.1 + eligible);
            }
        }
        if let Some(other) = &registry.other {
            other.set(others.0, others.1);
        }
        for own in registry.own.values_mut() {
            if own.round != round && own.round > 0 {
                own.round = 0;
                own.series.set(0, 0);
            }
        }
    }

    /// Gives up the series of an id.
    pub(super) fn release(&self, id: &str) -> bool {
        let mut registry = self.registry();
        let had = registry.own.remove(id).is_some();
        if had {
            // All are looked up again; whoever was among the others may have the place.
            self.table.store(Arc::new(Chunks::new()));
        }
        had
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn series(&mut self, id: &str, max: usize, common: &[Label]) -> Arc<Series> {
        if let Some(own) = self.own.get(id) {
            return Arc::clone(&own.series);
        }
        if self.own.is_empty() && self.other.is_none() {
            describe();
        }
        if self.own.len() >= max {
            let other = self
                .other
                .get_or_insert_with(|| Arc::new(Series::of(OTHER, common)));
            return Arc::clone(other);
        }
        let series = Arc::new(Series::of(id, common));
        let own = Own {
            series: Arc::clone(&series),
            round: 0,
        };
        self.own.insert(id.into(), own);
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_heard_of_once_is_found_without_the_lock() {
        let places = Places::new(1, Box::default());
        let (own, other) = (Handle::of_slot(300), Handle::of_slot(2));
        places.with("a", own, |_| ());
        places.with("b", other, |_| ());
        let table = places.table.load();
        for backend in [own, other] {
            let place = table.get(backend.slot());
            assert!(place.is_some_and(|place| place.backend == backend));
        }
        // A handle that no pool gives out makes no table of its size.
        places.with("c", Handle::of_slot(usize::MAX), |_| ());
        assert!(places.table.load().get(usize::MAX).is_none());
    }
}
