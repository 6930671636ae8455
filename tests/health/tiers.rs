//! What part of the requests goes to which tier, and to degraded backends.

use evenkeel::backend::State;
use evenkeel::health::Watching;
use evenkeel::picker::hash::{Keyed, Maglev, key_of};
use evenkeel::picker::{Random, Selector};
use evenkeel::set::{Rules, TierStatus};
use evenkeel::{Backend, Pool};

use crate::setup::{Says, Table, noise, probed, seed};

/// How many of a tier are healthy, degraded, and down.
type Tier = (usize, usize, usize);

/// A pool in which the value of each backend is its tier.
struct World {
    pool: Pool<usize>,
    table: Table,
    _watching: Watching,
}

impl World {
    fn of(tiers: &[Tier]) -> Self {
        let (pool, table) = (Pool::new(), Table::new());
        pool.edit(|edit| {
            for (priority, &(healthy, degraded, down)) in tiers.iter().enumerate() {
                for at in 0..healthy + degraded + down {
                    let id = format!("{priority}-{at}");
                    let backend = Backend::new(id.clone(), priority);
                    edit.insert(backend.priority(priority as u32));
                    table.set(
                        id,
                        match at {
                            _ if at < healthy => Says::Well,
                            _ if at < healthy + degraded => Says::Degraded,
                            _ => Says::Down,
                        },
                    );
                }
            }
        });
        Self {
            _watching: table.watch(&pool),
            pool,
            table,
        }
    }

    async fn new(tiers: &[Tier], rules: Rules) -> Self {
        let world = Self::of(tiers);
        world.pool.set_rules(rules);
        probed().await;
        world
    }

    fn shares(&self) -> Vec<f64> {
        let status = self.pool.status();
        status.tiers().iter().map(TierStatus::share).collect()
    }

    /// What part of many requests goes to which tier.
    fn picked(&self, count: usize) -> Vec<f64> {
        let selector = Selector::<_, ()>::new(self.pool.clone(), Random::new()).seed(seed());
        let mut picked = vec![0.0; self.pool.status().tiers().len()];
        for _ in 0..count {
            picked[selector.select(&()).unwrap().0] += 1.0 / count as f64;
        }
        picked
    }
}

fn no_panic() -> Rules {
    Rules::new().panic_threshold(0.0).unwrap()
}

fn are_about(given: &[f64], expected: &[f64], by: f64) -> bool {
    let close = |(given, expected): (&f64, &f64)| (given - expected).abs() <= by;
    given.len() == expected.len() && given.iter().zip(expected).all(close)
}

/// So many healthy of 100.
fn healthy(count: usize) -> Tier {
    (count, 0, 100 - count)
}

#[tokio::test(start_paused = true)]
async fn tiers_get_what_envoys_table_says_in_exact_fractions() {
    // "Priority levels" in Envoy's documentation, two tiers and three, panic left aside.
    for (tiers, expected) in [
        (vec![100, 100], vec![1.0, 0.0]),
        (vec![72, 100], vec![1.0, 0.0]),
        (vec![71, 100], vec![0.994, 0.006]),
        (vec![50, 100], vec![0.7, 0.3]),
        (vec![25, 100], vec![0.35, 0.65]),
        (vec![0, 100], vec![0.0, 1.0]),
        (vec![100, 100, 100], vec![1.0, 0.0, 0.0]),
        (vec![72, 72, 100], vec![1.0, 0.0, 0.0]),
        (vec![71, 71, 100], vec![0.994, 0.006, 0.0]),
        (vec![50, 50, 100], vec![0.7, 0.3, 0.0]),
        (vec![25, 100, 100], vec![0.35, 0.65, 0.0]),
        (vec![25, 25, 100], vec![0.35, 0.35, 0.3]),
        (
            vec![25, 25, 20],
            vec![35.0 / 98.0, 35.0 / 98.0, 28.0 / 98.0],
        ),
    ] {
        let all: Vec<Tier> = tiers.iter().copied().map(healthy).collect();
        let world = World::new(&all, no_panic()).await;
        let shares = world.shares();
        assert!(are_about(&shares, &expected, 1e-9), "{tiers:?}: {shares:?}");
        assert!(!world.pool.status().is_in_panic());
    }
}

