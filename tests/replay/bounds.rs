//! How much is kept, and until when.

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use evenkeel::http::{CannotReplay, ReplayBody};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;

use crate::setup::{Failed, Script, Step, data, error, next, poll, read, trailers};

/// Bytes that tell when they are kept nowhere else: so many that they are not copied.
fn owned() -> (Bytes, Step) {
    let bytes = Bytes::from(vec![7; 8192]);
    (bytes.clone(), Step::Data(bytes))
}

#[test]
fn a_body_of_just_the_bound_is_kept() {
    let mut first = ReplayBody::with_max_bytes(Script::new([data("1234"), data("5678")]), 8);
    let mut second = first.clone();
    assert_eq!(read(&mut first).unwrap().text(), "12345678");
    assert!(second.can_replay());
    assert_eq!(read(&mut second).unwrap().text(), "12345678");
}

#[test]
fn over_the_bound_all_is_let_go_and_the_body_goes_on_once() {
    let (bytes, step) = owned();
    let script = Script::new([step, data("56789"), data("0")]);
    let alive = script.alive();
    let mut first = ReplayBody::with_max_bytes(script, 8196);
    let mut second = first.clone();
    next(&mut first);
    assert!(!bytes.is_unique(), "kept");
    assert!(second.can_replay(), "all is kept so far");
    next(&mut first);
    assert!(bytes.is_unique(), "let go");
    assert!(!second.can_replay(), "known at once");
    assert_eq!(next(&mut first), "0");
    assert!(matches!(poll(&mut first), Poll::Ready(None)));
    assert_eq!(Arc::strong_count(&alive), 1, "the body was let go");
    assert!(matches!(poll(&mut first), Poll::Ready(None)));
    for _ in 0..2 {
        assert!(!second.can_replay());
        let expected = Some(&CannotReplay::NotKept);
        assert_eq!(error(&mut second).downcast_ref(), expected);
    }
}

#[test]
fn a_body_over_the_bound_is_dropped_with_the_copy_that_has_it() {
    let script = Script::new([data("123456789"), data("0")]);
    let alive = script.alive();
    let mut first = ReplayBody::with_max_bytes(script, 8);
    let second = first.clone();
    next(&mut first);
    drop(first);
    assert_eq!(Arc::strong_count(&alive), 1);
    assert!(!second.can_replay());
}

#[test]
fn what_is_known_not_to_fit_is_not_kept_from_the_start() {
    let (bytes, step) = owned();
    let script = Script::new([step, data("56789")]).sized(true);
    let mut first = ReplayBody::with_max_bytes(script, 8196);
    let second = first.clone();
    assert!(second.can_replay(), "nothing was read");
    next(&mut first);
    assert!(bytes.is_unique());
    assert!(!second.can_replay());
    drop(first);
    assert!(!second.can_replay());
}

#[test]
fn trailers_count() {
    for (max_bytes, fits) in [(8, true), (7, false)] {
        let script = Script::new([data("123"), trailers("abc", "de")]);
        let mut first = ReplayBody::with_max_bytes(script, max_bytes);
        let second = first.clone();
        assert_eq!(read(&mut first).unwrap().trailers["abc"], "de");
        assert_eq!(second.can_replay(), fits);
    }
}

#[test]
fn the_default_is_64_kib() {
    for (bytes, fits) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let step = Step::Data(vec![7; bytes].into());
        let mut first = ReplayBody::new(Script::new([step]));
        let second = first.clone();
        assert_eq!(read(&mut first).unwrap().data.len(), bytes);
        assert_eq!(second.can_replay(), fits);
    }
}

#[test]
fn the_only_copy_keeps_nothing() {
    let (one, first_step) = owned();
    let (two, second_step) = owned();
    let mut body = ReplayBody::new(Script::new([first_step, second_step, data("three")]));
    let kept = body.clone();
    next(&mut body);
    assert!(!one.is_unique());
    drop(kept);
    next(&mut body);
    assert!(one.is_unique() && two.is_unique());
    assert!(!body.clone().can_replay(), "too late");
    assert_eq!(next(&mut body), "three");
}

#[test]
fn many_small_frames_take_no_more_than_their_bytes_and_some() {
    let steps = (0..=255_u8)
        .cycle()
        .take(40_000)
        .map(|byte| Step::Data(vec![byte].into()));
    let steps: Vec<_> = steps.collect();
    for dropped_after in [17, 20_000, 40_000] {
        let mut first = ReplayBody::new(Script::new(steps.clone()));
        let mut second = first.clone();
        let memory = allocation_counter::measure(|| {
            (0..dropped_after).for_each(|_| drop(poll(&mut first)));
        });
        // A vector that grows has room for twice what is in it.
        assert!(memory.bytes_current < 70_000, "{memory:?}");
        drop(first);
        let all = read(&mut second).unwrap();
        assert!(
            all.data
                .iter()
                .copied()
                .eq((0..=255_u8).cycle().take(40_000))
        );
    }
}

#[test]
fn frames_of_nothing_take_nothing() {
    let nothing = [Step::Data(Bytes::new()), Step::Trailers(HeaderMap::new())];
    let steps: Vec<_> = nothing.iter().cycle().take(10_000).cloned().collect();
    let mut first = ReplayBody::with_max_bytes(Script::new(steps), 0);
    let second = first.clone();
    let memory = allocation_counter::measure(|| {
        (0..9_000).for_each(|_| assert!(poll(&mut first).is_ready()));
    });
    assert_eq!(memory.count_total, 0, "{memory:?}");
    drop(first);
    assert!(second.can_replay());
}

/// As a connection reads them: each frame is a slice of its buffer, which lives as long as the slice.
#[test]
fn what_is_kept_does_not_keep_the_buffers_that_it_was_read_into() {
    const BUFFER: usize = 8 * 1024;
    const MAX: usize = 64 * 1024;

    for length in [64, 255, 256, 257, 400, 1000, 1024, 2000] {
        let count = MAX / length;
        let buffers: Vec<_> = (0..count).map(|_| Bytes::from(vec![7; BUFFER])).collect();
        let slices: Vec<_> = buffers.iter().map(|all| all.slice(..length)).collect();
        let frames = slices
            .into_iter()
            .map(|data| Ok::<_, Failed>(Frame::data(data)));
        let body = StreamBody::new(tokio_stream::iter(frames));
        let mut first = ReplayBody::with_max_bytes(body, MAX);
        let second = first.clone();
        // A stream of tokio's pauses now and then.
        while !matches!(poll(&mut first), Poll::Ready(None)) {}
        assert!(second.can_replay());
        let pinned = buffers.iter().filter(|buffer| !buffer.is_unique()).count();
        let bytes = pinned * BUFFER;
        assert!(
            bytes <= 2 * MAX,
            "frames of {length}: {bytes} bytes for {MAX}"
        );
    }
}
