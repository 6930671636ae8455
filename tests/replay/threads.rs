//! Copies on several threads.

use std::thread;

use evenkeel::http::{CannotReplay, ReplayBody};

use crate::setup::{Script, data, read};

/// Reads a copy, again and again while another is being sent.
fn read_when_free(kept: &ReplayBody<Script>) -> String {
    loop {
        match read(&mut kept.clone()) {
            Ok(all) => return all.text().to_owned(),
            Err(error) => {
                assert_eq!(error.downcast_ref(), Some(&CannotReplay::InUse));
                thread::yield_now();
            }
        }
    }
}

#[test]
fn copies_on_many_threads_all_get_the_whole_body_in_the_end() {
    for round in 0..300 {
        let script = Script::new([data("one"), data("two"), data("three")]);
        let kept = ReplayBody::new(script.ended(round % 2 == 0));
        thread::scope(|scope| {
            let threads = [(); 3].map(|()| scope.spawn(|| read_when_free(&kept.clone())));
            for thread in threads {
                assert_eq!(thread.join().expect("no panic"), "onetwothree");
            }
        });
    }
}
