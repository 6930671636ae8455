use super::place::Place;

/// All places of a set in an order of each key's own: the highest score first, which is what
/// rendezvous hashing is. No table: a walk over all.
///
/// The score of place i for a key is −wᵢ / ln uᵢ, with uᵢ uniform in (0, 1) from both hashes, so
/// that each wins with a probability in proportion to its weight. Within a group of equal weights
/// the largest uᵢ wins, so a logarithm is taken for each group only.
pub(super) struct Ranking {
    groups: Box<[Group]>,
}

struct Group {
    weight: f64,
    hashes: Box<[u64]>,
    slots: Box<[u32]>,
}

impl Ranking {
    pub(super) fn of(places: &[Place]) -> Self {
        let mut order: Vec<&Place> = places.iter().filter(|place| place.weight > 0).collect();
        order.sort_by_key(|place| place.weight);
        let groups = order.chunk_by(|a, b| a.weight == b.weight);
        let group = |group: &[&Place]| Group {
            weight: f64::from(group[0].weight),
            hashes: group.iter().map(|place| place.hash).collect(),
            slots: group.iter().map(|place| place.slot).collect(),
        };
        Self {
            groups: groups.map(group).collect(),
        }
    }

    /// Returns the first in the key's order who accepts.
    #[inline]
    pub(super) fn first(
        &self,
        key: u64,
        mut accept: impl FnMut(u32) -> Option<usize>,
    ) -> Option<usize> {
        if let [group] = &*self.groups {
            return group.first(key, &mut accept).map(|(_, rank)| rank);
        }
        let mut best: Option<(f64, usize)> = None;
        for group in &self.groups {
            let Some((score, rank)) = group.first(key, &mut accept) else {
                continue;
            };
            // In (0, 1): the ends would be 0 and infinity.
            let uniform = (score as f64 + 1.0) / (u64::MAX as f64 + 2049.0);
            let score = -group.weight / uniform.ln();
            if best.is_none_or(|(least, _)| score > least) {
                best = Some((score, rank));
            }
        }
        best.map(|(_, rank)| rank)
    }
}

impl Group {
    #[inline]
    fn first(
        &self,
        key: u64,
        accept: &mut impl FnMut(u32) -> Option<usize>,
    ) -> Option<(u64, usize)> {
        let (mut best, mut top) = (0, 0);
        for (at, &hash) in self.hashes.iter().enumerate() {
            let score = score(key, hash);
            if score > top {
                (best, top) = (at, score);
            }
        }
        match accept(*self.slots.get(best)?) {
            Some(rank) => Some((top, rank)),
            None => self.first_but_best(key, accept),
        }
    }

    /// The one with the highest score is out, so whoever would be the new best is asked in turn.
    #[cold]
    fn first_but_best(
        &self,
        key: u64,
        accept: &mut impl FnMut(u32) -> Option<usize>,
    ) -> Option<(u64, usize)> {
        let mut best: Option<(u64, usize)> = None;
        for (&hash, &slot) in self.hashes.iter().zip(&self.slots) {
            let score = score(key, hash);
            if best.is_none_or(|(top, _)| score > top)
                && let Some(rank) = accept(slot)
            {
                best = Some((score, rank));
            }
        }
        best
    }
}

/// Both halves of one product, folded.
#[inline]
fn score(key: u64, place: u64) -> u64 {
    let product = u128::from(key ^ place) * u128::from(FACTOR);
    (product >> 64) as u64 ^ product as u64
}

/// Odd, with as many ones as zeros.
const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;
