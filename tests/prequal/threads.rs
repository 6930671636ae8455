//! Many threads at the same pool.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use evenkeel::BackendSet;
use evenkeel::picker::Context;

use crate::{answer, backends, keeping, millis, pick_at, report, start};
use evenkeel::picker::Prequal;

#[test]
fn no_use_of_an_answer_is_lost_among_threads() {
    const EACH: u64 = 2_000;
    let (now, set) = (start(), backends(2));
    let picker = keeping().hot_quantile(0.0).expect("valid");
    for slot in 0..2 {
        answer(&picker, set.handle(slot), now, report(0, 1));
    }
    let counts = [AtomicU32::new(0), AtomicU32::new(0)];
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (picker, set, counts) = (&picker, &set, &counts);
            scope.spawn(move || {
                for seed in 0..EACH {
                    let rank = pick_at(picker, set, now, seed ^ thread).expect("two answered");
                    counts[rank].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    // The one with fewer is picked, so they are even but for what is under way.
    let [a, b] = counts.map(AtomicU32::into_inner);
    assert!(a.abs_diff(b) <= 8, "{a} and {b}");
    // Each has 4,000 in flight by the pool's account: less than that is less.
    answer(&picker, set.handle(0), now + millis(1), report(3_980, 9));
    assert_eq!(pick_at(&picker, &set, now, 1), Some(0));
    answer(&picker, set.handle(0), now + millis(2), report(4_020, 0));
    assert_eq!(pick_at(&picker, &set, now, 1), Some(1));
}

#[test]
fn threads_that_pick_answer_and_remove_at_once_stay_in_range() {
    let (now, set) = (start(), backends(40));
    let picker = Prequal::new();
    let done = AtomicBool::new(false);
    let feed = |picker: &Prequal, now: Instant| {
        let mut random = fastrand::Rng::with_seed(9);
        let mut at = 0;
        while !done.load(Ordering::Relaxed) {
            at += 1;
            let backend = set.handle(random.usize(..40));
            let load = report(random.u32(..9), random.u64(..50));
            answer(picker, backend, now + millis(at % 5_000), load);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| feed(&picker, now));
        let picking = [1, 2].map(|thread| {
            let (picker, set) = (&picker, &set);
            scope.spawn(move || {
                for seed in 0..10_000u64 {
                    let at = now + millis(seed % 5_000);
                    let rank = pick_at(picker, set, at, seed ^ thread);
                    assert!(rank.is_some_and(|rank| rank < 40), "{rank:?}");
                }
            })
        });
        let ended = picking.map(std::thread::ScopedJoinHandle::join);
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
    // And it goes by answers still.
    let late = now + millis(10_000);
    answer(&picker, set.handle(0), late, report(0, 9));
    answer(&picker, set.handle(1), late, report(0, 1));
    let mut cx = Context::new().at(late);
    let rank = evenkeel::Picker::<()>::pick(&picker, &set, &(), &mut cx);
    assert_eq!(rank, Some(1));
}
