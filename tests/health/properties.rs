//! Any order of requests, probes, orders and changes: what holds at each moment, and that everyone
//! is back in the end.

use evenkeel::backend::{Failure, Outcome};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::setup::Says;
use crate::world::World;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Insert(usize, u32),
    Remove(usize),
    /// Out and in again, at once.
    Renew(usize),
    Weight(usize, u32),
    Order(usize, Order),
    Requests(usize, usize, Outcome),
    Select(usize, Outcome),
    Keep(usize),
    Finish(Index, Word, Outcome),
    Says(usize, Says),
    Rules(usize),
    WatchAgain,
    Wait(u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Drain,
    Undrain,
    ForceDown,
    ForceUp,
    Unforce,
}

/// What a response says before its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    Nothing,
    Head,
    Degraded,
    RetryAfter,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = || 0usize..7;
    let outcome = || {
        select(vec![
            Outcome::Success,
            Outcome::Success,
            Outcome::Failure(Failure::Connect),
            Outcome::Failure(Failure::Response),
            Outcome::Failure(Failure::Body),
            Outcome::Failure(Failure::Timeout),
            Outcome::Rejected,
            Outcome::Cancelled,
        ])
    };
    let order = select(vec![
        Order::Drain,
        Order::Undrain,
        Order::ForceDown,
        Order::ForceUp,
        Order::Unforce,
    ]);
    let word = select(vec![
        Word::Nothing,
        Word::Head,
        Word::Degraded,
        Word::RetryAfter,
    ]);
    let says = select(vec![
        Says::Well,
        Says::Well,
        Says::Down,
        Says::Degraded,
        Says::Nothing,
    ]);
    let wait = select(vec![1, 2, 4, 6, 40, 200, 1_000, 2_500, 7_000]);
    let step = prop_oneof![
        4 => (id(), 0u32..4).prop_map(|(id, weight)| Step::Insert(id, weight)),
        1 => id().prop_map(Step::Remove),
        1 => id().prop_map(Step::Renew),
        1 => (id(), 0u32..4).prop_map(|(id, weight)| Step::Weight(id, weight)),
        2 => (id(), order).prop_map(|(id, order)| Step::Order(id, order)),
        5 => (id(), 1usize..8, outcome()).prop_map(|(id, n, end)| Step::Requests(id, n, end)),
        3 => (1usize..8, outcome()).prop_map(|(count, end)| Step::Select(count, end)),
        2 => (1usize..6).prop_map(Step::Keep),
        2 => (any::<Index>(), word, outcome()).prop_map(|(at, word, end)| Step::Finish(at, word, end)),
        3 => (id(), says).prop_map(|(id, says)| Step::Says(id, says)),
        1 => (0usize..5).prop_map(Step::Rules),
        1 => Just(Step::WatchAgain),
        5 => wait.prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..100)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(300)
    })]

    #[test]
    fn any_order_of_events_leaves_somebody_eligible_and_nobody_stuck(
        steps in steps(),
        gated: bool,
        seed: u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        runtime.block_on(async {
            let mut world = World::new(gated, seed);
            for step in &steps {
                world.take(step).await;
            }
            world.end().await;
        });
    }
}
