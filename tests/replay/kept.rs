//! What stays of the buffers that frames are slices of.

use std::convert::Infallible;

use bytes::Bytes;
use evenkeel::http::ReplayBody;
use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;

use crate::setup::{Script, Step, data, next, poll, read};

/// As large as the buffer that a connection is read into.
const BUFFER: usize = 8 * 1024;

/// It is unique once no slice of it is left.
fn buffer() -> Bytes {
    (0..=255).cycle().take(2 * BUFFER).collect()
}

/// A frame that is a slice of a buffer, and the buffer.
fn slice(bytes: usize) -> (Bytes, Step) {
    let buffer = buffer();
    (buffer.clone(), Step::Data(buffer.slice(..bytes)))
}

#[test]
fn frames_that_are_small_do_not_keep_their_buffers_from_the_first_on() {
    for ends in [false, true] {
        for bytes in [1, 256, 257, BUFFER - 1] {
            let buffers = [(); 8].map(|()| buffer());
            let slices = buffers.each_ref().map(|buffer| buffer.slice(..bytes));
            // Of one part, or it would be copied whatever is kept.
            let frames = slices.map(|slice| Ok::<_, Infallible>(Frame::data(slice)));
            let frames = stream::iter(frames);
            let mut first = if ends {
                ReplayBody::new(StreamBody::new(frames.boxed()))
            } else {
                ReplayBody::new(StreamBody::new(frames.chain(stream::pending()).boxed()))
            };
            let second = first.clone();
            for buffer in &buffers {
                next(&mut first);
                assert!(buffer.is_unique(), "{bytes} bytes");
            }
            assert_eq!(poll(&mut first).is_pending(), !ends);
            assert!(second.can_replay());
            assert_eq!(second.is_whole(), ends);
        }
    }
}

#[test]
fn frames_that_are_large_are_shared() {
    let (buffer, step) = slice(BUFFER);
    let mut first = ReplayBody::new(Script::new([step, data("rest")]));
    let second = first.clone();
    next(&mut first);
    assert!(!buffer.is_unique());
    drop((first, second));
    assert!(buffer.is_unique());
}

#[test]
fn small_and_large_frames_come_again_in_their_order_wherever_it_broke_off() {
    let steps = [10, BUFFER, 20, 30, BUFFER + 1, 0, 40, 50].map(|bytes| slice(bytes).1);
    let whole = read(&mut ReplayBody::new(Script::new(steps.clone()))).unwrap();
    for broke_off in 0..=8 {
        let mut kept = ReplayBody::new(Script::new(steps.clone()));
        for further in 0..=broke_off {
            let mut copy = kept.clone();
            (0..further).for_each(|_| drop(poll(&mut copy)));
        }
        assert!(kept.can_replay());
        assert_eq!(read(&mut kept).unwrap().data, whole.data);
    }
}

#[test]
fn what_is_kept_of_small_frames_takes_no_more_than_twice_their_bytes() {
    for bytes in [100, 1000, 5000, BUFFER - 1] {
        let (_, step) = slice(bytes);
        let count = 64 * 1024 / bytes;
        let steps = vec![step; count];
        let mut first = ReplayBody::new(Script::new(steps));
        let second = first.clone();
        let memory = allocation_counter::measure(|| {
            (0..count).for_each(|_| {
                let _ = poll(&mut first);
            });
        });
        assert!(second.can_replay());
        let all = i64::try_from(2 * count * bytes + 1024).unwrap();
        assert!(memory.bytes_current < all, "{bytes}: {memory:?}");
    }
}
