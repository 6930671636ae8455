//! Draws candidates in proportion to their weights.

use std::fmt;

use super::Context;
use crate::InvalidSetting;
use crate::random::below;
use crate::set::BackendSet;

/// Draws backends by weight: in one step once it was prepared for the set, in O(n) before.
pub(super) struct Sampler {
    /// How many are drawn to take the best of.
    choices: usize,
    kind: Kind,
}

enum Kind {
    Unprepared,
    /// All weights are the same.
    Equal,
    Alias(Alias),
}

/// Vose's alias table: a column is drawn evenly, then one of the two that share it.
///
/// 12 bytes for each backend.
struct Alias(Box<[Column]>);

struct Column {
    /// The share of the column that is its own, in 2^-32.
    own: u32,
    slot: u32,
    other: u32,
}

const MAX_CHOICES: usize = 32;

impl Sampler {
    /// Draws two to take the better of.
    pub(super) fn new() -> Self {
        Self {
            choices: 2,
            kind: Kind::Unprepared,
        }
    }

    pub(super) fn with_choices(given: usize) -> Result<Self, InvalidSetting> {
        if !(2..=MAX_CHOICES).contains(&given) {
            return Err(InvalidSetting::new("number of choices", given, "2 to 32"));
        }
        Ok(Self {
            choices: given,
            ..Self::new()
        })
    }

    /// The same for this set, in one step.
    pub(super) fn prepare(&self, set: &dyn BackendSet) -> Self {
        let first = set.weight(0);
        let equal = first > 0 && (1..set.len()).all(|rank| set.weight(rank) == first);
        Self {
            choices: self.choices,
            kind: if equal {
                Kind::Equal
            } else {
                Kind::Alias(Alias::new(set))
            },
        }
    }

    /// Whether it was prepared for a set in which all weights are the same.
    pub(super) fn is_equal(&self) -> bool {
        matches!(self.kind, Kind::Equal)
    }

    /// Draws one backend by weight.
    pub(super) fn draw(&self, set: &dyn BackendSet, cx: &mut Context) -> Option<usize> {
        match &self.kind {
            Kind::Unprepared => by_weight(set, cx.random()),
            Kind::Equal => (!set.is_empty()).then(|| cx.random_below(set.len())),
            Kind::Alias(alias) => alias.draw(set, cx),
        }
    }

    /// Draws so many different backends by weight (fewer, where there are not so many, or hardly any
    /// but one is ever drawn), and calls `each` with them. No more than 32.
    pub(super) fn draw_different(
        &self,
        count: usize,
        set: &dyn BackendSet,
        cx: &mut Context,
        mut each: impl FnMut(usize, &mut Context),
    ) {
        let mut drawn = [usize::MAX; MAX_CHOICES];
        let n = set.len();
        let count = count.min(n).min(MAX_CHOICES);
        for taken in 0..count {
            let next = if self.is_equal() {
                // Floyd's sample: of the first so many any, or else the last of them.
                let last = n - count + taken;
                let next = cx.random_below(last + 1);
                if drawn[..taken].contains(&next) {
                    last
                } else {
                    next
                }
            } else {
                match self.draw_another(&drawn[..taken], set, cx) {
                    Some(next) => next,
                    None => return,
                }
            };
            drawn[taken] = next;
            each(next, cx);
        }
    }

