use std::collections::BTreeSet;
use std::sync::Arc;

use crate::backend::{Levels, Live, PIECE, Pieces, Place};

/// The members of a pool by how many requests they have in flight, so that the minimum is found
/// without a walk over all of them: the write side, which says who has which place.
///
/// Members of the same weight are a group, with pieces of its own: within it, fewer requests are
/// less load, whatever the weight. See `backend/level.rs` for how a piece is kept, and
/// [`Lowest`](super::lowest::Lowest) for how the minimum is found.
#[derive(Default)]
pub(super) struct Index {
    pieces: Arc<Pieces>,
    count: usize,
    groups: Vec<Group>,
    /// By slot.
    spots: Vec<Option<Spot>>,
    /// Slots of those for whose weight there was no group.
    left_out: BTreeSet<u32>,
}

/// A pick looks at each, so there are not many.
pub(super) const GROUPS: usize = 64;

#[derive(Default)]
struct Group {
    weight: u32,
    members: usize,
    /// Its pieces, and which of their places are taken.
    pieces: Vec<(usize, Taken)>,
}

/// Where a member is.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub(super) group: u8,
    pub(super) place: Place,
}

/// Places of one piece, as bits.
struct Taken(Box<[u64]>);

impl Index {
    /// Makes room for so many of one weight at once, which are then found a little faster than if
    /// they joined one by one. They have to be next: a weight that nobody has is forgotten.
    pub(super) fn reserve(&mut self, weight: u32, members: usize) {
        let Some(group) = self.group(weight) else {
            return;
        };
        let mut left = members.saturating_sub(self.groups[group].room());
        while left > 0 {
            self.grow(group, left.min(PIECE));
            left = left.saturating_sub(PIECE);
        }
    }

    /// Sees to it that a member is where its weight says. One of weight 0 is nowhere; nor are those
    /// of the last weights, if there are very many.
    pub(super) fn place(&mut self, slot: usize, weight: u32, live: &Live) {
        if let Some(spot) = self.spot(slot)
            && self.weight(spot) == weight
        {
            return;
        }
        let new = self.take(weight);
        live.index(&self.pieces, new.map(|spot| spot.place));
        self.release(slot);
        if self.spots.len() <= slot {
            self.spots.resize(slot + 1, None);
        }
        self.spots[slot] = new;
        if new.is_none() && weight > 0 {
            self.left_out.insert(slot as u32);
        }
    }

    /// Those that were left out, if there is room for another weight by now.
    pub(super) fn who_fits_now(&self) -> Vec<u32> {
        let mut groups = self.groups.iter();
        if self.groups.len() < GROUPS || groups.any(|group| group.members == 0) {
            self.left_out.iter().copied().collect()
        } else {
            Vec::new()
        }
    }

    pub(super) fn spot(&self, slot: usize) -> Option<Spot> {
        *self.spots.get(slot)?
    }

    pub(super) fn weight(&self, spot: Spot) -> u32 {
        self.groups[usize::from(spot.group)].weight
    }

    pub(super) fn levels(&self, piece: usize) -> Option<&Arc<Levels>> {
        self.pieces.get(piece)
    }

    fn take(&mut self, weight: u32) -> Option<Spot> {
        let at = self.group(weight)?;
        if self.groups[at].room() == 0 {
            // Few pieces in the end, and not much more room than is needed.
            let places = 3 * self.groups[at].members;
            self.grow(at, places.next_power_of_two().max(64));
        }
        let group = &mut self.groups[at];
        let mut pieces = group.pieces.iter_mut();
        let place = pieces.find_map(|(piece, taken)| Place::new(*piece, taken.take()?))?;
        group.members += 1;
        Some(Spot {
            group: at as u8,
            place,
        })
    }

    /// Gives a member's place back. It has left, and has been retired, or has another place.
    pub(super) fn release(&mut self, slot: usize) {
        self.left_out.remove(&(slot as u32));
        let Some(Spot { group, place }) = self.spots.get_mut(slot).and_then(Option::take) else {
            return;
        };
        let group = &mut self.groups[usize::from(group)];
        group.members -= 1;
        let mut pieces = group.pieces.iter_mut();
        if let Some((_, taken)) = pieces.find(|(piece, _)| *piece == place.piece()) {
            taken.give_back(place.at());
        }
    }

    /// The group of a weight: its own, one that nobody is in, or a new one.
    fn group(&mut self, weight: u32) -> Option<usize> {
        if weight == 0 {
            return None;
        }
        let groups = || self.groups.iter();
        let own = groups().position(|group| group.weight == weight);
        let at = own.or_else(|| groups().position(|group| group.members == 0));
        let at = at.unwrap_or(self.groups.len());
        if at == GROUPS {
            return None;
        }
        if at == self.groups.len() {
            self.groups.push(Group::default());
        }
        self.groups[at].weight = weight;
        Some(at)
    }

    fn grow(&mut self, group: usize, places: usize) {
        let levels = Levels::new(places);
        let taken = Taken::new(levels.places());
        self.pieces.set(self.count, levels);
        self.groups[group].pieces.push((self.count, taken));
        self.count += 1;
    }
}

impl Group {
    fn room(&self) -> usize {
        self.pieces.iter().map(|(_, taken)| taken.free()).sum()
    }
}

impl Taken {
    fn new(places: usize) -> Self {
        let mut taken = vec![0; places.div_ceil(64)];
        if !places.is_multiple_of(64) {
            // What is not there is taken.
            taken[places / 64] = u64::MAX << (places % 64);
        }
        Self(taken.into_boxed_slice())
    }

    fn free(&self) -> usize {
        self.0
            .iter()
            .map(|taken| taken.count_zeros() as usize)
            .sum()
    }

    /// The lowest first, so that a group that shrinks becomes narrow again.
    fn take(&mut self) -> Option<usize> {
        let word = self.0.iter().position(|&taken| taken != u64::MAX)?;
        let bit = self.0[word].trailing_ones();
        self.0[word] |= 1 << bit;
        Some(word * 64 + bit as usize)
    }

    fn give_back(&mut self, at: usize) {
        self.0[at / 64] &= !(1 << (at % 64));
    }
}
