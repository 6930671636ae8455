//! What a copy says of its size and its end. That both are right at every moment is also seen to
//! wherever a copy is read.

use evenkeel::http::ReplayBody;
use http_body::Body;

use crate::setup::{Script, data, next, read, trailers};

#[test]
fn an_exact_size_is_exact_at_every_frame_of_every_copy() {
    for dropped_after in 0..=3 {
        let script = Script::new([data("one"), data("three"), data("x")]).sized(true);
        let mut first = ReplayBody::new(script);
        let mut second = first.clone();
        (0..dropped_after).for_each(|_| drop(next(&mut first)));
        drop(first);
        let mut left = 9;
        while left > 0 {
            assert_eq!(second.size_hint().exact(), Some(left));
            left -= next(&mut second).len() as u64;
        }
        assert_eq!(second.size_hint().exact(), Some(0));
    }
}

#[test]
fn a_size_that_was_not_known_is_not_known_again() {
    // With a length, HTTP/1 would have no trailers.
    let script = Script::new([data("one"), trailers("a", "b")]).ended(true);
    let mut first = ReplayBody::new(script);
    let mut second = first.clone();
    read(&mut first).unwrap();
    assert_eq!(second.size_hint().exact(), None);
    assert!(!second.is_end_stream());
    next(&mut second);
    assert!(!second.is_end_stream());
    assert_eq!(next(&mut second), "Some({\"a\": \"b\"})");
    assert_eq!(second.size_hint().exact(), Some(0));
    assert!(second.is_end_stream());
}
