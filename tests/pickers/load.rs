//! Pickers that compare loads pick the lesser one.

use std::num::NonZeroUsize;
use std::time::Duration;

use evenkeel::picker::{Algorithm, ExactLeastRequests, Ordered, Picker, Selector};
use evenkeel::{Backend, BackendSet, Pool};
use proptest::prelude::*;

use crate::{Member, cases, context, members, picker};

/// What a weight's worth of this backend's load is, times the weight of the other.
fn load(member: &Member, other: &Member) -> u128 {
    member.in_flight as u128 * u128::from(other.weight)
}

/// Beyond 2^32 requests loads may count as equal.
fn countable(members: Vec<Member>) -> Vec<Member> {
    let countable = |member: &Member| member.in_flight < 1 << 32;
    members.into_iter().filter(countable).collect()
}

fn pair(in_flight: [usize; 2], latency: [u64; 2], weight: u32) -> [Member; 2] {
    [0, 1].map(|at| Member {
        id: "",
        weight,
        in_flight: in_flight[at],
        latency: Some(Duration::from_millis(latency[at])),
    })
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn exact_least_requests_picks_a_true_minimum(set in members(), seed: u64) {
        let set = countable(set);
        let picker = picker(Algorithm::ExactLeastRequests, seed, None);
        if let Some(rank) = picker.pick(&set, &(), &mut context(seed)) {
            let picked = &set[rank];
            let less = |other: &&Member| load(other, picked) < load(picked, other);
            prop_assert_eq!(set.iter().filter(|other| other.weight > 0).find(less), None);
        }
    }

    #[test]
    fn of_two_backends_least_requests_picks_the_less_loaded(
        loads in any::<[u32; 2]>(), weight in 1u32.., seed: u64,
    ) {
        let set = pair(loads.map(|load| load as usize), [1, 1], weight);
        let picker = picker(Algorithm::LeastRequests, seed, Some(&set));
        let picked = picker.pick(&set, &(), &mut context(seed));
        prop_assert!(loads[0] == loads[1] || picked == Some(usize::from(loads[1] < loads[0])));
    }

    #[test]
    fn of_two_backends_least_response_time_picks_the_one_that_should_answer_first(
        loads in any::<[u8; 2]>(), latency in any::<[u8; 2]>(), weight in 1u32.., seed: u64,
    ) {
        let set = pair(loads.map(usize::from), latency.map(u64::from), weight);
        let picker = picker(Algorithm::LeastResponseTime, seed, Some(&set));
        let picked = picker.pick(&set, &(), &mut context(seed));
        let score = [0, 1].map(|at| (u32::from(loads[at]) + 1) * u32::from(latency[at]));
        prop_assert!(score[0] == score[1] || picked == Some(usize::from(score[1] < score[0])));
    }

    #[test]
    fn ordered_picks_the_first_that_has_room(set in members(), capacity in 1usize..5, seed: u64) {
        let set = countable(set);
        let picker = Ordered::new().capacity(NonZeroUsize::new(capacity).expect("at least 1"));
        let picked = Picker::pick(&picker, &set, &(), &mut context(seed));
        let has_room = |member: &Member| member.in_flight < capacity * member.weight as usize;
        // When all are full it does as exact least requests.
        let first = set.iter().position(has_room);
        let expected = first.or_else(|| set.least_in_flight(context(seed).random()));
        prop_assert_eq!(picked, expected);
    }
}

#[test]
fn the_few_that_tie_for_the_fewest_requests_share_them_evenly() {
    const PICKS: u32 = 40_000;
    for busy in [1, 3, 8, 60, 90, 97] {
        let pool: Pool<usize> = (0..100)
            .map(|at| Backend::new(at.to_string(), at))
            .collect();
        let selector = Selector::<_, ()>::new(pool.clone(), ExactLeastRequests::new()).seed(busy);
        let busy = busy as usize;
        let _held: Vec<_> = (0..busy).map(|rank| pool.start(|_| Some(rank))).collect();
        let mut counts = vec![0u32; 100];
        for _ in 0..PICKS {
            let (at, _at_once_over) = selector.select(&()).expect("all are eligible");
            counts[at] += 1;
        }
        let expected = f64::from(PICKS) / (100 - busy) as f64;
        for (at, &count) in counts.iter().enumerate() {
            let expected = if at < busy { 0.0 } else { expected };
            let off = (f64::from(count) - expected).abs();
            assert!(
                off <= 6.0 * expected.sqrt(),
                "{busy} busy: {count} for {expected} at {at}"
            );
        }
    }
}
