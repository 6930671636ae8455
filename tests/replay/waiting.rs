//! A copy that waits for its turn.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};

use evenkeel::http::{CannotReplay, ReplayBody};
use http_body::Body;

use crate::setup::{
    Failed, Script, Step, data, error, next, own_error, poll, poll_with, read, text,
};

type Copy = ReplayBody<Script>;

/// Who is told that a copy can go on.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Task {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    fn waits_for(self: &Arc<Self>, copy: &mut Copy) {
        let polled = poll_with(copy, &Waker::from(Arc::clone(self)));
        assert!(polled.is_pending(), "{polled:?}");
    }

    /// How often it was woken since it was asked last.
    fn woken(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// A copy of which something was read, and one that waits.
fn one_waits(steps: impl IntoIterator<Item = Step>, max_bytes: usize) -> (Copy, Copy, Arc<Task>) {
    let mut first = ReplayBody::with_max_bytes(Script::new(steps), max_bytes);
    let mut second = first.clone();
    let task = Task::new();
    next(&mut first);
    task.waits_for(&mut second);
    assert!(!second.is_end_stream() && second.can_replay() && !second.is_whole());
    (first, second, task)
}

#[test]
fn a_copy_beside_one_that_is_being_sent_waits_until_that_is_dropped() {
    let (mut first, mut second, task) = one_waits([data("one"), data("two"), data("three")], 64);
    assert_eq!(next(&mut first), "two");
    assert_eq!(task.woken(), 0, "for each frame");
    task.waits_for(&mut second);
    drop(first);
    assert_eq!(task.woken(), 1);
    assert_eq!(read(&mut second).unwrap().text(), "onetwothree");
}

#[test]
fn a_copy_that_waits_is_woken_by_the_end_of_the_body() {
    let (mut first, mut second, task) = one_waits([data("one"), data("two")], 64);
    next(&mut first);
    assert!(matches!(poll(&mut first), Poll::Ready(None)));
    assert_eq!(task.woken(), 1);
    // The first is still there.
    assert_eq!(read(&mut second).unwrap().text(), "onetwo");
}

#[test]
fn a_copy_that_waits_fails_as_soon_as_more_was_read_than_is_kept() {
    let (mut first, mut second, task) = one_waits([data("one"), data("two"), data("three")], 5);
    next(&mut first);
    assert_eq!(task.woken(), 1);
    for _ in 0..2 {
        let expected = Some(&CannotReplay::NotKept);
        assert_eq!(error(&mut second).downcast_ref(), expected);
        assert!(
            !second.is_end_stream(),
            "it would look like the end of the body"
        );
    }
    assert_eq!(next(&mut first), "three", "who has the body goes on");
}

#[test]
fn a_copy_that_waits_fails_with_the_body() {
    let (mut first, mut second, task) = one_waits([data("one"), Step::Fail], 64);
    assert_eq!(own_error(&mut first), Failed);
    assert_eq!(task.woken(), 1);
    let expected = Some(&CannotReplay::Failed);
    assert_eq!(error(&mut second).downcast_ref(), expected);
}

#[test]
fn of_two_that_wait_one_goes_on_and_the_other_waits_for_it() {
    let (first, mut second, task) = one_waits([data("one"), data("two")], 64);
    let (mut third, other) = (second.clone(), Task::new());
    other.waits_for(&mut third);
    drop(first);
    assert_eq!((task.woken(), other.woken()), (1, 1));

    // Whichever comes first.
    assert_eq!(next(&mut third), "one");
    task.waits_for(&mut second);
    assert_eq!(next(&mut third), "two");
    assert_eq!(task.woken(), 0);
    drop(third);
    assert_eq!((task.woken(), other.woken()), (1, 0));
    assert_eq!(read(&mut second).unwrap().text(), "onetwo");
}

#[test]
fn of_two_that_wait_the_other_goes_on_if_one_is_dropped_when_it_is_woken() {
    let (first, second, task) = one_waits([data("one"), data("two")], 64);
    let (mut third, other) = (second.clone(), Task::new());
    other.waits_for(&mut third);
    drop(first);
    assert_eq!((task.woken(), other.woken()), (1, 1));
    drop(second);
    assert_eq!(read(&mut third).unwrap().text(), "onetwo");
}

#[test]
fn two_that_wait_in_one_task_are_both_woken_by_it_also_when_one_is_dropped() {
    let (first, mut second, task) = one_waits([data("one"), data("two")], 64);
    let mut third = second.clone();
    task.waits_for(&mut third);
    drop(third);
    drop(first);
    assert_eq!(task.woken(), 1);
    assert_eq!(next(&mut second), "one");
}

#[test]
fn a_copy_that_is_dropped_while_it_waits_leaves_nothing_behind() {
    let (first, second, task) = one_waits([data("one"), data("two")], 64);
    assert!(Arc::strong_count(&task) > 1);
    drop(second);
    assert_eq!(Arc::strong_count(&task), 1);
    drop(first);
    assert_eq!(task.woken(), 0);
}

#[test]
fn a_copy_that_has_moved_to_another_task_wakes_that_alone() {
    let (first, mut second, task) = one_waits([data("one")], 64);
    let other = Task::new();
    other.waits_for(&mut second);
    other.waits_for(&mut second);
    assert_eq!(Arc::strong_count(&task), 1);
    drop(first);
    assert_eq!((task.woken(), other.woken()), (0, 1));
}

/// As some executors do, whose tasks live by their wakers.
#[test]
fn a_waker_can_own_the_copy_that_waits_by_it_or_the_one_that_is_sent() {
    struct Owns {
        _copy: Mutex<Copy>,
    }
    impl Wake for Owns {
        fn wake(self: Arc<Self>) {}
    }
    let (first, mut second, _task) = one_waits([data("one")], 64);
    let mut third = second.clone();
    let own = |copy: Copy| Waker::from(Arc::new(Owns { _copy: copy.into() }));
    assert!(poll_with(&mut second, &own(first)).is_pending());
    // Dropped with the waker that is replaced, and with one that is dropped.
    assert!(poll_with(&mut second, Waker::noop()).is_pending());
    let polled = poll_with(&mut third, Waker::noop());
    let Poll::Ready(Some(Ok(frame))) = polled else {
        panic!("{polled:?}");
    };
    assert_eq!(text(&frame), "one");
    assert!(poll_with(&mut second, &own(third)).is_pending());
    drop(second);
}

/// As some tests' and bridges' wakers do, which do not wait for an executor.
#[test]
fn a_waker_can_poll_the_copy_that_waits_at_once() {
    #[derive(Default)]
    struct Polls {
        copy: Mutex<Option<Copy>>,
        read: Mutex<String>,
    }
    impl Wake for Polls {
        fn wake(self: Arc<Self>) {
            let copy = self.copy.lock().unwrap().take();
            let all = read(&mut copy.expect("woken once"));
            *self.read.lock().unwrap() = all.unwrap().text().to_owned();
        }
    }
    let (first, mut second, task) = one_waits([data("one"), data("two")], 64);
    let polls = Arc::new(Polls::default());
    assert!(poll_with(&mut second, &Waker::from(Arc::clone(&polls))).is_pending());
    *polls.copy.lock().unwrap() = Some(second);
    drop(first);
    assert_eq!(*polls.read.lock().unwrap(), "onetwo");
    assert_eq!(task.woken(), 0);
}
