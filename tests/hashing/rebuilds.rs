//! When a table is built, seen by the memory that it takes.

use evenkeel::Pool;
use evenkeel::picker::Selector;
use evenkeel::picker::hash::{Keyed, Maglev, WholeRequest};

use crate::setup::{backend, id, keyed, keys, places, pool};

/// Four bytes for each slot.
const TABLE: u64 = 4 * 65_537;

#[test]
fn a_table_is_built_when_members_weights_or_hash_keys_change_and_not_otherwise() {
    let pool = pool(&[1; 20]);
    let picker = Keyed::new(Maglev::new(), WholeRequest);
    let _selector = Selector::<usize, str>::new(pool.clone(), picker);
    let builds = |change: &dyn Fn(&Pool<usize>)| {
        let info = allocation_counter::measure(|| change(&pool));
        info.bytes_total >= TABLE
    };
    for (what, change, expected) in [
        (
            "drain",
            &(|pool: &Pool<usize>| assert!(pool.drain(&id(1)))) as &dyn Fn(&Pool<_>),
            false,
        ),
        ("undrain", &|pool| assert!(pool.undrain(&id(1))), false),
        (
            "metadata",
            &|pool| assert!(!pool.insert(backend(2, 1).metadata("rack", "7"))),
            false,
        ),
        (
            "another value",
            &|pool| assert!(!pool.insert(backend(2, 1))),
            false,
        ),
        ("weight", &|pool| assert!(pool.set_weight(&id(3), 2)), true),
        (
            "hash key",
            &|pool| assert!(!pool.insert(backend(4, 1).hash_key("x"))),
            true,
        ),
        ("join", &|pool| assert!(pool.insert(backend(20, 1))), true),
        ("leave", &|pool| assert!(pool.remove(&id(20))), true),
    ] {
        assert_eq!(builds(change), expected, "{what}");
    }
}

#[test]
fn each_of_many_twins_takes_over_for_its_own() {
    const PAIRS: usize = 50;
    let all = pool(&[1; PAIRS]);
    let keys = keys(1_000);
    let picker = || keyed(Maglev::new(), None);
    let before = places(&Selector::new(all.clone(), picker()), &keys);
    all.edit(|edit| {
        for at in 0..PAIRS {
            edit.insert(backend(PAIRS + at, 1).hash_key(id(at)));
            edit.drain(&id(at));
        }
    });
    let after = places(&Selector::new(all, picker()), &keys);
    let twins: Vec<_> = before.iter().map(|at| PAIRS + at).collect();
    assert_eq!(after, twins);
}
