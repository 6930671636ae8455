use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::sample::by_weight;
use super::{Context, Needs, Picker, Update};
use crate::set::BackendSet;

/// Picks one backend after the other, each as often as its weight says, and evenly interleaved.
///
/// # When to use
///
/// When backends are of different sizes, requests cost much the same, and shares should be right at
/// any moment: weights 5, 1, 1 give a a b a c a a, never a a a a a b c.
///
/// # Algorithm
///
/// The weights are divided by their greatest common divisor. Then, by their sum:
///
/// * *All weights equal*: plain round robin.
/// * *Up to 4,096*: the whole cycle of NGINX's smooth weighted round robin, computed once for each
///   change of the set. A backend's count is never more than 2 requests from its ideal.
/// * *Larger*: the golden-ratio sequence `u = n × φ mod 1`, looked up among the weights laid end to
///   end. The weights are exact to one part in 2^64 of their sum. A backend's count stays within 3.5 requests of
///   its ideal over the first million picks (it grows with the logarithm of their number; no rule that takes
///   one atomic step and keeps only the weights is known to do better).
///
/// A pick is one atomic addition to a counter that all clones share, which starts at a random place and
/// goes on across changes, and a look into the table. When
/// the backend whose turn it is was already tried by this request, one of the others is drawn by weight.
///
/// O(1); at most 16 bytes for each backend, or 4 for each step of a cycle.
///
/// # References
///
/// NGINX, commit 52327e0627f49dbda1e8db695e63a4b0af4448b1 (smooth weighted round robin).
///
/// # Examples
///
/// See [`Update::new`] for the sequence above, and:
///
/// ```
/// use evenkeel::{Backend, Balance, Pool};
/// # use tower::service_fn;
/// # let (big, small) = (service_fn(|_: ()| async { Ok::<_, std::io::Error>(()) }), service_fn(|_: ()| async { Ok::<_, std::io::Error>(()) }));
/// # let small = big;
/// let pool = Pool::from([
///     Backend::new("big", big).weight(5),
///     Backend::new("small", small),
/// ]);
/// let balance = Balance::<_, ()>::weighted_round_robin(pool);
/// # let _ = balance;
/// ```
#[must_use]
pub struct WeightedRoundRobin {
    /// `Relaxed`: only the count itself matters.
    next: Arc<AtomicU64>,
    schedule: Schedule,
}

/// Whose turn it is at each count.
enum Schedule {
    Unprepared,
    /// By rank.
    Equal,
    /// Slots, one for each step.
    Cycle(Box<[u32]>),
    Golden(Golden),
}

/// The weights laid end to end on a circle of 2^64.
struct Golden {
    /// Where each backend's part ends (the last at 2^64, written as the largest number), and its slot.
    ends: Box<[(u64, u32)]>,
    /// For each of 2^k equal parts of the circle, the backend at its beginning.
    guide: Box<[u32]>,
    shift: u32,
}

const LONGEST_CYCLE: u64 = 4096;

/// 2^64 divided by the golden ratio.
const PHI: u64 = 0x9e37_79b9_7f4a_7c15;

impl WeightedRoundRobin {
    /// Starts at a random place of the cycle.
    pub fn new() -> Self {
        Self::starting_at(fastrand::u64(..))
    }

    /// Starts at a given place: 0 is the beginning of NGINX's cycle.
    pub fn starting_at(start: u64) -> Self {
        Self {
            next: Arc::new(AtomicU64::new(start)),
            schedule: Schedule::Unprepared,
        }
    }
}

impl<Req: ?Sized> Picker<Req> for WeightedRoundRobin {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        if cx.attempt() > 0 {
            return by_weight(set, cx.random());
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let slot = match &self.schedule {
            Schedule::Unprepared => return by_weight(set, turn.wrapping_mul(PHI)),
            Schedule::Equal => {
                let n = set.len() as u64;
                return (n > 0).then(|| (turn % n) as usize);
            }
            Schedule::Cycle(cycle) => *cycle.get((turn % cycle.len().max(1) as u64) as usize)?,
            Schedule::Golden(golden) => golden.slot(turn.wrapping_mul(PHI)),
        };
        match set.rank_of(slot as usize) {
            Some(rank) => Some(rank),
            None => by_weight(set, cx.random()),
        }
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        Some(Arc::new(Self {
            next: Arc::clone(&self.next),
            schedule: Schedule::of(update.eligible()),
        }))
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }
}

impl Schedule {
    fn of(set: &dyn BackendSet) -> Self {
        let backends: Vec<(u32, u64)> = (0..set.len())
            .map(|rank| (set.handle(rank).slot() as u32, u64::from(set.weight(rank))))
            .filter(|&(_, weight)| weight > 0)
            .collect();
        let divisor = backends
            .iter()
            .fold(0, |divisor, &(_, weight)| gcd(divisor, weight));
        let sum: u64 = backends.iter().map(|&(_, weight)| weight).sum();
        if backends.len() == set.len() && sum == divisor * backends.len() as u64 {
            Self::Equal
        } else if sum <= LONGEST_CYCLE * divisor {
            Self::Cycle(cycle(&backends, divisor))
        } else {
            Self::Golden(Golden::new(&backends, sum))
        }
    }
}

/// NGINX's rule, step by step: add each weight to its current value, take the largest (the first of equals), and take
/// the sum off it.
fn cycle(backends: &[(u32, u64)], divisor: u64) -> Box<[u32]> {
    // At most 4,096 altogether, so the values stay far within range.
    let weights: Vec<i32> = backends
        .iter()
        .map(|&(_, weight)| (weight / divisor.max(1)) as i32)
        .collect();
    let sum: i32 = weights.iter().sum();
    let mut current = vec![0; weights.len()];
    (0..sum)
        .map(|_| {
            let mut largest = i32::MIN;
            for (value, weight) in current.iter_mut().zip(&weights) {
                *value += weight;
                largest = largest.max(*value);
            }
            let chosen = current
                .iter()
                .position(|&value| value == largest)
                .unwrap_or(0);
            current[chosen] -= sum;
            backends[chosen].0
        })
        .collect()
}

impl Golden {
    fn new(backends: &[(u32, u64)], sum: u64) -> Self {
        let mut before = 0u128;
        let ends: Box<[(u64, u32)]> = backends
            .iter()
            .map(|&(slot, weight)| {
                before += u128::from(weight);
                let end = (before << 64) / u128::from(sum);
                (u64::try_from(end).unwrap_or(u64::MAX), slot)
            })
            .collect();
        let parts = backends.len().next_power_of_two().max(2);
        let shift = u64::BITS - parts.trailing_zeros();
        let mut at = 0;
        let guide = (0..parts as u64)
            .map(|part| {
                while ends[at].0 <= part << shift {
                    at += 1;
                }
                at as u32
            })
            .collect();
        Self { ends, guide, shift }
    }

    fn slot(&self, u: u64) -> u32 {
        let part = (u >> self.shift) as usize;
        let from = self.guide[part] as usize;
        let to = self
            .guide
            .get(part + 1)
            .map_or(self.ends.len() - 1, |&to| to as usize);
        // Mostly one or two; many only where many small weights share a part, which is as rarely asked for.
        let at = from + self.ends[from..to].partition_point(|&(end, _)| end <= u);
        self.ends[at].1
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Default for WeightedRoundRobin {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WeightedRoundRobin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeightedRoundRobin").finish_non_exhaustive()
    }
}
