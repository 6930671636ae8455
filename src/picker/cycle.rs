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
            return Self::new(nginx(backends, divisor), Shared::new(&[], sum), start);
        }
        // Weights and steps both fit 32 bits, so their products fit.
        let length = LONGEST + backends.len() as u64;
        let wholes = backends
            .iter()
            .map(|&(slot, weight)| (slot, length * weight / sum));
        let mut items: Vec<(u32, u64)> = wholes.filter(|&(_, steps)| steps > 0).collect();
        let fractions: Vec<(u32, u64)> = backends
            .iter()
            .map(|&(slot, weight)| (slot, length * weight % sum))
            .filter(|&(_, fraction)| fraction > 0)
            .collect();
        let shared = Shared::new(&fractions, sum);
        if shared.len() > 0 {
            items.push((SHARED, shared.len()));
        }
        Self::new(spread(&items, length), shared, start)
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

/// Spreads items over a cycle, each with a number of steps, that add up to its length.
///
/// The j-th step of an item with m of them may be given from `j × length / m` on, and has to be by
/// `(j + 1) × length / m`. Of those that may, the one whose time runs out first gets the next. On one
/// processor that meets all of them (Baruah et al., *Proportionate Progress*, 1996), so an item is always
/// less than one step from its ideal. The steps of `SHARED` are numbered.
fn spread(items: &[(u32, u64)], length: u64) -> Box<[u32]> {
    let mut waiting = BinaryHeap::new();
    let mut ready = BinaryHeap::new();
    for item in 0..items.len() {
        waiting.push(Reverse((0, item, 0)));
    }
    (0..length)
        .map_while(|step| {
            while let Some(&Reverse((from, item, nth))) = waiting.peek() {
                if from > step {
                    break;
                }
                waiting.pop();
                let by = ((nth + 1) * length).div_ceil(items[item].1);
                ready.push(Reverse((by, item, nth)));
            }
            let Reverse((_, item, nth)) = ready.pop()?;
            let (slot, steps) = items[item];
            if nth + 1 < steps {
                waiting.push(Reverse(((nth + 1) * length / steps, item, nth + 1)));
            }
            Some(if slot == SHARED {
                SHARED | nth as u32
            } else {
                slot
            })
        })
        .collect()
}

impl Shared {
    /// Lays fractions of `whole` end to end, and cuts them into steps.
    fn new(fractions: &[(u32, u64)], whole: u64) -> Self {
        let mut begins = vec![0];
        let mut pieces = Vec::with_capacity(fractions.len());
        let mut end = 0;
        for &(slot, fraction) in fractions {
            end += fraction;
            if end < whole {
                pieces.push((end, slot));
                continue;
            }
            pieces.push((whole, slot));
            begins.push(pieces.len() as u32);
            end -= whole;
            if end > 0 {
                pieces.push((end, slot));
            }
        }
        Self {
            begins: begins.into_boxed_slice(),
            pieces: pieces.into_boxed_slice(),
        }
    }

    fn len(&self) -> u64 {
        self.begins.len() as u64 - 1
    }

    /// Whose turn it is in a shared step that has been given `count` times before.
    ///
    /// The pieces are halved until one is left. Of `count` turns, the left half has had the whole part
    /// of what it is worth: less than one too few, and the right half less than one too many. A
    /// backend whose fraction is cut has the last piece of one step and the first of the next, so its errors
    /// work against each other.
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
