//! How the local zone is preferred.

use std::collections::BTreeMap;

use evenkeel::picker::{Random, Selector};
use evenkeel::set::Rules;
use evenkeel::{Backend, Pool};

use crate::setup::{Says, Table, noise, probed, seed};

/// So many backends in each zone, of which so many are down, each of this weight.
fn pool(
    zones: &[(&'static str, usize, u32)],
    table: &Table,
    down: &[(&str, usize)],
) -> Pool<&'static str> {
    let pool = Pool::new();
    for &(zone, count, weight) in zones {
        for at in 0..count {
            let backend = Backend::new(format!("{zone}{at}"), zone).weight(weight);
            pool.insert(if zone == "nowhere" {
                backend
            } else {
                backend.zone(zone)
            });
        }
    }
    for &(zone, count) in down {
        for at in 0..count {
            table.set(format!("{zone}{at}"), Says::Down);
        }
    }
    pool
}

/// What part of the requests goes to each zone.
fn picked(pool: &Pool<&'static str>) -> BTreeMap<&'static str, f64> {
    let selector = Selector::<_, ()>::new(pool.clone(), Random::new()).seed(seed());
    let mut picked = BTreeMap::new();
    for _ in 0..COUNT {
        *picked.entry(selector.select(&()).unwrap().0).or_default() += 1.0 / COUNT as f64;
    }
    picked
}

const COUNT: usize = 20_000;

fn expect(pool: &Pool<&'static str>, expected: &[(&str, f64)]) {
    let picked = picked(pool);
    for &(zone, expected) in expected {
        let part = picked.get(zone).copied().unwrap_or(0.0);
        if expected == 0.0 || expected == 1.0 {
            assert_eq!(part > 0.0, expected > 0.0, "{zone}: {picked:?}");
        }
        let by = noise(expected, COUNT) + 1e-9;
        assert!(
            (part - expected).abs() <= by,
            "{zone}, {expected}: {picked:?}"
        );
    }
    let known = |zone: &&&str| expected.iter().any(|(other, _)| other == *zone);
    assert_eq!(
        picked.keys().filter(known).count(),
        picked.len(),
        "{picked:?}"
    );
}

fn local() -> Rules {
    Rules::new().local_zone("a")
}

#[tokio::test(start_paused = true)]
async fn requests_stay_in_a_zone_that_has_its_share_of_the_capacity() {
    let table = Table::new();
    for zones in [
        vec![("a", 2, 1), ("b", 2, 1)],
        vec![("a", 3, 1), ("b", 2, 1)],
        vec![("a", 1, 1), ("b", 1, 1), ("c", 1, 1)],
        vec![("a", 1, 4), ("b", 2, 2)],
        vec![("a", 1, 1)],
    ] {
        let pool = pool(&zones, &table, &[]);
        pool.set_rules(local());
        expect(&pool, &[("a", 1.0), ("b", 0.0), ("c", 0.0)]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_goes_to_the_others_in_proportion_to_what_they_have_left() {
    let table = Table::new();
    // Capacity 1/4, callers 1/2: half of them fit.
    let two = pool(&[("a", 1, 1), ("b", 3, 1)], &table, &[]);
    two.set_rules(local());
    expect(&two, &[("a", 0.5), ("b", 0.5)]);
    // By weight, not by number.
    let two = pool(&[("a", 3, 1), ("b", 3, 3)], &table, &[]);
    two.set_rules(local());
    expect(&two, &[("a", 0.5), ("b", 0.5)]);
    // 0.125 of 1/3 fits; b has nothing left.
    let three = pool(&[("a", 1, 1), ("b", 2, 1), ("c", 5, 1)], &table, &[]);
    three.set_rules(local());
    expect(&three, &[("a", 0.375), ("b", 0.0), ("c", 0.625)]);
    // 0.1 of 1/3 fits; b and c have 0.4 - 1/3 and 0.5 - 1/3 left, as 2 to 5.
    let three = pool(&[("a", 1, 1), ("b", 4, 1), ("c", 5, 1)], &table, &[]);
    three.set_rules(local());
    expect(&three, &[("a", 0.3), ("b", 0.2), ("c", 0.5)]);
}

#[tokio::test(start_paused = true)]
async fn the_callers_can_be_told() {
    let table = Table::new();
    let three = pool(&[("a", 1, 1), ("b", 4, 1), ("c", 5, 1)], &table, &[]);
    // Of 2, 3 and 5 callers: half of the local ones fit, b has 0.1 left, c nothing.
    let rules = local()
        .callers([("a", 2.0), ("b", 3.0), ("c", 5.0)])
        .unwrap();
    three.set_rules(rules);
    expect(&three, &[("a", 0.5), ("b", 0.5), ("c", 0.0)]);
    // So few that all fit.
    let rules = local().callers([("a", 1.0), ("b", 9.0)]).unwrap();
    three.set_rules(rules);
    expect(&three, &[("a", 1.0), ("b", 0.0), ("c", 0.0)]);
    // Callers in a zone without backends.
    let rules = local().callers([("a", 1.0), ("far", 4.0)]).unwrap();
    three.set_rules(rules);
    expect(
        &three,
        &[("a", 0.5), ("b", 0.5 * 4.0 / 9.0), ("c", 0.5 * 5.0 / 9.0)],
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_healthy_local_backend_all_others_serve() {
    let table = Table::new();
    // 1/3 of the callers are here; b and c have 2/8 and 6/8.
    let three = pool(
        &[("a", 2, 1), ("b", 2, 1), ("c", 6, 1)],
        &table,
        &[("a", 2)],
    );
    three.set_rules(local());
    let _watching = table.watch(&three);
    probed().await;
    expect(&three, &[("a", 0.0), ("b", 0.0), ("c", 1.0)]);
    // The callers are in zones that nobody else calls from: by what they have.
    let rules = local().callers([("a", 1.0)]).unwrap();
    three.set_rules(rules);
    expect(&three, &[("a", 0.0), ("b", 0.25), ("c", 0.75)]);
    // A zone in which there is nothing at all.
    three.set_rules(
        Rules::new()
            .local_zone("nobody's")
            .callers([("nobody's", 1.0)])
            .unwrap(),
    );
    expect(&three, &[("a", 0.0), ("b", 0.25), ("c", 0.75)]);
}

#[tokio::test(start_paused = true)]
async fn a_zones_capacity_is_that_of_its_healthy_backends() {
    let table = Table::new();
    let two = pool(&[("a", 4, 1), ("b", 4, 1)], &table, &[("a", 2)]);
    two.set_rules(local());
    let _watching = table.watch(&two);
    probed().await;
    // 2 of 6 are healthy here, for 1/2 of the callers.
    expect(&two, &[("a", 2.0 / 3.0), ("b", 1.0 / 3.0)]);
}

#[tokio::test(start_paused = true)]
async fn backends_without_a_zone_are_another_zone_that_nobody_calls_from() {
    let table = Table::new();
    // 1/4 of 1 fits.
    let pool = pool(&[("a", 1, 1), ("nowhere", 3, 1)], &table, &[]);
    pool.set_rules(local());
    expect(&pool, &[("a", 0.25), ("nowhere", 0.75)]);
}

#[tokio::test(start_paused = true)]
async fn zones_are_ignored_in_panic() {
    let table = Table::new();
    let two = pool(&[("a", 4, 1), ("b", 4, 1)], &table, &[("a", 3), ("b", 3)]);
    two.set_rules(local());
    let _watching = table.watch(&two);
    probed().await;
    assert!(two.status().is_in_panic());
    expect(&two, &[("a", 0.5), ("b", 0.5)]);
}
