use proptest::prelude::*;

use crate::backend::adaptive::word::{LONGEST, Latency, ONE, Phase, State};

#[test]
fn a_latency_is_kept_to_a_five_hundredth() {
    let mut nanoseconds = 258.0f32;
    while nanoseconds < 1e12 {
        let kept = Latency::new(nanoseconds).get().expect("it was measured");
        let error = (kept / nanoseconds - 1.0).abs();
        assert!(error <= 0.002, "{nanoseconds}: {kept}");
        nanoseconds *= 1.0137;
    }
}

#[test]
fn a_latency_beyond_the_ends_is_the_nearest_that_there_is() {
    let kept = |nanoseconds: f32| Latency::new(nanoseconds).get().expect("it was measured");
    for short in [0.0, 1.0, 256.0] {
        assert!((256.0..258.0).contains(&kept(short)), "{short}");
    }
    for long in [2e12, u64::MAX as f32, f32::MAX, f32::INFINITY] {
        assert!((1.0e12..1.1e12).contains(&kept(long)), "{long}");
    }
    assert_eq!(Latency::NONE.get(), None);
}

proptest! {
    #[test]
    fn every_word_is_the_word_of_its_state(word in any::<u64>()) {
        prop_assert_eq!(State::of(word).word(), word);
    }

    #[test]
    fn the_largest_of_each_part_fits(held in any::<bool>(), busy in any::<bool>()) {
        let state = State {
            limit: 10_000 * ONE,
            seen: LONGEST,
            long: Latency::new(f32::MAX),
            short: Latency::new(f32::MAX),
            phase: Phase::drain(u32::MAX).measure(),
            held,
            busy,
        };
        prop_assert_eq!(State::of(state.word()), state);
        prop_assert_eq!(state.in_force(), 10_000);
    }
}
