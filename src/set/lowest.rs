mod part;

use std::sync::Arc;

use self::part::{Part, nth_one};
use super::index::{GROUPS, Index};
use crate::backend::{TOP, WORD};
use crate::random::{below, mix};

/// Finds the least loaded of one list, by the pool's index.
///
/// # Algorithm
///
/// Each group, of one weight, has a lowest level. Those groups whose level divided by their weight
/// is the least tie, and all that are at this level there share the minimum. A few of their places
/// are tried at random, in proportion to the weights; the first that fits is taken. If none does,
/// few share the minimum, or nobody does and what the index said was no longer true: then it is
/// looked at word by word, and one of all that are found is drawn.
///
/// What is read may be about to change, so whoever was found is asked for its own count.
pub(super) struct Lowest(Box<[Group]>);

struct Group {
    weight: u64,
    /// How many places there are to try.
    span: u64,
    parts: Vec<Part>,
}

/// The groups that have the least load, as bits, and how much it is.
#[derive(Clone, Copy)]
struct Tied {
    groups: u64,
    /// So many requests for such a weight.
    level: u64,
    weight: u64,
}

const _: () = assert!(GROUPS <= 64);

impl Lowest {
    /// How many pieces of the index it looks at.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.0.iter().map(|group| group.parts.len()).sum()
    }

    /// Of backends with these slots and weights, by rank. `None` if one of them is not in the index.
    pub(super) fn of(index: &Index, backends: impl Iterator<Item = (usize, u32)>) -> Option<Self> {
        const UNKNOWN: usize = usize::MAX;
        let mut groups: Vec<Group> = Vec::new();
        let mut known = [UNKNOWN; GROUPS];
        for (rank, (slot, weight)) in backends.enumerate() {
            let spot = index.spot(slot)?;
            if index.weight(spot) != weight {
                return None;
            }
            let at = &mut known[usize::from(spot.group)];
            if *at == UNKNOWN {
                *at = groups.len();
                groups.push(Group::new(weight));
            }
            let part = groups[*at].part(index, spot.place.piece())?;
            part.insert(spot.place.at(), rank as u32);
        }
        for group in &mut groups {
            let places = group.parts.iter().map(|part| part.ranks.len() as u64);
            group.span = places.sum();
        }
        Some(Self(groups.into_boxed_slice()))
    }

    /// Returns the rank of one of the least loaded, each with a chance in proportion to its weight.
    /// `None` if nobody has fewer than 255 requests in flight, or if changes under way hide them.
    pub(super) fn find(&self, random: u64, in_flight: impl Fn(usize) -> usize) -> Option<usize> {
        const TRIES: u32 = 2;
        let is_true = |&(rank, level): &(usize, usize)| in_flight(rank) <= level;
        let supposed = self.tied(Group::lowest_in_use)?;
        if let Some((rank, _)) = self.sample(supposed, TRIES, random).filter(is_true) {
            return Some(rank);
        }
        self.look(random, is_true)
    }

    /// Goes by what is there, and not by what may be.
    #[inline(never)]
    fn look(&self, random: u64, is_true: impl Fn(&(usize, usize)) -> bool) -> Option<usize> {
        const LOOKS: u32 = 4;
        // Not every time is it worth while to leave word that there is nothing: there may well be
        // something again soon.
        let tidy = random.is_multiple_of(8);
        let mut random = random;
        for _ in 0..LOOKS {
            // What failed says something of these bits: go on with others.
            random = mix(random);
            let tied = self.tied(|group, limit| group.lowest(limit, tidy))?;
            let words: u32 = self
                .each(tied)
                .map(|(group, level)| group.words(level))
                .sum();
            let sampled = self.sample(tied, words / 2, random);
            let found = sampled.or_else(|| self.draw(tied, mix(!random)));
            if let Some((rank, _)) = found.filter(&is_true) {
                return Some(rank);
            }
        }
        None
    }

    /// `lowest` tells the lowest level of a group up to a limit. `None` if that is the top, where
    /// not all have the same load.
    #[inline]
    fn tied(&self, lowest: impl Fn(&Group, usize) -> Option<usize>) -> Option<Tied> {
        let mut tied = Tied {
            groups: 0,
            level: TOP as u64,
            weight: 1,
        };
        for (at, group) in self.0.iter().enumerate() {
            let limit = match tied.groups {
                0 => TOP,
                _ => TOP.min(tied.level_of(group.weight)),
            };
            let Some(level) = lowest(group, limit) else {
                continue;
            };
            let level = level as u64;
            if tied.groups == 0 || level * tied.weight < tied.level * group.weight {
                (tied.level, tied.weight) = (level, group.weight);
                tied.groups = 0;
            }
            tied.groups |= 1 << at;
        }
        let top = |(_, level)| level == TOP;
        (tied.groups != 0 && !self.each(tied).any(top)).then_some(tied)
    }

    /// The groups that tie, each with its level.
    #[inline]
    fn each(&self, tied: Tied) -> impl Iterator<Item = (&Group, usize)> {
        let mut groups = tied.groups;
        std::iter::from_fn(move || {
            let at = groups.trailing_zeros() as usize;
            let group = self.0.get(at)?;
            groups &= groups - 1;
            Some((group, tied.level_of(group.weight)))
        })
    }

    /// Tries so many places at random. Returns a rank and the level at which it seems to be.
    #[inline]
    fn sample(&self, tied: Tied, tries: u32, mut random: u64) -> Option<(usize, usize)> {
        let alone = tied.groups.is_power_of_two();
        let total: u64 = self
            .each(tied)
            .map(|(group, _)| if alone { group.span } else { group.share() })
            .sum();
        for _ in 0..tries {
            let mut left = below(random, total);
            for (group, level) in self.each(tied) {
                if !alone {
                    let share = group.share();
                    if left >= share {
                        left -= share;
                        continue;
                    }
                    left /= group.weight;
                }
                if let Some(rank) = group.at(left as usize, level) {
                    return Some((rank, level));
                }
                break;
            }
            random = mix(random);
        }
        None
    }

    /// Draws one of all that tie.
    fn draw(&self, tied: Tied, random: u64) -> Option<(usize, usize)> {
        let counts = self
            .each(tied)
            .map(|(group, level)| group.weight * group.count(level));
        let mut left = below(random, counts.sum());
        for (group, level) in self.each(tied) {
            for part in &group.parts {
                for (word, bits) in part.bits(level) {
                    let here = group.weight * u64::from(bits.count_ones());
                    if left < here {
                        let at = word * WORD + nth_one(bits, left / group.weight) / 2;
                        return Some((part.ranks[at] as usize, level));
                    }
                    left -= here;
                }
            }
        }
        None
    }
}

