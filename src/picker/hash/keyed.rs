use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::bound::{Bound, Limit};
use super::place::Places;
use super::ranking::Ranking;
use super::table::{Found, Table};
use super::{Key, KeyBytes};
use crate::InvalidSetting;
use crate::backend::{Handle, Observation};
use crate::picker::{Context, LeastRequests, Needs, Picker, Update};
use crate::set::BackendSet;

/// Picks by key: requests with the same key go to the same backend, by one of the algorithms of
/// this [module](super).
///
/// # Stepping over
///
/// Tables are built over all members, eligible or not. Each key has an order of choices of its own,
/// and goes to the first that can be picked. So while a backend is drained or ejected its keys are
/// divided over all others, no other key moves, and they come back with it. A retry goes to the
/// key's next choice.
///
/// # Changes
///
/// A table is built by whoever changes the pool, before the change's call returns, and only if
/// members, weights or hash keys have changed. What that costs stands with each table: most take a
/// few milliseconds, large rings some hundred.
///
/// A [balance](crate::Balance) and a [`Selector`](crate::picker::Selector) prepare their picker.
/// One that is used in another way is not: within a closure, or by
/// [`Pool::start`](crate::Pool::start). Then call [`prepare`](Picker::prepare) yourself after each
/// change, or, around it, write a [`Picker`] that does: each pick of a picker that was never
/// prepared builds a table for itself, which takes a thousand times as long.
///
/// # No key
///
/// Requests without a key, or with an empty one, are picked for by the
/// [fallback](Self::fallback).
///
/// # Examples
///
/// ```
/// use evenkeel::Pool;
/// use evenkeel::http::{BalanceLayer, key};
/// use evenkeel::picker::RoundRobin;
/// use evenkeel::picker::hash::{Keyed, Maglev};
///
/// let pool = Pool::of_addresses(["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"])?;
/// let picker = Keyed::new(Maglev::new(), (key::header("x-user")?, key::cookie("user")?))
///     .bounded_load(1.25)?
///     .fallback(RoundRobin::new());
/// let layer = BalanceLayer::<String>::new(pool, picker);
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct Keyed<T: Table, K, F = LeastRequests> {
    table: T,
    key: Arc<K>,
    bound: Option<Bound>,
    fallback: Arc<F>,
    prepared: Option<Arc<Prepared<T>>>,
    /// What it was before, while some of the members start slowly: where keys are that these have
    /// not taken over yet.
    before: Option<Arc<Prepared<T>>>,
}

/// What was built for a set of members.
struct Prepared<T: Table> {
    places: Places,
    map: T::Map,
    ranking: Ranking,
    /// Which of a pool's layouts it was built for.
    layout: Option<u64>,
}

impl<T: Table, K> Keyed<T, K> {
    /// Places keys by an algorithm. Requests without a key go to a backend with few requests.
    pub fn new(table: T, key: K) -> Self {
        Self {
            table,
            key: Arc::new(key),
            bound: None,
            fallback: Arc::new(LeastRequests::new()),
            prepared: None,
            before: None,
        }
    }
}

impl<T: Table, K, F> Keyed<T, K, F> {
    /// Bounds the load of each backend to `factor` times its share: with c = `factor`, no request
    /// is assigned that would take a backend above ⌈c × (total + 1) × its weight / all weights⌉
    /// requests in flight, where total, and all weights, are those of the backends that can be
    /// picked. What does not fit goes to the key's next choices, so that it has a home as well.
    /// Default: no bound.
    ///
    /// 1.25 is a usual value: loads are within a quarter of even, and most requests still go to
    /// their own backend. 1 is as even as can be. It is kept to six decimals.
    ///
    /// Both counts are read at the assignment. It is exact for one thread; when t threads assign at
    /// once, a backend can be up to t - 1 above. The pool counts the total for it, in stripes that
    /// are read until two readings agree, or four times at most: where so much begins and ends at
    /// once that they never do, the total is an estimate, and so is the bound.
    ///
    /// It costs each request about 5 ns, and each pick whose backend is not idle about 12. In a set
    /// of your own the total is added up: O(n), unless the set does better.
    ///
    /// # Errors
    ///
    /// When the factor is less than 1, more than 1,000,000, or not a number.
    ///
    /// # References
    ///
    /// Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::picker::hash::{Keyed, Maglev, WholeRequest};
    ///
    /// let error = Keyed::new(Maglev::new(), WholeRequest).bounded_load(0.5).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "invalid load factor 0.5: expected a number from 1 to 1000000, such as 1.25",
    /// );
    /// ```
    pub fn bounded_load(mut self, factor: f64) -> Result<Self, InvalidSetting> {
        self.bound = Some(Bound::new(factor)?);
        Ok(self)
    }

