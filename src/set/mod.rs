//! The set of backends: what pickers read, and the membership that is changed live.
//!
//! [`BackendSet`] is the one trait that a [`Picker`](crate::Picker) reads. [`Pool`] is the
//! library's own membership; it publishes an immutable snapshot for each change, which implements
//! the trait. So do slices, vectors and arrays of anything that is a [`Candidate`].

mod book;
mod chunks;
mod edit;
mod events;
mod guarded;
mod index;
mod limits;
mod list;
mod lowest;
mod masked;
mod member;
mod members;
mod orders;
mod pool;
mod rules;
#[cfg(feature = "serde")]
mod serialize;
mod slice;
mod slow_start;
mod snapshot;
mod sources;
mod states;
mod status;
mod subscribers;
mod subset;
mod table;
mod tally;
mod tiers;
mod watched;
mod weak_pool;
mod zones;

use std::time::{Duration, Instant};

pub(crate) use self::chunks::Chunks;
pub use self::edit::{Changes, Edit};
pub use self::events::{Events, Happened, PoolEvent};
pub(crate) use self::guarded::{Guarded, Scaled};
pub use self::limits::Limits;
pub(crate) use self::list::List;
pub use self::masked::Masked;
pub(crate) use self::member::Member;
pub use self::pool::Pool;
pub use self::rules::Rules;
#[cfg(feature = "status")]
pub(crate) use self::serialize::PoolView;
pub use self::slice::Candidate;
pub use self::slow_start::SlowStart;
pub(crate) use self::snapshot::{AllMembers, Snapshot};
#[cfg(feature = "tower")]
pub(crate) use self::sources::Feeder;
pub use self::sources::{SourceState, SourceStatus};
pub use self::status::{PoolStatus, TierStatus};
pub(crate) use self::subscribers::Subscriber;
pub use self::subset::Subset;
pub(crate) use self::watched::{Verdict, Watching};
pub use self::weak_pool::WeakPool;

use crate::backend::Handle;
use crate::random::below;

/// The backends that a pick may choose from, as a picker sees them.
///
/// The eligible backends are numbered from 0 to [`len`](Self::len)` - 1`. Such a number is a
/// *rank*, and a picker answers with one. What is drained, ejected, of weight 0 or already tried by
/// this request is not in the set at all, so a picker needs no rule for it.
///
/// Only [`len`](Self::len) and [`id`](Self::id) must be written; the rest has a default that means
/// "nothing known". A rank that is out of range gives such a default too; it never panics in the
/// sets of this crate.
///
/// # Ranks, slots, handles
///
/// A rank is good for one pick. To remember a backend from one pick to the next, use its
/// [`handle`](Self::handle). Its slot leads back to the rank with [`rank_of`](Self::rank_of), which
/// is how tables that were [prepared](crate::Picker::prepare) for all members step over those that
/// are out.
///
/// # Examples
///
/// A set of your own:
///
/// ```
/// use evenkeel::picker::{Context, LeastRequests};
/// use evenkeel::{BackendSet, Picker};
///
/// /// Shards of a job queue, with the number of jobs waiting on each.
/// struct Shards(Vec<(String, usize)>);
///
/// impl BackendSet for Shards {
///     fn len(&self) -> usize {
///         self.0.len()
///     }
///     fn id(&self, rank: usize) -> &str {
///         self.0.get(rank).map_or("", |shard| &shard.0)
///     }
///     fn in_flight(&self, rank: usize) -> usize {
///         self.0.get(rank).map_or(0, |shard| shard.1)
///     }
/// }
///
/// let shards = Shards(vec![("a".into(), 7), ("b".into(), 2)]);
/// let picked = LeastRequests::new().pick(&shards, &(), &mut Context::new());
/// assert_eq!(picked, Some(1));
/// ```
pub trait BackendSet {
    /// Returns how many backends can be picked.
    fn len(&self) -> usize;

    /// Returns the id of the backend at `rank`.
    fn id(&self, rank: usize) -> &str;

    /// Returns whether no backend can be picked.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the weight: its share relative to the others. Default 1.
    ///
    /// In a pool's set it is never 0. In a set of your own, 0 means "not to be picked"; a picker
    /// that was [prepared](crate::Picker::prepare) goes by the weights that it saw then.
    fn weight(&self, rank: usize) -> u32 {
        let _ = rank;
        1
    }

