//! The figures of the literature for subsets of a fleet's backends.

use std::num::NonZeroU32;

use evenkeel::Backend;
use evenkeel::set::Subset;
use evenkeel::sim::{Fleet, FleetReport};

fn fleet(clients: u32, backends: u32) -> Fleet {
    let number = |number| NonZeroU32::new(number).unwrap();
    Fleet::new(number(clients), number(backends))
}

fn ringsteady(fleet: Fleet, size: usize) -> FleetReport {
    fleet.subsets(|client| Subset::ringsteady(client, size).unwrap())
}

fn rendezvous(fleet: Fleet, size: usize) -> FleetReport {
    fleet.subsets(|client| Subset::rendezvous(format!("client {client}"), size).unwrap())
}

/// ACM Queue 20 (5), 2022: as even as can be, and no connection is given up without need.
#[test]
fn ringsteady_is_even_and_gives_nothing_up() {
    let report = ringsteady(fleet(300, 300), 30);
    assert_eq!((report.least(), report.most()), (1.0, 1.0), "{report}");
    assert!(report.deviation() < 1e-9, "{report}");
    assert!(report.dropped_when_one_leaves() < 1e-9, "{report}");
    assert!(
        (report.dropped_when_one_joins() - 0.1).abs() < 0.01,
        "{report}"
    );
    assert!((report.size() - 30.0).abs() < 1e-9);
}

/// Where there are more backends than clients have room for, some have nobody.
#[test]
fn a_few_clients_of_many_backends() {
    let report = ringsteady(fleet(50, 1000), 20);
    assert_eq!((report.least(), report.most()), (0.0, 2.0), "{report}");
    let report = rendezvous(fleet(50, 1000), 20);
    assert!(report.least() < 0.1 && report.most() >= 4.0, "{report}");
}

/// By chance: the number of a backend's clients has a standard deviation of about its root.
#[test]
fn rendezvous_is_as_even_as_chance_is_and_gives_nothing_up() {
    let report = rendezvous(fleet(300, 300), 30);
    assert!((0.3..0.7).contains(&report.least()), "{report}");
    assert!((1.3..1.7).contains(&report.most()), "{report}");
    assert!(
        (report.deviation() - (0.9 / 30.0f64).sqrt()).abs() < 0.03,
        "{report}"
    );
    assert!(report.dropped_when_one_leaves() < 1e-9, "{report}");
    assert!(
        (report.dropped_when_one_joins() - 0.1).abs() < 0.05,
        "{report}"
    );
}

/// Without numbers backends stand where their hashes say: stable still, and less even.
#[test]
fn ringsteady_without_numbers_is_stable_and_less_even() {
    let report = fleet(300, 300).subsets(|client| {
        let subset = Subset::ringsteady(client, 30).unwrap();
        subset.ordinal_of(|_| None)
    });
    assert!(report.least() < 0.9 && report.most() > 1.1, "{report}");
    assert!(report.dropped_when_one_leaves() < 1e-9, "{report}");
    assert!(report.dropped_when_one_joins() < 0.2, "{report}");
}

#[test]
fn a_rule_that_moves_everybody_is_seen() {
    let size = 5;
    let report = fleet(20, 20).choices(|client, backends: &[Backend<u32>]| {
        let first = (client as usize + backends.len()) % backends.len();
        let ring = backends.iter().cycle().skip(first).take(size);
        ring.map(|backend| *backend.value()).collect()
    });
    assert_eq!((report.least(), report.most()), (1.0, 1.0));
    assert!(report.dropped_when_one_leaves() > 0.4, "{report}");
}
