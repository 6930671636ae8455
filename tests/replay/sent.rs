//! Whether the body is still on its way from who sends it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use evenkeel::http::{ByMethod, ReplayBody};
use evenkeel::retry::Repeat;
use http::Request;
use http_body_util::Empty;

use crate::setup::{Script, Step, data, error, next, poll, read};

/// One to be sent and one that is kept.
fn two(script: Script, max_bytes: usize) -> (ReplayBody<Script>, ReplayBody<Script>) {
    let first = ReplayBody::with_max_bytes(script, max_bytes);
    (first.clone(), first)
}

#[test]
fn an_empty_body_is_sent_from_the_start() {
    assert!(ReplayBody::new(Empty::<&[u8]>::new()).is_sent());
}

#[test]
fn a_body_is_sent_when_it_was_read_to_its_end_kept_or_not() {
    for max_bytes in [0, 5, 64] {
        for says_its_end in [true, false] {
            let script = Script::new([data("one"), Step::Wait, data("two")]).ended(says_its_end);
            let (mut first, kept) = two(script, max_bytes);
            assert!(!kept.is_sent(), "not begun");
            next(&mut first);
            assert!(!kept.is_sent() && !first.is_sent());
            assert!(poll(&mut first).is_pending());
            assert!(!kept.is_sent());
            next(&mut first);
            assert_eq!(kept.is_sent(), says_its_end);
            assert!(matches!(poll(&mut first), Poll::Ready(None)));
            assert!(kept.is_sent() && first.is_sent() && kept.clone().is_sent());
        }
    }
}

#[test]
fn a_body_is_sent_when_who_was_sending_it_is_dropped_until_another_goes_on() {
    let script = Script::new([data("one"), data("two"), Step::Stall]);
    let (mut first, kept) = two(script, 64);
    next(&mut first);
    drop(first);
    assert!(kept.is_sent());
    // What was read before is on its way, too.
    let mut second = kept.clone();
    assert!(kept.is_sent(), "the second has not begun");
    next(&mut second);
    assert!(!kept.is_sent());
    next(&mut second);
    assert!(poll(&mut second).is_pending());
    // One that waits, and is dropped, is not who sends it.
    let mut waits = kept.clone();
    assert!(poll(&mut waits).is_pending());
    drop(waits);
    assert!(!kept.is_sent());
    drop(second);
    assert!(kept.is_sent());
}

#[test]
fn a_body_that_is_not_kept_is_sent_when_it_is_dropped() {
    let (mut first, kept) = two(Script::new([data("one"), Step::Stall]), 0);
    next(&mut first);
    assert!(!kept.can_replay() && !kept.is_sent());
    // Who cannot send it changes nothing.
    let mut other = kept.clone();
    error(&mut other);
    drop(other);
    assert!(!kept.is_sent());
    drop(first);
    assert!(kept.is_sent());
}

#[test]
fn a_copy_that_was_never_polled_changes_nothing() {
    let (first, kept) = two(Script::new([data("one")]), 64);
    drop(first);
    assert!(!kept.is_sent());
}

#[test]
fn a_body_that_breaks_off_is_on_its_way_no_more() {
    for max_bytes in [0, 64] {
        let (mut first, kept) = two(Script::new([data("one"), Step::Fail]), max_bytes);
        next(&mut first);
        error(&mut first);
        assert!(kept.is_sent());
    }
    let (mut first, kept) = two(Script::new([Step::Panic]), 64);
    catch_unwind(AssertUnwindSafe(|| poll(&mut first).is_ready())).unwrap_err();
    drop(first);
    assert!(kept.is_sent());
}

#[test]
fn a_whole_body_stays_sent_while_copies_are_read() {
    let (mut first, mut kept) = two(Script::new([data("one"), data("two")]), 64);
    read(&mut first).unwrap();
    let mut second = kept.clone();
    next(&mut second);
    assert!(kept.is_sent());
    drop(second);
    read(&mut kept).unwrap();
    assert!(kept.is_sent());
}

#[test]
fn a_request_is_sent_when_its_body_is() {
    let (mut first, kept) = two(Script::new([data("one"), Step::Stall]), 64);
    let request = Request::put("/").body(kept).unwrap();
    assert!(!ByMethod::new().is_sent(&request));
    next(&mut first);
    assert!(!ByMethod::new().is_sent(&request));
    drop(first);
    assert!(ByMethod::new().is_sent(&request));
}
