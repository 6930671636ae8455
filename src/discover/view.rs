use std::collections::HashMap;
use std::sync::Arc;

use super::pending::Said;
use crate::backend::Backend;
use crate::set::Subset;

/// What one source has in a pool, and what it says there is, where that is not the same.
pub(super) struct View<V> {
    /// What the pool has of it.
    fed: HashMap<Arc<str>, Backend<V>>,
    says: Says<V>,
    allow_empty: bool,
    same: fn(&V, &V) -> bool,
}

enum Says<V> {
    /// What the pool has of it.
    TheSame,
    /// There is nobody; the pool keeps the last good set.
    Nothing,
    /// More than what the pool has, which is a subset of it.
    More(Part<V>),
}

struct Part<V> {
    subset: Subset,
    size: usize,
    all: HashMap<Arc<str>, Backend<V>>,
}

/// What is to be done to a pool.
pub(super) enum Deed<V> {
    Put {
        backend: Backend<V>,
        /// Whether the pool needs another value for it than it has, if it has one.
        other_value: bool,
    },
    Remove(Arc<str>),
}

/// A source says that there is nobody, which is not to be believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Empty;

impl<V: Clone> View<V> {
    pub(super) fn new(subset: Option<Subset>, allow_empty: bool, same: fn(&V, &V) -> bool) -> Self {
        let part = |subset: Subset| Part {
            size: subset.size(),
            subset,
            all: HashMap::new(),
        };
        Self {
            fed: HashMap::new(),
            says: subset.map_or(Says::TheSame, |subset| Says::More(part(subset))),
            allow_empty,
            same,
        }
    }

    /// How many the pool has of it.
    pub(super) fn len(&self) -> usize {
        self.fed.len()
    }

    /// What the pool has of it.
    pub(super) fn fed(&self) -> impl Iterator<Item = &Backend<V>> {
        self.fed.values()
    }

    /// Takes what the source says: with `whole`, all that there is. Those of whom it says something
    /// that is no good stay as they are.
    pub(super) fn take(
        &mut self,
        whole: bool,
        mut said: Vec<Said<V>>,
        no_good: impl Iterator<Item = Arc<str>>,
    ) -> Result<Vec<Deed<V>>, Empty> {
        if whole && !said.is_empty() {
            let known = match &self.says {
                Says::More(part) => &part.all,
                Says::TheSame | Says::Nothing => &self.fed,
            };
            let stays = |id: Arc<str>| {
                let known = known.get(&id)?.clone();
                Some((id, Some(known)))
            };
            let stay: Vec<Said<V>> = no_good.filter_map(stays).collect();
            // First, so that what is said of them counts more.
            said.splice(0..0, stay);
        }
        match &mut self.says {
            Says::More(part) => {
                if whole {
                    part.all.clear();
                }
                for (id, backend) in said {
                    match backend {
                        Some(backend) => part.all.insert(id, backend),
                        None => part.all.remove(&id),
                    };
                }
                if part.all.is_empty() && !self.allow_empty {
                    return Err(Empty);
                }
                let chosen = part.chosen();
                Ok(self.become_all_of(chosen))
            }
            Says::TheSame if !whole => self.change(said),
            Says::TheSame | Says::Nothing => {
                let all: Vec<_> = said
                    .into_iter()
                    .filter_map(|(_, backend)| backend)
                    .collect();
                if all.is_empty() && !self.allow_empty {
                    self.says = Says::Nothing;
                    return Err(Empty);
                }
                self.says = Says::TheSame;
                Ok(self.become_all_of(all))
            }
        }
    }

    /// Has so many of what the source says, if it is to be a subset.
    pub(super) fn resize(&mut self, size: usize) -> Vec<Deed<V>> {
        let Says::More(part) = &mut self.says else {
            return Vec::new();
        };
        part.size = size;
        if part.all.is_empty() {
            return Vec::new();
        }
        let chosen = part.chosen();
        self.become_all_of(chosen)
    }

    fn change(&mut self, said: Vec<Said<V>>) -> Result<Vec<Deed<V>>, Empty> {
        let any_left = || {
            let stay = said.iter().any(|(_, backend)| backend.is_some());
            let leave = said.iter().filter(|(id, _)| self.fed.contains_key(id));
            stay || leave.count() < self.fed.len()
        };
        if !self.allow_empty && !any_left() {
            self.says = Says::Nothing;
            return Err(Empty);
        }
        let mut deeds = Vec::with_capacity(said.len());
        for (id, backend) in said {
            match backend {
                Some(backend) => self.put(backend, &mut deeds),
                None => {
                    if self.fed.remove(&id).is_some() {
                        deeds.push(Deed::Remove(id));
                    }
                }
            }
        }
        Ok(deeds)
    }

    fn become_all_of(&mut self, all: Vec<Backend<V>>) -> Vec<Deed<V>> {
        let mut deeds = Vec::new();
        // Who leaves is what is left of the old ones when all others are taken out.
        let mut old = std::mem::take(&mut self.fed);
        self.fed.reserve(all.len());
        for backend in all {
            if let Some((id, known)) = old.remove_entry(&backend.id) {
                self.fed.insert(id, known);
            }
            self.put(backend, &mut deeds);
        }
        deeds.extend(old.into_keys().map(Deed::Remove));
        deeds
    }

    fn put(&mut self, backend: Backend<V>, deeds: &mut Vec<Deed<V>>) {
        let known = self.fed.get(&backend.id);
        let other_value = known.is_none_or(|known| !(self.same)(&known.value, &backend.value));
        if other_value || known.is_none_or(|known| known.settings != backend.settings) {
            self.fed.insert(Arc::clone(&backend.id), backend.clone());
            deeds.push(Deed::Put {
                backend,
                other_value,
            });
        }
    }
}

impl<V: Clone> Part<V> {
    fn chosen(&self) -> Vec<Backend<V>> {
        let chosen = self.subset.choose_some(self.all.values(), self.size);
        chosen.into_iter().cloned().collect()
    }
}
