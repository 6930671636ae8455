//! Whatever the frames are, and wherever the copies before have stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Wake, Waker};

use evenkeel::http::{CannotReplay, ReplayBody};
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use crate::setup::{All, Script, Step, poll, poll_with, read};

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

    #[test]
    fn whoever_waits_is_woken_before_it_can_go_on_and_nobody_yields_what_is_not_the_body(
        steps in prop::collection::vec(step(), 0..8),
        acts in prop::collection::vec((0_usize..4, 0_u8..8), 0..120),
        max_bytes in prop_oneof![0_usize..1_200, Just(64 * 1024)],
        ended: bool,
    ) {
        let expected = All::of(&steps);
        let script = Script::new(steps).ended(ended);
        let alive = script.alive();
        let mut kept = ReplayBody::with_max_bytes(script, max_bytes);
        let mut copies = [(); 4].map(|()| Watched::new(&kept));
        for (at, act) in acts {
            match act {
                0 => copies[at] = Watched::new(&kept),
                _ => copies[at].poll(&expected),
            }
        }
        drop(copies);
        let can_replay = kept.can_replay();
        match read(&mut kept) {
            Ok(all) => prop_assert!(can_replay && all.same(&expected)),
            Err(error) => prop_assert!(!can_replay && error.is::<CannotReplay>()),
        }
        drop(kept);
        prop_assert_eq!(Arc::strong_count(&alive), 1);
    }
}

/// A copy in a task of its own.
struct Watched {
    copy: ReplayBody<Script>,
    read: Vec<u8>,
    waits: bool,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Watched {
    fn new(kept: &ReplayBody<Script>) -> Self {
        Self {
            copy: kept.clone(),
            read: Vec::new(),
            waits: false,
            woken: Arc::default(),
        }
    }

    fn poll(&mut self, expected: &All) {
        let was_lost = !self.copy.can_replay();
        let woken = self.woken.0.swap(false, Ordering::Relaxed);
        let waited = std::mem::take(&mut self.waits);
        let polled = poll_with(&mut self.copy, &Waker::from(Arc::clone(&self.woken)));
        assert!(
            woken || !waited || polled.is_pending(),
            "not woken: {polled:?}"
        );
        match polled {
            Poll::Pending => self.waits = true,
            Poll::Ready(None) => assert_eq!(self.read, expected.data),
            Poll::Ready(Some(Err(_))) => assert!(was_lost && self.read.is_empty()),
            Poll::Ready(Some(Ok(frame))) => {
                self.read.extend(frame.into_data().unwrap_or_default());
                assert!(expected.data.starts_with(&self.read));
            }
        }
    }
}