    /// Sets the picker for requests without a key. Default: [`LeastRequests`].
    pub fn fallback<P>(self, fallback: P) -> Keyed<T, K, P> {
        Keyed {
            table: self.table,
            key: self.key,
            bound: self.bound,
            fallback: Arc::new(fallback),
            prepared: self.prepared,
            before: self.before,
        }
    }
}

impl<T: Table> Prepared<T> {
    fn new(table: &T, places: Places, layout: Option<u64>) -> Self {
        Self {
            map: table.build(&places.list),
            ranking: Ranking::of(&places.list),
            places,
            layout,
        }
    }

    /// Returns the rank of the key's first choice that can be picked and is within its bound.
    #[inline]
    fn find(&self, set: &dyn BackendSet, key: &[u8], bound: Option<Bound>) -> Option<usize> {
        match bound {
            None => self.first(set, key, |_| true),
            Some(bound) => self.first_within(set, key, bound),
        }
    }

    fn first_within(&self, set: &dyn BackendSet, key: &[u8], bound: Bound) -> Option<usize> {
        // There always is one with room, unless loads change meanwhile.
        const ROUNDS: usize = 3;
        for _ in 0..ROUNDS {
            let mut limit: Limit<'_> = bound.on(set);
            if let Some(rank) = self.first(set, key, |rank| limit.allows(rank)) {
                return Some(rank);
            }
        }
        None
    }

    #[inline]
    fn first(
        &self,
        set: &dyn BackendSet,
        key: &[u8],
        mut allows: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let mut try_slot = |slot: u32| {
            let rank = set.rank_of(slot as usize)?;
            allows(rank).then_some(rank)
        };
        let mut accept =
            |slot| try_slot(slot).or_else(|| self.places.alternates(slot).find_map(&mut try_slot));
        match T::find(&self.map, key, &mut accept) {
            Found::Rank(rank) => Some(rank),
            Found::Nobody(hash) => self.ranking.first(hash, accept),
        }
    }
}

impl<Req, T, K, F> Picker<Req> for Keyed<T, K, F>
where
    Req: ?Sized + 'static,
    T: Table,
    K: Key<Req> + 'static,
    F: Picker<Req> + 'static,
{
    #[inline]
    fn pick(&self, set: &dyn BackendSet, request: &Req, cx: &mut Context) -> Option<usize> {
        // Looked at where it is: a copy of what has just been written piece by piece makes the
        // processor wait.
        let key = self.key.of(request);
        let key = key.as_ref().map_or(&[][..], KeyBytes::as_bytes);
        if key.is_empty() {
            return self.fallback.pick(set, request, cx);
        }
        cx.set_keyed();
        let before = self.before.as_ref().filter(|_| cx.is_passed_over());
        if let Some(rank) = before.and_then(|before| before.find(set, key, self.bound)) {
            return Some(rank);
        }
        let found = match &self.prepared {
            Some(prepared) => prepared.find(set, key, self.bound),
            None => Prepared::new(&self.table, Places::of(set), None).find(set, key, self.bound),
        };
        // In a set that the table was not built for there may be nobody whom it knows.
        found.or_else(|| set.least_in_flight(cx.random()))
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        let fallback = self.fallback.prepare(update);
        let same = |prepared: &&Arc<Prepared<T>>| {
            prepared.layout.is_some() && prepared.layout == update.layout()
        };
        let prepared = if let Some(prepared) = self.prepared.as_ref().filter(same) {
            Arc::clone(prepared)
        } else {
            let places = Places::of(update.members());
            match &self.prepared {
                Some(prepared) if prepared.places == places => Arc::clone(prepared),
                _ => Arc::new(Prepared::new(&self.table, places, update.layout())),
            }
        };
        let before = match &self.prepared {
            _ if !update.is_guarded() => None,
            Some(known) if !Arc::ptr_eq(known, &prepared) => Some(Arc::clone(known)),
            _ => self.before.clone(),
        };
        let fallback =
            fallback.unwrap_or_else(|| Arc::clone(&self.fallback) as Arc<dyn Picker<Req>>);
        Some(Arc::new(Keyed {
            table: self.table.clone(),
            key: Arc::clone(&self.key),
            bound: self.bound,
            fallback: Arc::new(fallback),
            prepared: Some(prepared),
            before,
        }))
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        self.fallback.observe(backend, observation);
    }

    fn affinity(&self, request: &Req) -> Option<u64> {
        let key = self.key.of(request);
        match key.as_ref().map_or(&[][..], KeyBytes::as_bytes) {
            [] => self.fallback.affinity(request),
            key => Some(xxh3_64(key)),
        }
    }

    fn needs(&self) -> Needs {
        let own = self.bound.map_or(Needs::NOTHING, |_| Needs::LOAD_TOTAL);
        own | self.fallback.needs()
    }

    fn rule(&self) -> &'static str {
        "the place of the request's key, and the next one if that is out or full; another picker's choice without a key"
    }
}

impl<T: Table, K, F> fmt::Debug for Keyed<T, K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed")
            .field("table", &self.table)
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}
