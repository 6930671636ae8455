//! Whatever the frames are, and wherever the copies before have stopped.

use std::sync::Arc;
use std::task::Poll;

use evenkeel::http::ReplayBody;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use crate::setup::{All, Script, Step, poll, read};

fn step() -> impl Strategy<Value = Step> {
    let trailers = prop::collection::vec(("[a-z]{1,5}", "[a-z]{0,5}"), 0..3);
    let trailers = trailers.prop_map(|pairs| {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        Step::Trailers(pairs.collect())
    });
    let data = |length| prop::collection::vec(any::<u8>(), length);
    prop_oneof![
        6 => data(0..6).prop_map(|data| Step::Data(data.into())),
        3 => data(0..600).prop_map(|data| Step::Data(data.into())),
        1 => trailers,
        2 => Just(Step::Wait),
    ]
}

/// What counts to the bound.
fn kept_bytes(steps: &[Step]) -> usize {
    let bytes = |step: &Step| match step {
        Step::Data(data) => data.len(),
        Step::Trailers(trailers) => trailers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum(),
        _ => 0,
    };
    steps.iter().map(bytes).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn a_copy_that_can_start_yields_all_and_one_that_cannot_nothing(
        steps in prop::collection::vec(step(), 0..60),
        stops in prop::collection::vec(0_usize..70, 0..4),
        max_bytes in prop_oneof![Just(0), 0_usize..4_000, Just(64 * 1024)],
        sized: bool,
        ended: bool,
    ) {
        let expected = All::of(&steps);
        let script = Script::new(steps.clone()).sized(sized).ended(ended);
        let alive = script.alive();
        let mut last = ReplayBody::with_max_bytes(script, max_bytes);
        let mut polls = 0;
        for stop in stops {
            let mut copy = last.clone();
            let can_start = copy.can_replay();
            for _ in 0..stop {
                let failed = matches!(poll(&mut copy), Poll::Ready(Some(Err(_))));
                prop_assert_eq!(failed, !can_start);
            }
            polls = polls.max(stop);
        }
        let can_start = last.can_replay();
        match read(&mut last) {
            Ok(all) => {
                prop_assert!(can_start);
                prop_assert!(all.same(&expected), "{:?} is not {:?}", all, expected);
            }
            Err(_) => prop_assert!(!can_start),
        }
        // Nothing is refused without a reason, and nothing is kept beyond the bound.
        if kept_bytes(&steps) <= max_bytes || polls == 0 {
            prop_assert!(can_start);
        } else if polls > 60 {
            prop_assert!(!can_start);
        }
        drop(last);
        prop_assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn the_first_copy_yields_all_untouched_whatever_the_bound(
        steps in prop::collection::vec(step(), 0..60),
        max_bytes in 0_usize..2_000,
        sized: bool,
        ended: bool,
    ) {
        let script = Script::new(steps.clone()).sized(sized).ended(ended);
        let mut first = ReplayBody::with_max_bytes(script, max_bytes);
        let second = first.clone();
        let all = read(&mut first).unwrap();
        prop_assert!(all.same(&All::of(&steps)));
        let frames = steps.iter().filter(|step| !matches!(step, Step::Wait)).count();
        prop_assert_eq!(all.frames, frames);
        prop_assert_eq!(second.can_replay(), kept_bytes(&steps) <= max_bytes);
    }
}
