//! Pickers that take each other's place while requests run.

use std::sync::Arc;

use evenkeel::backend::BackendInfo;
use evenkeel::picker::{Adaptive, Algorithm};

use crate::in_flight;
use crate::virtual_time::Virtual;
use crate::world::World;

fn set(world: &World, algorithm: Algorithm) {
    world.selector.set_picker(Virtual {
        picker: algorithm.picker(),
        clock: Arc::clone(&world.clock),
    });
}

#[test]
fn requests_of_the_picker_before_change_nothing_for_the_next() {
    let world = World::new(2);
    let before: Vec<_> = (0..8).map(|_| world.begin_at(0)).collect();
    set(&world, Algorithm::Adaptive);
    let _held: Vec<_> = (0..3).map(|_| world.begin_at(0)).collect();
    world.probed(0, in_flight(3));
    world.probed(1, in_flight(4));
    for request in before {
        request.succeed();
    }
    // 3 own against 4 others: one more, and they are alike.
    let (picked, _held) = world.begin_many(3);
    assert_eq!(picked[0], 0);
    assert_eq!(
        picked.iter().filter(|&&at| at == 0).count(),
        2,
        "{picked:?}"
    );
}

#[test]
fn one_that_comes_back_knows_nothing_of_what_went_on_meanwhile_and_goes_by_the_pools_count() {
    let world = World::new(4);
    let picker = Arc::new(Adaptive::new());
    world.selector.set_picker(Arc::clone(&picker));
    let held = world.begin_many(8).1;
    set(&world, Algorithm::RoundRobin);
    let _more: Vec<_> = (0..6).map(|_| world.begin_at(0)).collect();
    drop(held);
    world.selector.set_picker(picker);
    assert_eq!(world.spread(18), [0, 6, 6, 6]);
}

#[test]
fn every_picker_can_follow_every_other_while_requests_run() {
    let world = World::new(3);
    for &first in Algorithm::ALL {
        for &second in Algorithm::ALL {
            set(&world, first);
            let (_, held) = world.begin_many(6);
            set(&world, second);
            let (_, more) = world.begin_many(6);
            let requests = held.into_iter().chain(more);
            requests.enumerate().for_each(|(at, request)| {
                if at % 3 != 0 {
                    request.succeed();
                }
            });
            let left: usize = world.pool.list().iter().map(BackendInfo::in_flight).sum();
            assert_eq!(left, 0, "{first}, then {second}");
        }
    }
}
