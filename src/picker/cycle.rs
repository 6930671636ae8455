//! The table of weighted round robin: whose turn it is at each step of a cycle.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Steps that belong to one backend each, and steps that several share.
pub(super) struct Cycle {
    /// For each step the slot of its backend, or `SHARED` and the number of the shared step.
    steps: Box<[u32]>,
    shared: Shared,
    /// What leads from the count at which the picker began to the same step of the first cycle,
    /// where the turns in shared steps begin too.
    offset: u64,
}

/// The steps that are shared, and who takes turns in each.
struct Shared {
    /// Where each step's pieces begin, and where the last one's end.
    begins: Box<[u32]>,
    /// End of the piece within its step, which is `whole` long, and the slot of its backend.
    pieces: Box<[(u64, u32)]>,
}

const LONGEST: u64 = 4096;
const SHARED: u32 = 1 << 31;

impl Cycle {
    /// For backends with these slots and weights, none of which is 0, and turns that are counted
    /// from `start` on.
    pub(super) fn of(backends: &[(u32, u64)], start: u64) -> Self {
        let divisor = backends
            .iter()
            .fold(0, |divisor, &(_, weight)| gcd(divisor, weight));
        let sum: u64 = backends.iter().map(|&(_, weight)| weight).sum();
        if sum <= LONGEST * divisor {
            return Self::new(nginx(backends, divisor), Shared::new(&[], sum).0, start);
        }
        // Weights and steps both fit 32 bits, so their products fit.
        let length = LONGEST + backends.len() as u64;
        let mut steps = Vec::with_capacity(length as usize);
        let mut fractions = Vec::with_capacity(backends.len());
        for &(slot, weight) in backends {
            let (wholes, fraction) = (length * weight / sum, length * weight % sum);
            steps.extend((0..wholes).map(|nth| Step {
                from: nth * sum / weight,
                by: ((nth + 1) * sum).div_ceil(weight),
                whose: slot,
            }));
            if fraction > 0 {
                let from = wholes * sum / weight;
                fractions.push(Fraction {
                    from,
                    slot,
                    size: fraction,
                });
            }
        }
        fractions.sort_unstable_by_key(|fraction| fraction.from);
        let (shared, froms) = Shared::new(&fractions, sum);
        steps.extend((0..).zip(froms).map(|(number, from)| Step {
            from,
            by: length,
            whose: SHARED | number,
        }));
        Self::new(spread(steps), shared, start)
    }

    fn new(steps: Box<[u32]>, shared: Shared, start: u64) -> Self {
        let step = start.checked_rem(steps.len() as u64).unwrap_or(0);
        Self {
            steps,
            shared,
            offset: step.wrapping_sub(start),
        }
    }

    /// The slot of the backend whose turn it is. `None` only if there are no backends.
    pub(super) fn slot(&self, turn: u64) -> Option<u32> {
        let turn = turn.wrapping_add(self.offset);
        let length = self.steps.len() as u64;
        let step = *self.steps.get(turn.checked_rem(length)? as usize)?;
        if step & SHARED == 0 {
            return Some(step);
        }
        self.shared.slot((step & !SHARED) as usize, turn / length)
    }
}

/// NGINX's rule, step by step: add each weight to its current value, take the largest (the first of
/// equals), and take the sum off it.
fn nginx(backends: &[(u32, u64)], divisor: u64) -> Box<[u32]> {
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
            let chosen = current.iter().position(|&value| value == largest);
            let chosen = chosen.unwrap_or(0);
            current[chosen] -= sum;
            backends[chosen].0
        })
        .collect()
}

/// One step that is to be given: not before `from`, and before `by`.
struct Step {
    from: u64,
    by: u64,
    whose: u32,
}

/// What is left of a backend's steps when its whole ones are given, due from that moment on.
struct Fraction {
    from: u64,
    slot: u32,
    size: u64,
}

/// Gives the steps of a cycle: of those that may be given, always the one whose time runs out
/// first.
///
/// The j-th of a backend's steps may be given from `j × sum / weight` on, and has to be by `(j + 1)
/// × sum / weight`. One that goes by the earliest deadline meets them all (Baruah et al.,
/// *Proportionate Progress*, 1996), so a backend is always less than one step from its ideal. What
/// its fraction is worth comes last, and fills what the others leave free.
fn spread(mut steps: Vec<Step>) -> Box<[u32]> {
    steps.sort_by_key(|step| step.from);
    let mut waiting = steps.iter().peekable();
    let mut ready = BinaryHeap::new();
    (0..steps.len() as u64)
        .map_while(|now| {
            while let Some(step) = waiting.next_if(|step| step.from <= now || ready.is_empty()) {
                ready.push(Reverse((step.by, step.whose)));
            }
            ready.pop().map(|Reverse((_, whose))| whose)
        })
        .collect()
}

impl Shared {
    /// Lays fractions of `whole` end to end, and cuts them into steps; returns also from when on
    /// each step is due.
    fn new(fractions: &[Fraction], whole: u64) -> (Self, Vec<u64>) {
        let mut begins = vec![0];
        let mut froms = Vec::new();
        let mut pieces = Vec::with_capacity(fractions.len());
        let mut end = 0;
        for &Fraction { from, slot, size } in fractions {
            if froms.len() < begins.len() {
                froms.push(from);
            }
            end += size;
            if end < whole {
                pieces.push((end, slot));
                continue;
            }
            pieces.push((whole, slot));
            begins.push(pieces.len() as u32);
            end -= whole;
            if end > 0 {
                froms.push(from);
                pieces.push((end, slot));
            }
        }
        let shared = Self {
            begins: begins.into_boxed_slice(),
            pieces: pieces.into_boxed_slice(),
        };
        (shared, froms)
    }

    /// Whose turn it is in a shared step that has been given `count` times before.
    ///
    /// The pieces are halved until one is left. Of `count` turns, the left half has had what it is
    /// worth, rounded to the nearest, and the right half the others: each is within half a turn of
    /// its ideal, among those that its whole has had.
    fn slot(&self, step: usize, count: u64) -> Option<u32> {
        let (from, to) = (*self.begins.get(step)?, *self.begins.get(step + 1)?);
        let mut pieces = self.pieces.get(from as usize..to as usize)?;
        let (mut begin, mut count) = (0, u128::from(count));
        while let [_, _, ..] = pieces {
            let end = pieces.last()?.0;
            let middle = begin + (end - begin) / 2;
            let cut = pieces.partition_point(|&(end, _)| end <= middle);
            let cut = cut.clamp(1, pieces.len() - 1);
            let (left, right) = pieces.split_at(cut);
            let middle = left.last()?.0;
            let (share, all) = (u128::from(middle - begin), u128::from(end - begin));
            let given = |count: u128| (2 * count * share + all) / (2 * all);
            let (given, next) = (given(count), given(count + 1));
            if next > given {
                (pieces, count) = (left, given);
            } else {
                (pieces, count, begin) = (right, count - given, middle);
            }
        }
        pieces.first().map(|&(_, slot)| slot)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
