//! Waiting until a copy can start.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use evenkeel::http::ReplayBody;
use http_body_util::Empty;

use crate::setup::{Script, data, error, next, poll};

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits for `kept`, does something, and returns what the wait yields then.
fn released_by(kept: &ReplayBody<Script>, act: impl FnOnce()) -> bool {
    let counts = [Arc::new(Wakes::default()), Arc::default()];
    let mut released = pin!(kept.released());
    for count in [&counts[0], &counts[1], &counts[1]] {
        let waker = Waker::from(Arc::clone(count));
        let polled = released.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    act();
    let woken = counts.map(|count| count.0.load(Ordering::Relaxed));
    assert_eq!(woken, [1, 1], "who waits is woken, once");
    match released.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(can_replay) => can_replay,
        Poll::Pending => panic!("woken for nothing"),
    }
}

#[tokio::test]
async fn what_nobody_sends_is_not_waited_for() {
    assert!(ReplayBody::new(Empty::<&[u8]>::new()).released().await);

    let mut first = ReplayBody::new(Script::new([data("one")]).ended(true));
    let second = first.clone();
    assert!(second.released().await, "not read");
    next(&mut first);
    assert!(second.released().await, "whole");

    let mut first = ReplayBody::with_max_bytes(Script::new([data("one")]), 0);
    let mut second = first.clone();
    next(&mut first);
    drop(first);
    assert!(!second.released().await, "lost");
    error(&mut second);
}

#[test]
fn a_copy_that_is_dropped_ends_the_wait() {
    for (max_bytes, can_replay) in [(3, true), (2, false)] {
        let body = Script::new([data("one"), data("two")]);
        let mut first = ReplayBody::with_max_bytes(body, max_bytes);
        let second = first.clone();
        next(&mut first);
        assert_eq!(released_by(&second, || drop(first)), can_replay);
        assert_eq!(second.can_replay(), can_replay);
    }
}

#[test]
fn the_end_of_the_body_ends_the_wait() {
    for (max_bytes, can_replay) in [(3, true), (2, false)] {
        let mut first = ReplayBody::with_max_bytes(Script::new([data("one")]), max_bytes);
        let second = first.clone();
        next(&mut first);
        let end = || assert!(matches!(poll(&mut first), Poll::Ready(None)));
        assert_eq!(released_by(&second, end), can_replay);
        assert_eq!(second.can_replay(), can_replay);
    }
}
