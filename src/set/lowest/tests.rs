use super::*;
use crate::backend::{Completion, Handle, LatencySettings, Live};

/// Backends by slot, and the index that knows them.
struct World {
    index: Index,
    backends: Vec<Backend>,
    rng: fastrand::Rng,
}

struct Backend {
    live: Arc<Live>,
    weight: u32,
    listed: bool,
    running: Vec<Completion>,
}

fn live() -> Arc<Live> {
    let handle = Handle::of_slot(0);
    Arc::new(Live::new("a".into(), handle, LatencySettings::new()))
}

impl World {
    fn new(weights: impl IntoIterator<Item = u32>, seed: u64) -> Self {
        let mut world = Self {
            index: Index::default(),
            backends: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
        };
        for (slot, weight) in weights.into_iter().enumerate() {
            let live = live();
            world.index.place(slot, weight, &live);
            world.backends.push(Backend {
                live,
                weight,
                listed: true,
                running: Vec::new(),
            });
        }
        world
    }

    fn start(&mut self, slot: usize, requests: usize) {
        let backend = &mut self.backends[slot];
        let start = || Completion::begin(&backend.live, None, None, None);
        backend.running.extend((0..requests).map(|_| start()));
    }

    fn set_weight(&mut self, slot: usize, weight: u32) {
        let backend = &mut self.backends[slot];
        self.index.place(slot, weight, &backend.live);
        backend.weight = weight;
    }

    /// Another takes its slot, while its requests go on for a while.
    fn replace(&mut self, slot: usize) -> Vec<Completion> {
        let backend = &mut self.backends[slot];
        backend.live.retire();
        self.index.release(slot);
        backend.live = live();
        self.index.place(slot, backend.weight, &backend.live);
        std::mem::take(&mut backend.running)
    }

    /// Those on the list, in the order of their ranks.
    fn listed(&self) -> Vec<&Backend> {
        let backends = self.backends.iter();
        backends
            .filter(|backend| backend.listed && backend.weight > 0)
            .collect()
    }

    fn lowest(&self) -> Option<Lowest> {
        let backends = self.backends.iter().enumerate();
        let listed = backends.filter(|(_, backend)| backend.listed && backend.weight > 0);
        Lowest::of(
            &self.index,
            listed.map(|(slot, backend)| (slot, backend.weight)),
        )
    }

    fn find(&mut self) -> Option<usize> {
        let random = self.rng.u64(..);
        let listed = self.listed();
        self.lowest()?
            .find(random, |rank| listed[rank].running.len())
    }

    /// That whoever is found has the least load, and that somebody is.
    fn check(&mut self) {
        let found = self.find();
        let listed = self.listed();
        let load =
            |backend: &Backend, per: &Backend| backend.running.len() as u64 * u64::from(per.weight);
        let Some(found) = found else {
            let has_few = |backend: &&&Backend| backend.running.len() < TOP;
            let least = listed
                .iter()
                .min_by(|a, b| load(a, b).cmp(&load(b, a)))
                .filter(has_few);
            // It may tie with one that has too many.
            let tied = |least: &&Backend| {
                let same = |other: &&&Backend| load(other, least) == load(least, other);
                listed
                    .iter()
                    .filter(same)
                    .any(|other| other.running.len() >= TOP)
            };
            assert!(least.is_none_or(|least| tied(least) || self.hides(least)));
            return;
        };
        let found = listed[found];
        let less = |other: &&&Backend| load(other, found) < load(found, other);
        assert!(listed.iter().find(less).is_none());
    }

    /// Whether someone has so many requests that it may have less load than this one, for all that
    /// the index knows.
    fn hides(&self, least: &Backend) -> bool {
        let bound = TOP as u64 * u64::from(least.weight);
        let may_be_less =
            |other: &&&Backend| bound <= least.running.len() as u64 * u64::from(other.weight);
        let listed = self.listed();
        let mut many = listed.iter().filter(|other| other.running.len() >= TOP);
        many.any(|other| may_be_less(&other))
    }
}