    /// Returns how many requests are in flight at the backend. Default 0.
    fn in_flight(&self, rank: usize) -> usize {
        let _ = rank;
        0
    }

    /// Returns the latency to expect from the backend at `now`: the time to a response head, with
    /// failures penalised and hanging requests counted. `None`, the default, means never measured.
    fn latency(&self, rank: usize, now: Instant) -> Option<Duration> {
        let _ = (rank, now);
        None
    }

    /// Returns the priority, the failover tier; 0, the default, is the first.
    fn priority(&self, rank: usize) -> u32 {
        let _ = rank;
        0
    }

    /// Returns the zone, the locality.
    fn zone(&self, rank: usize) -> Option<&str> {
        let _ = rank;
        None
    }

    /// Returns the name under which [hash pickers](crate::picker::hash) place the backend. Default:
    /// its id.
    fn hash_key(&self, rank: usize) -> &str {
        self.id(rank)
    }

    /// Returns one entry of the backend's metadata.
    fn metadata(&self, rank: usize, key: &str) -> Option<&str> {
        let _ = (rank, key);
        None
    }

    /// Returns the handle of the backend at `rank`. Default: its slot is the rank.
    fn handle(&self, rank: usize) -> Handle {
        Handle::of_slot(rank)
    }

    /// Returns the slot of the handle of the backend at `rank`. Default: that of
    /// [`handle`](Self::handle), which may be slower to find.
    fn slot(&self, rank: usize) -> usize {
        self.handle(rank).slot()
    }

    /// Returns the rank of the backend whose handle has this slot, or `None` when it cannot be
    /// picked now. Default: the slot is the rank.
    fn rank_of(&self, slot: usize) -> Option<usize> {
        (slot < self.len()).then_some(slot)
    }

    /// Returns the sum of all weights. The default adds them up: O(n).
    fn total_weight(&self) -> u64 {
        (0..self.len())
            .map(|rank| u64::from(self.weight(rank)))
            .sum()
    }

    /// Returns how many requests are in flight at all backends together. The default adds them up:
    /// O(n).
    fn total_in_flight(&self) -> usize {
        let loads = (0..self.len()).map(|rank| self.in_flight(rank));
        loads.fold(0, usize::saturating_add)
    }

    /// Returns the backend with the fewest requests in flight for its weight, the true minimum
    /// over all. Backends that tie are chosen between by `random`, in proportion to their weights.
    ///
    /// The default looks at each backend once, and at some of them twice: O(n). A set that keeps
    /// an index can do better.
    fn least_in_flight(&self, random: u64) -> Option<usize> {
        least_in_flight(self, random, |rank| self.weight(rank))
    }
}

/// `a` requests for a weight of `v` is less than `b` requests for a weight of `w`.
pub(crate) fn less_loaded(a: usize, v: u32, b: usize, w: u32) -> std::cmp::Ordering {
    // In-flight counts are far below 2^32 for each unit of weight, so the products fit.
    let left = (a as u64).saturating_mul(u64::from(w));
    let right = (b as u64).saturating_mul(u64::from(v));
    left.cmp(&right)
}

fn least_in_flight<S: BackendSet + ?Sized>(
    set: &S,
    random: u64,
    weight_of: impl Fn(usize) -> u32,
) -> Option<usize> {
    // One pass finds the minimum and the total weight of those that share it; the second walks to
    // the chosen one of them. A count that changes in between at worst shifts the choice.
    let mut best: Option<(usize, usize, u32)> = None;
    let mut tied = 0u64;
    for rank in 0..set.len() {
        let weight = weight_of(rank);
        if weight == 0 {
            continue;
        }
        let load = set.in_flight(rank);
        let order = match best {
            None => std::cmp::Ordering::Less,
            Some((_, least, w)) => less_loaded(load, weight, least, w),
        };
        match order {
            std::cmp::Ordering::Less => {
                best = Some((rank, load, weight));
                tied = u64::from(weight);
            }
            std::cmp::Ordering::Equal => tied += u64::from(weight),
            std::cmp::Ordering::Greater => {}
        }
    }
    let (first, least, w) = best?;
    let mut left = below(random, tied);
    for rank in first..set.len() {
        let weight = weight_of(rank);
        if weight > 0 && less_loaded(set.in_flight(rank), weight, least, w).is_le() {
            match left.checked_sub(u64::from(weight)) {
                Some(rest) => left = rest,
                None => return Some(rank),
            }
        }
    }
    Some(first)
}