    /// Draws so many different backends by weight (fewer, where hardly any but one is ever drawn);
    /// returns the best, where `better(a, b)` says that `a` is strictly better than `b`. Of equals
    /// the first drawn wins, so that without load the shares are those of the weights.
    pub(super) fn best_of(
        &self,
        set: &dyn BackendSet,
        cx: &mut Context,
        mut better: impl FnMut(usize, usize, &mut Context) -> bool,
    ) -> Option<usize> {
        if self.is_equal() && self.choices == 2 {
            let n = set.len();
            if n < 2 {
                return (n == 1).then_some(0);
            }
            // Half of the bits for each: even to within n / 2^32.
            let random = cx.random();
            let first = below(random << 32, n as u64) as usize;
            let second = below(random & !0xffff_ffff, n as u64 - 1) as usize;
            let second = second + usize::from(second >= first);
            return Some(if better(second, first, cx) {
                second
            } else {
                first
            });
        }
        let mut drawn = [0; MAX_CHOICES];
        let mut count = 0;
        let mut best = self.draw(set, cx)?;
        drawn[0] = best;
        for _ in 1..self.choices.min(set.len()) {
            count += 1;
            let Some(next) = self.draw_another(&drawn[..count], set, cx) else {
                break;
            };
            drawn[count] = next;
            if better(next, best, cx) {
                best = next;
            }
        }
        Some(best)
    }

    fn draw_another(
        &self,
        drawn: &[usize],
        set: &dyn BackendSet,
        cx: &mut Context,
    ) -> Option<usize> {
        const TRIES: usize = 8;
        for _ in 0..TRIES {
            let next = self.draw(set, cx)?;
            if !drawn.contains(&next) {
                return Some(next);
            }
        }
        None
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler")
            .field("choices", &self.choices)
            .finish_non_exhaustive()
    }
}

impl Alias {
    fn new(set: &dyn BackendSet) -> Self {
        let slot_and_weight = |rank| (set.slot(rank) as u32, set.weight(rank));
        let mut usable: Vec<(u32, u32)> = (0..set.len()).map(slot_and_weight).collect();
        usable.retain(|&(_, weight)| weight > 0);
        let n = usable.len() as u64;
        // In units in which a column holds the sum of all weights: 2^32 backends of 2^32 fit.
        let full: u64 = usable.iter().map(|&(_, weight)| u64::from(weight)).sum();
        let left = usable.iter().map(|&(_, weight)| u64::from(weight) * n);
        let mut left: Vec<u64> = left.collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..n as u32).partition(|&column| left[column as usize] < full);
        let whole = |&(slot, _): &(u32, u32)| Column {
            own: u32::MAX,
            slot,
            other: slot,
        };
        let mut columns: Vec<Column> = usable.iter().map(whole).collect();
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            let (poor, richest) = (poor as usize, rich as usize);
            columns[poor].own = (left[poor] as f64 / full as f64 * 2f64.powi(32)) as u32;
            columns[poor].other = usable[richest].0;
            left[richest] -= full - left[poor];
            if left[richest] < full {
                large.pop();
                small.push(rich);
            }
        }
        Self(columns.into_boxed_slice())
    }

    fn draw(&self, set: &dyn BackendSet, cx: &mut Context) -> Option<usize> {
        const TRIES: usize = 4;
        for _ in 0..TRIES {
            let random = cx.random();
            let column = self.0.get(below(random, self.0.len() as u64) as usize)?;
            // The low half is as good as independent of which column the high half chose.
            let slot = if (random as u32) < column.own {
                column.slot
            } else {
                column.other
            };
            if let Some(rank) = set.rank_of(slot as usize) {
                return Some(rank);
            }
        }
        // Only a masked set lacks members of its own table.
        by_weight(set, cx.random())
    }
}

/// Draws one backend by weight with a walk over all of them.
pub(super) fn by_weight(set: &dyn BackendSet, random: u64) -> Option<usize> {
    let total: u64 = (0..set.len()).map(|rank| u64::from(set.weight(rank))).sum();
    let mut left = below(random, total);
    for rank in 0..set.len() {
        match left.checked_sub(u64::from(set.weight(rank))) {
            Some(rest) => left = rest,
            None => return Some(rank),
        }
    }
    None
}

/// Draws one backend evenly, leaving out those of weight 0, with a walk over all of them.
pub(super) fn evenly(set: &dyn BackendSet, random: u64) -> Option<usize> {
    let usable = || (0..set.len()).filter(|&rank| set.weight(rank) > 0);
    usable().nth(below(random, usable().count() as u64) as usize)
}
