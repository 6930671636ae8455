//! What exact least requests picks from a pool, whatever was done to it before: a true minimum.

use evenkeel::backend::{BackendInfo, Completion};
use evenkeel::picker::{ExactLeastRequests, Selector};
use evenkeel::{Backend, Pool};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::cases;

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, u32),
    Remove(usize),
    Weight(usize, u32),
    Drain(usize, bool),
    ReplaceAll(Vec<(usize, u32)>),
    /// So many requests through the picker.
    Select(usize),
    /// So many at one backend, whoever is less loaded.
    Start(Index, usize),
    /// All but so many end.
    Keep(usize),
    End(Index),
}

/// More than share a word of the index.
const IDS: usize = 70;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = || 0..IDS;
    let weights = [vec![1], vec![1, 2, 3, 10], vec![0, 1, 7, 100, u32::MAX]];
    select(weights.to_vec()).prop_flat_map(move |weights| {
        let weight = || select(weights.clone());
        let step = prop_oneof![
            4 => (id(), weight()).prop_map(|(id, weight)| Step::Insert(id, weight)),
            2 => id().prop_map(Step::Remove),
            2 => (id(), weight()).prop_map(|(id, weight)| Step::Weight(id, weight)),
            2 => (id(), any::<bool>()).prop_map(|(id, on)| Step::Drain(id, on)),
            1 => prop::collection::vec((id(), weight()), 0..IDS).prop_map(Step::ReplaceAll),
            4 => (1..40_usize).prop_map(Step::Select),
            2 => (any::<Index>(), 1..300_usize).prop_map(|(at, n)| Step::Start(at, n)),
            1 => (0..100_usize).prop_map(Step::Keep),
            4 => any::<Index>().prop_map(Step::End),
        ];
        prop::collection::vec(step, 1..80)
    })
}

struct World {
    pool: Pool<usize>,
    selector: Selector<usize, ()>,
    running: Vec<Completion>,
}

impl World {
    fn take(&mut self, step: Step) {
        let backend = |(id, weight): (usize, u32)| Backend::new(id.to_string(), id).weight(weight);
        match step {
            Step::Insert(id, weight) => {
                self.pool.insert(backend((id, weight)));
            }
            Step::Remove(id) => {
                self.pool.remove(&id.to_string());
            }
            Step::Weight(id, weight) => {
                self.pool.set_weight(&id.to_string(), weight);
            }
            Step::Drain(id, on) => {
                let change = if on { Pool::drain } else { Pool::undrain };
                change(&self.pool, &id.to_string());
            }
            Step::ReplaceAll(list) => {
                self.pool.replace_all(list.into_iter().map(backend));
            }
            Step::Select(requests) => (0..requests).for_each(|_| self.select()),
            Step::Start(at, requests) => {
                let start = |_| {
                    self.pool
                        .start(|set| (!set.is_empty()).then(|| at.index(set.len())))
                };
                let started = (0..requests).filter_map(start);
                self.running
                    .extend(started.map(|(_, completion)| completion));
            }
            Step::Keep(requests) => self.running.truncate(requests),
            Step::End(at) if !self.running.is_empty() => {
                drop(self.running.swap_remove(at.index(self.running.len())));
            }
            Step::End(_) => {}
        }
    }

    fn select(&mut self) {
        let mut eligible = self.pool.list();
        eligible.retain(BackendInfo::is_eligible);
        let Ok((_, completion)) = self.selector.select(&()) else {
            return assert!(eligible.is_empty());
        };
        let is_it = |info: &&BackendInfo| info.id() == completion.backend();
        let picked = eligible.iter().find(is_it).expect("it is eligible");
        let load = |info: &BackendInfo, per: &BackendInfo| {
            info.in_flight() as u64 * u64::from(per.weight())
        };
        let less = eligible
            .iter()
            .find(|other| load(other, picked) < load(picked, other));
        assert!(
            less.is_none(),
            "{picked} was picked, not {}",
            less.expect("one")
        );
        self.running.push(completion);
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn the_least_loaded_for_its_weight_is_picked_whatever_was_done_to_the_pool(
        steps in steps(), seed: u64,
    ) {
        let pool = Pool::new();
        let selector = Selector::new(pool.clone(), ExactLeastRequests::new()).seed(seed);
        let mut world = World { pool, selector, running: Vec::new() };
        for step in steps {
            world.take(step);
        }
        world.select();
    }
}
