//! Copies on several threads.

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};

use evenkeel::http::ReplayBody;

use crate::setup::{Script, Step, data, poll_with, text};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Reads up to so many frames. The thread sleeps while there is none, until it is woken.
fn read(copy: &mut ReplayBody<Script>, frames: usize) -> String {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut all = String::new();
    for _ in 0..frames {
        let frame = loop {
            match poll_with(copy, &waker) {
                Poll::Ready(frame) => break frame,
                Poll::Pending => thread::park(),
            }
        };
        match frame {
            Some(frame) => all.push_str(&text(&frame.expect("a frame"))),
            None => break,
        }
    }
    all
}

#[test]
fn copies_on_many_threads_wait_for_each_other_and_all_get_the_whole_body() {
    for round in 0..300 {
        let script = Script::new([data("one"), Step::Wait, data("two"), data("three")]);
        let kept = ReplayBody::new(script.ended(round % 2 == 0));
        thread::scope(|scope| {
            // Most stop somewhere, and wait again with another copy.
            let threads = [0, 1, 2, 3].map(|stop| {
                let mut copy = kept.clone();
                scope.spawn(move || {
                    for frames in 0..stop {
                        read(&mut copy.clone(), frames);
                    }
                    read(&mut copy, usize::MAX)
                })
            });
            for thread in threads {
                assert_eq!(thread.join().expect("no panic"), "onetwothree");
            }
        });
    }
}
