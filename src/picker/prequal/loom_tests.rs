//! Every interleaving of two threads at the pool's places. Run with
//! `RUSTFLAGS="--cfg evenkeel_loom" cargo test --no-default-features --lib loom_tests`.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use super::pool::{Answers, Seen};
use crate::backend::Handle;

const AGE: u64 = 10;

fn insert(answers: &Answers, slot: usize, at: u64, rif: u32) {
    let latency = Some(Duration::from_millis(1));
    answers.insert(Handle::of_slot(slot), at, |place| {
        place.filled(rif, latency)
    });
}

fn all(answers: &Answers) -> Vec<Seen> {
    (0..2).filter_map(|place| answers.at(place)).collect()
}

/// Slot, RIF and uses of each.
fn found(answers: &Answers) -> Vec<(usize, u32, u32)> {
    let all = all(answers).into_iter();
    let mut found: Vec<_> = all
        .map(|seen| (seen.backend.slot(), seen.answer.rif(), seen.answer.uses()))
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn no_use_is_lost() {
    loom::model(|| {
        let answers = Arc::new(Answers::new(1, AGE));
        insert(&answers, 0, 1, 5);
        let using = {
            let answers = Arc::clone(&answers);
            thread::spawn(move || answers.count_use(&all(&answers)[0], |_| false))
        };
        answers.count_use(&all(&answers)[0], |_| false);
        using.join().unwrap();
        assert_eq!(found(&answers), [(0, 7, 2)]);
    });
}

#[test]
fn a_use_of_an_answer_that_is_replaced_meanwhile_does_not_count_for_the_next() {
    loom::model(|| {
        let answers = Arc::new(Answers::new(1, AGE));
        insert(&answers, 0, 1, 5);
        let seen = all(&answers)[0];
        let replacing = {
            let answers = Arc::clone(&answers);
            thread::spawn(move || insert(&answers, 1, 2, 8))
        };
        answers.count_use(&seen, |_| false);
        replacing.join().unwrap();
        // It gets in whichever was first, since it tries again.
        assert_eq!(found(&answers), [(1, 8, 0)]);
    });
}

#[test]
fn two_answers_at_once_both_get_in_and_none_is_seen_half_written() {
    loom::model(|| {
        let answers = Arc::new(Answers::new(2, AGE));
        let writing = {
            let answers = Arc::clone(&answers);
            thread::spawn(move || insert(&answers, 1, 1, 10))
        };
        insert(&answers, 2, 1, 20);
        // Here each place is written once.
        for (slot, rif, _) in found(&answers) {
            assert_eq!(rif, slot as u32 * 10);
        }
        writing.join().unwrap();
        assert_eq!(found(&answers), [(1, 10, 0), (2, 20, 0)]);
    });
}

#[test]
fn an_answer_that_is_used_up_or_removed_is_gone_once() {
    loom::model(|| {
        let answers = Arc::new(Answers::new(2, AGE));
        insert(&answers, 0, 1, 5);
        let seen = all(&answers)[0];
        let removing = {
            let answers = Arc::clone(&answers);
            thread::spawn(move || {
                answers.remove(&seen);
                insert(&answers, 1, 2, 8);
            })
        };
        answers.count_use(&seen, |uses| uses >= 1);
        removing.join().unwrap();
        assert_eq!(found(&answers), [(1, 8, 0)]);
    });
}
