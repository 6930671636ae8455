use super::place::Place;
use super::table::Found;

/// Points on a circle, each with the slot of its member; a key belongs to the first point at or
/// after its own place.
///
/// Since hashes are spread evenly, where a point stands in the list can be computed from its hash:
/// the list has twice as many entries as there are points, and each point stands at the entry that
/// is its own, or a little after it where others are in its way. Entries in between repeat the
/// point that follows. So a search begins at the key's own entry and ends a step or two later,
/// nearly always within one cache line.
///
/// For circles of 32 bits, 16 bytes for each point; for those of 64, 32.
#[derive(Debug)]
pub struct Ring<H> {
    entries: Box<[Point<H>]>,
    /// How many entries are somebody's own. Those after them are of points that had no room.
    own: usize,
}

/// A place on the circle, and whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<H> {
    pub(super) hash: H,
    pub(super) slot: u32,
}

/// What places on a circle are counted in.
pub trait Circle: Copy + Ord {
    /// The last place.
    const LAST: Self;

    /// Which of so many entries of the list is its own.
    fn entry(self, entries: usize) -> usize;
}

/// How many points a backend has: `each` for each unit of its weight. If all together would be more
/// than `most`, then all have as much less as it takes, but at least one if they have any.
pub(super) fn points_of(places: &[Place], each: u32, most: u64) -> impl Fn(&Place) -> u64 {
    let wanted = move |place: &Place| u128::from(each) * u128::from(place.weight);
    let all: u128 = places.iter().map(wanted).sum();
    let most = u128::from(most);
    move |place| {
        let points = wanted(place);
        // Of 2^32 members no product overflows.
        let fitting = if all > most {
            points * most / all
        } else {
            points
        };
        fitting.max(u128::from(place.weight > 0)) as u64
    }
}

/// So many entries are asked one after the other before the rest is left to the ranking.
const STEPS: usize = 512;

impl Circle for u32 {
    const LAST: Self = Self::MAX;

    #[inline]
    fn entry(self, entries: usize) -> usize {
        ((u64::from(self) * entries as u64) >> u32::BITS) as usize
    }
}

impl Circle for u64 {
    const LAST: Self = Self::MAX;

    #[inline]
    fn entry(self, entries: usize) -> usize {
        ((u128::from(self) * entries as u128) >> u64::BITS) as usize
    }
}

impl<H: Circle> Ring<H> {
    /// Of points with the same hash the first one counts.
    pub(super) fn new(points: impl Iterator<Item = Point<H>>) -> Self {
        let mut points: Vec<_> = points.collect();
        points.sort_by_key(|point| point.hash);
        points.dedup_by_key(|point| point.hash);
        let own = 2 * points.len();
        let Some(first) = points.first() else {
            let entries = Box::default();
            return Self { entries, own };
        };
        // After the last point comes the first one again.
        let end = Point {
            hash: H::LAST,
            slot: first.slot,
        };
        let mut entries = Vec::with_capacity(own + points.len() / 8);
        for point in &points {
            entries.push(*point);
            while entries.len() <= point.hash.entry(own) {
                entries.push(*point);
            }
        }
        while entries.len() < own {
            entries.push(end);
        }
        let entries = entries.into();
        Self { entries, own }
    }

    /// Goes around from the point of a key. `spread` stands for the key in the ranking.
    #[inline]
    pub(super) fn find(
        &self,
        hash: H,
        spread: impl FnOnce() -> u64,
        mut accept: impl FnMut(u32) -> Option<usize>,
    ) -> Found {
        let at = self.locate(hash);
        let (before, after) = self.entries.split_at(at);
        let mut asked = None;
        for point in after.iter().chain(before).take(STEPS) {
            if asked == Some(point.slot) {
                continue;
            }
            asked = Some(point.slot);
            if let Some(rank) = accept(point.slot) {
                return Found::Rank(rank);
            }
        }
        Found::Nobody(spread())
    }

    #[inline]
    fn locate(&self, hash: H) -> usize {
        let mut at = hash.entry(self.own);
        while self.entries.get(at).is_some_and(|point| point.hash < hash) {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whom a key's search asks, each of them once, if nobody accepts.
    fn asked<H: Circle>(ring: &Ring<H>, hash: H) -> Vec<u32> {
        let mut asked = Vec::new();
        ring.find(
            hash,
            || 0,
            |slot| {
                if !asked.contains(&slot) {
                    asked.push(slot);
                }
                None
            },
        );
        asked
    }

    /// The same by the definition.
    fn expected<H: Circle>(points: &[(H, u32)], hash: H) -> Vec<u32> {
        let mut points = points.to_vec();
        points.sort_by_key(|&(place, _)| place);
        points.dedup_by_key(|&mut (place, _)| place);
        let first = points.partition_point(|&(place, _)| place < hash);
        points.rotate_left(first);
        let mut slots = Vec::new();
        for (_, slot) in points {
            if !slots.contains(&slot) {
                slots.push(slot);
            }
        }
        slots
    }

    fn check<H: Circle>(points: &[(H, u32)], keys: &[H]) {
        let ring = Ring::new(points.iter().map(|&(hash, slot)| Point { hash, slot }));
        let places = points.iter().map(|&(place, _)| place);
        for key in places.chain(keys.iter().copied()) {
            assert_eq!(asked(&ring, key), expected(points, key));
        }
    }

    fn places(weights: &[u32]) -> Vec<Place> {
        let place = |(at, &weight): (usize, &u32)| Place {
            slot: at as u32,
            weight,
            name: at.to_string().into(),
            hash: at as u64,
        };
        weights.iter().enumerate().map(place).collect()
    }

    #[test]
    fn points_are_what_weights_are_worth_while_they_fit_and_little_less_beyond_that() {
        let points = |weights: &[u32]| {
            let places = places(weights);
            let points_of = points_of(&places, 10, 1_000);
            places.iter().map(points_of).collect::<Vec<_>>()
        };
        assert_eq!(points(&[1, 2, 0, 97]), [10, 20, 0, 970]);
        assert_eq!(points(&[1, 2, 0, 98]), [9, 19, 0, 970]);
        assert_eq!(points(&[1, 0, u32::MAX]), [1, 0, 999]);
        assert_eq!(points(&[u32::MAX; 4]), [250; 4]);
    }

    #[test]
    fn no_number_of_points_overflows() {
        let places = places(&vec![u32::MAX; 70_000]);
        let points_of = points_of(&places, u32::MAX, 1 << 22);
        assert_eq!(places.iter().map(points_of).sum::<u64>(), 59 * 70_000);
    }

    proptest! {
        #[test]
        fn a_search_goes_around_from_the_keys_place(
            evenly in prop::collection::vec((any::<u32>(), 0u32..20), 0..100),
            // All in one corner, where entries are far from their own, some at the same place.
            crowded in prop::collection::vec((0u32..40, 0u32..20), 0..60),
            keys in prop::collection::vec(any::<u32>(), 20),
        ) {
            let keys: Vec<_> = keys.into_iter().chain([0, 1, 39, u32::MAX]).collect();
            let last: Vec<_> = crowded.iter().map(|&(place, slot)| (!place, slot)).collect();
            for points in [&evenly, &crowded, &last, &[evenly.clone(), crowded.clone()].concat()] {
                check(points, &keys);
                let wide = |place: u32| u64::from(place) << 32 | u64::from(!place);
                let points: Vec<_> = points.iter().map(|&(place, slot)| (wide(place), slot)).collect();
                let keys: Vec<_> = keys.iter().map(|&key| wide(key)).collect();
                check(&points, &keys);
            }
        }
    }
}
