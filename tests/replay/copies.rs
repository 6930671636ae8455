//! Which copy yields what, and which can be sent.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use evenkeel::http::{CannotReplay, ReplayBody};
use http_body::Body;
use http_body_util::Empty;

use crate::setup::{Failed, Script, Step, data, error, next, own_error, poll, read, trailers};

#[test]
fn an_empty_body_can_always_be_sent() {
    let mut body = ReplayBody::with_max_bytes(Empty::<&[u8]>::new(), 0);
    for _ in 0..2 {
        assert!(body.is_end_stream() && body.can_replay() && body.is_whole());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
    }
    assert!(matches!(poll(&mut body.clone()), Poll::Ready(None)));
}

#[test]
fn a_frame_passes_before_the_next_is_there() {
    let mut body = ReplayBody::new(Script::new([data("one"), Step::Wait, data("two")]));
    let _kept = body.clone();
    assert_eq!(next(&mut body), "one");
    assert!(poll(&mut body).is_pending());
    assert_eq!(next(&mut body), "two");
}

#[test]
fn a_body_that_was_not_read_can_be_sent_whatever_its_size() {
    let mut first =
        ReplayBody::with_max_bytes(Script::new([Step::Wait, data("large")]).sized(true), 1);
    let mut second = first.clone();
    assert!(first.can_replay() && second.can_replay());
    // Asked, it had nothing yet.
    assert!(poll(&mut first).is_pending());
    assert!(second.can_replay() && !second.is_whole());
    drop(first);
    assert!(second.can_replay() && !second.is_whole());
    assert_eq!(read(&mut second).unwrap().text(), "large");
}

#[test]
fn what_was_read_comes_again_and_then_the_rest() {
    let steps = [data("one"), data("two"), data("three"), trailers("a", "b")];
    for read_before in 0..=4 {
        let mut kept = ReplayBody::new(Script::new(steps.clone()));
        // More than once, each time a frame further.
        for attempt in 0..=read_before {
            let mut copy = kept.clone();
            (0..attempt).for_each(|_| drop(next(&mut copy)));
            drop(copy);
            assert!(kept.can_replay() && !kept.is_whole());
        }
        let all = read(&mut kept).unwrap();
        assert_eq!(all.text(), "onetwothree");
        assert_eq!(all.trailers["a"], "b");
        assert_eq!(all.frames, 4);
    }
}

#[test]
fn a_clone_of_a_copy_that_was_read_begins_at_the_beginning() {
    let mut first = ReplayBody::new(Script::new([data("one"), data("two")]));
    let kept = first.clone();
    next(&mut first);
    let mut late = first.clone();
    drop((first, kept));
    assert_eq!(read(&mut late).unwrap().text(), "onetwo");
}

#[test]
fn a_whole_body_is_sent_by_any_number_at_once() {
    for says_its_end in [true, false] {
        let steps = [data("one"), data("two"), trailers("a", "b")];
        let script = Script::new(steps).ended(says_its_end);
        let alive = script.alive();
        let mut first = ReplayBody::new(script);
        let mut copies = [first.clone(), first.clone()];
        for _ in 0..3 {
            assert!(!copies[0].is_whole());
            next(&mut first);
        }
        if !says_its_end {
            assert!(!copies[0].is_whole());
            assert!(matches!(poll(&mut first), Poll::Ready(None)));
        }
        assert!(copies[0].is_whole() && copies[0].can_replay());
        assert_eq!(Arc::strong_count(&alive), 1, "the body was let go");
        assert!(first.is_end_stream());

        assert_eq!(copies.each_mut().map(next), ["onetwo", "onetwo"]);
        let trailers = r#"Some({"a": "b"})"#;
        assert_eq!(copies.each_mut().map(next), [trailers, trailers]);
        assert!(copies.iter().all(Body::is_end_stream));
        assert!(matches!(poll(&mut first), Poll::Ready(None)));
        drop((first, copies[0].clone()));
        assert_eq!(read(&mut copies[1].clone()).unwrap().text(), "onetwo");
    }
}

#[test]
fn a_body_without_frames_is_whole_once_it_was_asked() {
    let mut first = ReplayBody::new(Script::new([]));
    let mut second = first.clone();
    // As the first has not said so either, both are sent in the same way.
    assert!(!second.is_end_stream());
    assert!(matches!(poll(&mut first), Poll::Ready(None)));
    assert!(!second.is_end_stream());
    assert_eq!(read(&mut second).unwrap().frames, 0);
}

#[test]
fn a_body_that_fails_fails_once_and_is_not_sent_again() {
    let script = Script::new([data("one"), Step::Fail, data("two")]);
    let alive = script.alive();
    let mut first = ReplayBody::new(script);
    let mut second = first.clone();
    next(&mut first);
    assert_eq!(own_error(&mut first), Failed);
    drop(first);
    assert_eq!(Arc::strong_count(&alive), 1, "the body was let go");
    assert!(!second.can_replay() && !second.clone().can_replay() && !second.is_whole());
    let expected = Some(&CannotReplay::Failed);
    assert_eq!(error(&mut second).downcast_ref(), expected);
}

#[test]
fn a_body_that_fails_and_goes_on_is_not_taken_for_whole() {
    let script = Script::new([data("one"), Step::Fail, data("two")]).ended(true);
    let mut first = ReplayBody::new(script);
    let second = first.clone();
    next(&mut first);
    error(&mut first);
    assert_eq!(next(&mut first), "two");
    assert!(matches!(poll(&mut first), Poll::Ready(None)));
    assert!(!second.can_replay());
}

#[test]
fn a_body_that_panics_is_not_sent_again() {
    let mut first = ReplayBody::new(Script::new([data("one"), Step::Panic, data("two")]));
    let mut second = first.clone();
    next(&mut first);
    catch_unwind(AssertUnwindSafe(|| poll(&mut first).is_ready())).unwrap_err();
    drop(first);
    assert!(!second.can_replay());
    let expected = Some(&CannotReplay::Failed);
    assert_eq!(error(&mut second).downcast_ref(), expected);
}

#[test]
fn a_copy_that_was_never_polled_leaves_the_others_as_they_are() {
    let mut first = ReplayBody::new(Script::new([data("one"), data("two")]));
    let second = first.clone();
    next(&mut first);
    drop(second);
    assert_eq!(next(&mut first), "two");
}
