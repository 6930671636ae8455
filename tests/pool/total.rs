//! How many requests are in flight at all that can be picked, however it is found out.

use evenkeel::backend::{Completion, Outcome};
use evenkeel::picker::hash::{Keyed, Maglev, WholeRequest};
use evenkeel::picker::{RoundRobin, Selector};
use evenkeel::set::Masked;
use evenkeel::{Backend, BackendSet, Pool};
use proptest::prelude::*;

/// What is done to a pool.
#[derive(Clone, Debug)]
enum Step {
    Insert(u8),
    Remove(u8),
    Drain(u8),
    Undrain(u8),
    Start,
    Finish(usize),
    /// A picker that needs the total arrives.
    Count,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = 0_u8..5;
    let step = prop_oneof![
        1 => id.clone().prop_map(Step::Insert),
        1 => id.clone().prop_map(Step::Remove),
        1 => id.clone().prop_map(Step::Drain),
        1 => id.prop_map(Step::Undrain),
        4 => Just(Step::Start),
        3 => any::<usize>().prop_map(Step::Finish),
        1 => Just(Step::Count),
    ];
    prop::collection::vec(step, 1..100)
}

fn assert_adds_up(set: &dyn BackendSet) {
    let sum: usize = (0..set.len()).map(|rank| set.in_flight(rank)).sum();
    let weight: u64 = (0..set.len()).map(|rank| u64::from(set.weight(rank))).sum();
    assert_eq!((set.total_in_flight(), set.total_weight()), (sum, weight));
}

proptest! {
    #[test]
    fn totals_are_those_of_the_backends_that_can_be_picked(steps in steps()) {
        let pool = Pool::new();
        let round_robin = Selector::<_, str>::new(pool.clone(), RoundRobin::new());
        let mut counting = Vec::new();
        let mut running: Vec<Completion> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(id) => {
                    let weight = u32::from(id) + 1;
                    pool.insert(Backend::new(id.to_string(), ()).weight(weight));
                }
                Step::Remove(id) => {
                    pool.remove(&id.to_string());
                }
                Step::Drain(id) => {
                    pool.drain(&id.to_string());
                }
                Step::Undrain(id) => {
                    pool.undrain(&id.to_string());
                }
                Step::Start => running.extend(round_robin.select("").map(|((), started)| started)),
                Step::Finish(at) if !running.is_empty() => {
                    running.swap_remove(at % running.len()).finish(Outcome::Success);
                }
                Step::Finish(_) => {}
                Step::Count => {
                    let keyed = Keyed::new(Maglev::with_size(7).unwrap(), WholeRequest);
                    let keyed = keyed.bounded_load(1.25).unwrap();
                    counting.push(Selector::<_, str>::new(pool.clone(), keyed));
                }
            }
            pool.start(|set| {
                assert_adds_up(set);
                let mut masked = Masked::new(set);
                masked.mask(0);
                masked.mask(1);
                assert_adds_up(&masked);
                None
            });
        }
    }
}
