use xxhash_rust::xxh3::xxh3_64;

use crate::set::BackendSet;

/// A member as tables see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) slot: u32,
    pub(super) weight: u32,
    pub(super) name: Box<str>,
    /// Of the name: where our own tables put it.
    pub(super) hash: u64,
}

/// All places of a set, in its order, and who stands in for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) list: Vec<Place>,
    /// Slots of a place's first member and of another one with the same name, by the former.
    alternates: Vec<(u32, u32)>,
}

impl Places {
    pub(super) fn of(set: &dyn BackendSet) -> Self {
        let mut places = Self::default();
        for rank in 0..set.len() {
            let name = set.hash_key(rank);
            places.list.push(Place {
                slot: set.slot(rank) as u32,
                weight: set.weight(rank),
                name: name.into(),
                hash: xxh3_64(name.as_bytes()),
            });
        }
        places.merge();
        places
    }

    /// Members of the same name become one place, that of the first of them with a weight.
    fn merge(&mut self) {
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        let of = |at: &usize| {
            let place = &self.list[*at];
            (place.hash, &place.name, place.weight == 0, *at)
        };
        order.sort_unstable_by(|a, b| of(a).cmp(&of(b)));
        let mut kept = vec![true; order.len()];
        let mut first = 0;
        for next in 1..order.len() {
            let (place, other) = (&self.list[order[first]], &self.list[order[next]]);
            if place.name == other.name {
                if other.weight > 0 {
                    self.alternates.push((place.slot, other.slot));
                }
                kept[order[next]] = false;
            } else {
                first = next;
            }
        }
        // Stable: of several, the one that joined first comes first.
        self.alternates.sort_by_key(|&(first, _)| first);
        let mut kept = kept.into_iter();
        self.list.retain(|_| kept.next().unwrap_or(true));
    }

    /// Those who stand in for the member at a slot.
    #[inline]
    pub(super) fn alternates(&self, slot: u32) -> impl Iterator<Item = u32> {
        let from = self.alternates.partition_point(|&(first, _)| first < slot);
        let mine = self.alternates[from..].iter();
        let mine = mine.take_while(move |&&(first, _)| first == slot);
        mine.map(|&(_, other)| other)
    }
}
