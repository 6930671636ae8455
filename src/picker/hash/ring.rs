use super::place::Place;
use super::table::Found;

/// Points on a circle, each with the slot of its member; a key belongs to the first point at or
/// after its own place.
///
/// Points are found by way of an index: the circle is cut into as many pieces as there are points,
/// or up to twice as many, and each piece knows its first point. From there it is a step or two.
///
/// 16 bytes for each point, and 4 to 8 for the index.
#[derive(Debug)]
pub struct Ring {
    points: Box<[Point]>,
    /// By the leading bits of a hash, and one more: the end.
    firsts: Box<[u32]>,
    shift: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) hash: u64,
    pub(super) slot: u32,
}

/// How many points a backend has: `each` for each unit of its weight, and at least one if it has
/// any. If all together would be more than `most`, then `each` is halved until they are not.
pub(super) fn points_of(places: &[Place], each: u64, most: u64) -> impl Fn(&Place) -> u64 {
    let points = move |place: &Place, halvings: u32| {
        let points = each * u64::from(place.weight);
        (points >> halvings).max(u64::from(place.weight > 0))
    };
    let all = |halvings| -> u64 { places.iter().map(|place| points(place, halvings)).sum() };
    let halvings = (0..u64::BITS - 1).find(|&halvings| all(halvings) <= most);
    let halvings = halvings.unwrap_or(u64::BITS - 1);
    move |place| points(place, halvings)
}

/// So many points are asked one after the other before the rest is left to the ranking.
const STEPS: usize = 256;

impl Ring {
    /// Of points with the same hash the first one counts.
    pub(super) fn new(given: &[Point]) -> Self {
        let bits = given.len().next_power_of_two().ilog2().max(1);
        let shift = u64::BITS - bits;
        let piece = |point: &Point| (point.hash >> shift) as usize;

        // Sorted by piece first, which takes no comparison, and then within each of them.
        let mut firsts = vec![0; (1 << bits) + 1];
        for point in given {
            firsts[piece(point) + 1] += 1;
        }
        for at in 1..firsts.len() {
            firsts[at] += firsts[at - 1];
        }
        let mut next = firsts.clone();
        let mut points = given.to_vec();
        for point in given {
            let next = &mut next[piece(point)];
            points[*next as usize] = *point;
            *next += 1;
        }
        for ends in firsts.windows(2) {
            points[ends[0] as usize..ends[1] as usize].sort_by_key(|point| point.hash);
        }
        Self {
            points: points.into(),
            firsts: firsts.into(),
            shift,
        }
    }

    #[inline]
    fn locate(&self, hash: u64) -> usize {
        let mut at = self.firsts[(hash >> self.shift) as usize] as usize;
        while self.points.get(at).is_some_and(|point| point.hash < hash) {
            at += 1;
        }
        if at < self.points.len() { at } else { 0 }
    }

    /// Goes around from the point of a key. `spread` stands for the key in the ranking.
    #[inline]
    pub(super) fn find(
        &self,
        hash: u64,
        spread: impl FnOnce() -> u64,
        mut accept: impl FnMut(u32) -> Option<usize>,
    ) -> Found {
        let at = self.locate(hash);
        let (before, after) = self.points.split_at(at);
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
}