impl Tied {
    /// The level at which a weight has no more load than this. Exact for those that tie.
    #[inline]
    fn level_of(self, weight: u64) -> usize {
        if self.level == 0 || self.weight == weight {
            return self.level as usize;
        }
        (self.level * weight / self.weight) as usize
    }
}

impl Group {
    fn new(weight: u32) -> Self {
        Self {
            weight: weight.into(),
            span: 0,
            parts: Vec::new(),
        }
    }

    fn part(&mut self, index: &Index, piece: usize) -> Option<&mut Part> {
        // The last, more often than not.
        let known = self.parts.iter().rposition(|part| part.piece == piece);
        let at = if let Some(at) = known {
            at
        } else {
            let levels = Arc::clone(index.levels(piece)?);
            self.parts.push(Part::new(piece, levels));
            self.parts.len() - 1
        };
        self.parts.get_mut(at)
    }

    /// How much the group counts where places are tried.
    fn share(&self) -> u64 {
        self.weight * self.span
    }

    /// The lowest level at which anybody may be. Too low at worst.
    #[inline]
    fn lowest_in_use(&self, limit: usize) -> Option<usize> {
        let levels = self.parts.iter().map(Part::lowest_in_use);
        levels.flatten().min().filter(|&level| level <= limit)
    }

    /// The lowest level at which anybody on the list is.
    fn lowest(&self, mut limit: usize, tidy: bool) -> Option<usize> {
        let mut lowest = None;
        for part in &self.parts {
            if let Some(level) = part.lowest(limit, tidy) {
                lowest = Some(level);
                limit = level;
            }
        }
        lowest
    }

    /// How many words may have bits at a level.
    fn words(&self, level: usize) -> u32 {
        self.parts.iter().map(|part| part.words(level)).sum()
    }

    /// Who has this place, if that is somebody on the list and at this level.
    #[inline]
    fn at(&self, mut place: usize, level: usize) -> Option<usize> {
        for part in &self.parts {
            if let Some(&rank) = part.ranks.get(place) {
                return part.is_at(place, level).then_some(rank as usize);
            }
            place -= part.ranks.len();
        }
        None
    }

    /// How many are at a level.
    fn count(&self, level: usize) -> u64 {
        let count = |(_, bits): (usize, u64)| u64::from(bits.count_ones());
        let parts = self.parts.iter().flat_map(|part| part.bits(level));
        parts.map(count).sum()
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests;