#[tokio::test(start_paused = true)]
async fn five_of_seven_healthy_keep_everything_and_four_keep_four_fifths() {
    for (tiers, expected) in [
        ([(7, 0, 0), (7, 0, 0)], [1.0, 0.0]),
        ([(5, 0, 2), (7, 0, 0)], [1.0, 0.0]),
        ([(4, 0, 3), (7, 0, 0)], [0.8, 0.2]),
        ([(0, 0, 7), (7, 0, 0)], [0.0, 1.0]),
    ] {
        let world = World::new(&tiers, Rules::new()).await;
        assert!(are_about(&world.shares(), &expected, 1e-9), "{tiers:?}");
        let picked = world.picked(20_000);
        let by = noise(0.2, 20_000);
        assert!(are_about(&picked, &expected, by), "{tiers:?}: {picked:?}");
        // An exact 0 and 1 are not left to chance.
        assert_eq!(picked[0] == 0.0, expected[0] == 0.0);
        assert_eq!(picked[1] == 0.0, expected[1] == 0.0);
        let status = world.pool.status();
        let tier = &status.tiers()[0];
        assert_eq!((tier.priority(), tier.members()), (0, 7));
        assert_eq!(tier.healthy(), tiers[0].0);
    }
}

#[tokio::test(start_paused = true)]
async fn degraded_backends_take_what_the_healthy_leave_as_in_envoys_table() {
    for (tier, healthy, degraded) in [
        ((100, 0, 0), 1.0, 0.0),
        ((71, 0, 29), 1.0, 0.0),
        ((71, 29, 0), 0.994, 0.006),
        ((25, 65, 10), 0.35, 0.65),
        ((5, 0, 95), 1.0, 0.0),
    ] {
        let world = World::new(&[tier], no_panic()).await;
        assert!(are_about(&world.shares(), &[1.0], 1e-9), "{tier:?}");
        let selector = Selector::<_, ()>::new(world.pool.clone(), Random::new()).seed(seed());
        let count = 10_000;
        let picked = (0..count).filter(|_| {
            let backend = selector.select(&()).unwrap().1.backend().to_owned();
            world.pool.get(&backend).unwrap().state() == State::Degraded
        });
        let picked = picked.count() as f64 / f64::from(count);
        assert!(
            (picked - degraded).abs() <= noise(degraded, 10_000),
            "{tier:?}: {picked}"
        );
        assert_eq!(healthy + degraded, 1.0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_healthy_of_all_tiers_come_before_the_degraded_of_any() {
    for (tiers, expected) in [
        ([(0, 10, 0), (10, 0, 0)], [0.0, 1.0]),
        ([(5, 5, 0), (10, 0, 0)], [0.7, 0.3]),
        // 0.14 and 0.7 are healthy, 0.16 are left for the degraded of the first.
        ([(1, 9, 0), (5, 0, 5)], [0.3, 0.7]),
        // 0.28 + 0.28 healthy, 0.28 of the first's and 0.16 of the second's degraded.
        ([(2, 2, 6), (2, 5, 3)], [0.56, 0.44]),
    ] {
        let world = World::new(&tiers, no_panic()).await;
        let shares = world.shares();
        assert!(are_about(&shares, &expected, 1e-9), "{tiers:?}: {shares:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_panics_uses_all_of_its_own_and_only_if_together_they_do_not_suffice() {
    // 0.56 and 1.0: together they suffice.
    let world = World::new(&[(4, 0, 6), (10, 0, 0)], Rules::new()).await;
    assert!(!world.pool.status().is_in_panic());
    // 0.28 and 0.7: the first is below the threshold, the second is not.
    let world = World::new(&[(2, 0, 8), (5, 0, 5)], Rules::new()).await;
    let status = world.pool.status();
    assert!(status.tiers()[0].is_in_panic() && !status.tiers()[1].is_in_panic());
    assert!(are_about(&world.shares(), &[0.28 / 0.98, 0.7 / 0.98], 1e-9));
    let eligible = |world: &World, tier: u32| {
        let list = world.pool.list().into_iter();
        list.filter(|info| info.priority() == tier && info.is_eligible())
            .count()
    };
    assert_eq!((eligible(&world, 0), eligible(&world, 1)), (10, 5));
    // Both are: by their numbers of backends.
    let world = World::new(&[(2, 0, 8), (4, 0, 26)], Rules::new()).await;
    assert!(
        world
            .pool
            .status()
            .tiers()
            .iter()
            .all(TierStatus::is_in_panic)
    );
    assert!(are_about(&world.shares(), &[0.25, 0.75], 1e-9));
    assert_eq!((eligible(&world, 0), eligible(&world, 1)), (10, 30));
}

#[tokio::test(start_paused = true)]
async fn a_plain_backup_is_used_when_nobody_before_it_is_healthy() {
    for (tiers, expected) in [
        ([(7, 0, 0), (7, 0, 0), (7, 0, 0)], [1.0, 0.0, 0.0]),
        ([(1, 0, 6), (7, 0, 0), (7, 0, 0)], [1.0, 0.0, 0.0]),
        ([(0, 0, 7), (1, 0, 6), (7, 0, 0)], [0.0, 1.0, 0.0]),
        ([(0, 0, 7), (0, 0, 7), (1, 0, 6)], [0.0, 0.0, 1.0]),
    ] {
        let world = World::new(&tiers, Rules::new().plain_backup()).await;
        assert_eq!(world.shares(), expected, "{tiers:?}");
        assert!(!world.pool.status().is_in_panic(), "{tiers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_overprovisioning_factor_is_a_setting() {
    for (factor, expected) in [(1.0, [0.5, 0.5]), (1.2, [0.6, 0.4]), (2.0, [1.0, 0.0])] {
        let rules = no_panic().overprovisioning(factor).unwrap();
        let world = World::new(&[(5, 0, 5), (10, 0, 0)], rules).await;
        assert!(are_about(&world.shares(), &expected, 1e-9), "{factor}");
    }
}

#[tokio::test(start_paused = true)]
async fn tiers_are_by_their_priority_whatever_the_numbers_and_the_order() {
    let pool = Pool::new();
    for (id, priority) in [("c", 9), ("a", 2), ("d", 9), ("b", 2), ("e", 100)] {
        pool.insert(Backend::new(id, priority as usize).priority(priority));
    }
    let status = pool.status();
    let tiers: Vec<_> = status
        .tiers()
        .iter()
        .map(|tier| (tier.priority(), tier.members(), tier.share()))
        .collect();
    assert_eq!(tiers, [(2, 2, 1.0), (9, 2, 0.0), (100, 1, 0.0)]);
    // A tier of which nobody is left is passed over.
    pool.drain("a");
    pool.set_weight("b", 0);
    assert_eq!(pool.status().tiers()[1].share(), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_key_stays_where_it_is_and_a_fifth_of_them_move_when_a_fifth_has_to() {
    let world = World::new(&[(7, 0, 0), (7, 0, 0)], Rules::new()).await;
    let by_number = key_of(|number: &u64| Some((*number).into()));
    let picker = Keyed::new(Maglev::new(), by_number);
    let selector = Selector::new(world.pool.clone(), picker);
    let count = 20_000u64;
    let homes = || {
        let home = |key| {
            let home = selector.select(&key).unwrap().1.backend().to_owned();
            let again = selector.select(&key).unwrap();
            assert_eq!(again.1.backend(), home, "{key}");
            home
        };
        (0..count).map(home).collect::<Vec<_>>()
    };
    let before = homes();
    assert!(before.iter().all(|home| home.starts_with("0-")));

    for at in 4..7 {
        world.table.set(format!("0-{at}"), Says::Down);
    }
    probed().await;
    assert!(are_about(&world.shares(), &[0.8, 0.2], 1e-9));
    let after = homes();
    let second = after.iter().filter(|home| home.starts_with("1-"));
    let second = second.count() as f64 / count as f64;
    assert!(
        (second - 0.2).abs() < noise(0.2, count as usize),
        "{second}"
    );
    // Of those whose backend is still there.
    let stays = ["0-0", "0-1", "0-2", "0-3"];
    let there = || {
        let pairs = before.iter().zip(&after);
        pairs.filter(|(before, _)| stays.contains(&before.as_str()))
    };
    let moved = there().filter(|(before, after)| before != after);
    assert!(moved.clone().all(|(_, after)| after.starts_with("1-")));
    let (moved, all) = (moved.count(), there().count());
    let part = moved as f64 / all as f64;
    println!("{moved} of {all} moved");
    assert!((part - 0.2).abs() < noise(0.2, all), "{part}");

    // They all go back.
    for at in 4..7 {
        world.table.set(format!("0-{at}"), Says::Well);
    }
    probed().await;
    assert_eq!(homes(), before);
}