#[test]
fn after_any_changes_the_least_loaded_is_found() {
    for seed in 0..40 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let most = [1, 3, 10, 100_000][rng.usize(..4)];
        let size = [1, 2, 31, 33, 70, 300][rng.usize(..6)];
        let weights: Vec<u32> = (0..size).map(|_| rng.u32(1..=most.min(60))).collect();
        let scale = most / most.min(60);
        let mut world = World::new(weights.into_iter().map(|weight| weight * scale), seed);
        // Of many requests at once, so that all levels are seen.
        let burst = [1, 5, 300][rng.usize(..3)];
        let mut left = Vec::new();
        for _ in 0..400 {
            let slot = rng.usize(..size);
            match rng.u32(..12) {
                0 => world.set_weight(slot, rng.u32(1..=most.min(60)) * scale),
                1 => world.set_weight(slot, 0),
                2 => world.backends[slot].listed ^= true,
                3 => left.extend(world.replace(slot)),
                4 => left.clear(),
                5..8 => {
                    let running = &mut world.backends[slot].running;
                    running.truncate(rng.usize(..=running.len()));
                }
                8 => world.start(slot, rng.usize(..=burst)),
                _ => {
                    if let Some(rank) = world.find() {
                        let found = Arc::clone(&world.listed()[rank].live);
                        let same = |backend: &Backend| Arc::ptr_eq(&backend.live, &found);
                        let slot = world.backends.iter().position(same);
                        world.start(slot.expect("it is listed"), 1);
                    }
                }
            }
            world.check();
        }
    }
}

#[test]
fn those_that_tie_are_found_in_proportion_to_their_weights() {
    const FINDS: u32 = 20_000;
    let even: fn(u32) -> u32 = |_| 3;
    let uneven: fn(u32) -> u32 = |at| at % 5 + 1;
    // How many of a hundred tie; with how many requests for each unit of weight.
    for (weight, tie, each) in [
        (even, 100, 0),
        (even, 100, 7),
        (even, 5, 1),
        (uneven, 100, 0),
        (uneven, 100, 20),
        (uneven, 40, 1),
        (uneven, 2, 1),
    ] {
        let weights: Vec<u32> = (0..100).map(weight).collect();
        let mut world = World::new(weights.iter().copied(), 7);
        // A prime: not all that tie are neighbours.
        let ties = |slot: usize| slot * 37 % 100 < tie;
        for (slot, &weight) in weights.iter().enumerate() {
            let requests = weight as usize * each;
            world.start(slot, if ties(slot) { requests } else { requests + 1 });
        }
        let mut counts = [0_u32; 100];
        for _ in 0..FINDS {
            counts[world.find().expect("all have few")] += 1;
        }
        let total: u32 = (0..100)
            .filter(|&slot| ties(slot))
            .map(|slot| weights[slot])
            .sum();
        let mut chi_square = 0.0;
        for (slot, &count) in counts.iter().enumerate() {
            if !ties(slot) {
                assert_eq!(count, 0);
                continue;
            }
            let expected = f64::from(FINDS) * f64::from(weights[slot]) / f64::from(total);
            chi_square += (f64::from(count) - expected).powi(2) / expected;
        }
        // Its mean is the degrees of freedom, its variance twice that.
        let freedom = (tie - 1) as f64;
        let bound = freedom + 5.0 * (2.0 * freedom).sqrt();
        assert!(chi_square < bound, "{chi_square} of {freedom}, {tie} tie");
    }
}

#[test]
fn with_very_many_weights_some_are_not_indexed_until_there_is_room_again() {
    let weights = 1..=GROUPS as u32 + 1;
    let mut world = World::new(weights, 0);
    assert!(world.lowest().is_none());
    world.backends[GROUPS].listed = false;
    assert!(world.lowest().is_some());
    // One weight less in use, and it has room.
    world.set_weight(0, 2);
    world.set_weight(GROUPS, 1_000);
    world.backends[GROUPS].listed = true;
    world.check();
    assert!(world.find().is_some());
}

#[test]
fn more_than_one_piece_is_no_problem() {
    let mut world = World::new((0..5_000).map(|_| 1), 0);
    for slot in 0..5_000 {
        world.start(slot, 2 - usize::from(slot == 4_321));
    }
    for _ in 0..100 {
        assert_eq!(world.find(), Some(4_321));
    }
    world.start(4_321, 1);
    let found: Vec<usize> = (0..50).filter_map(|_| world.find()).collect();
    assert!(found.iter().any(|&rank| rank < 2_048) && found.iter().any(|&rank| rank >= 2_048));
    world.check();
}
