//! An API server that pages, forgets, breaks off and fails.

use std::time::Duration;

use evenkeel::set::SourceState;
use serde_json::json;

use crate::api::{Api, ready};
use crate::{asked, follow, ids, slice, source, state, until, until_ids};

#[tokio::test(start_paused = true)]
async fn pages_are_one_list() {
    let api = Api::new();
    for at in 1..=5 {
        api.put(slice(
            &format!("web-{at}"),
            json!([ready(&format!("10.0.0.{at}"))]),
        ));
    }
    let (pool, _feeding) = follow(source(&api).page_size(2));
    // Never a part of it.
    until("some", || !pool.is_empty()).await;
    assert_eq!(pool.len(), 5);
    until("a watch", || api.watches() == 1).await;
    assert_eq!(asked(&api), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn changes_are_followed_and_a_watch_that_ends_goes_on_where_it_was() {
    let api = Api::new();
    api.put(slice("web-1", json!([ready("10.0.0.1")])));
    let (pool, _feeding) = follow(source(&api));
    until_ids(&pool, &["10.0.0.1:80"]).await;
    api.put(slice("web-2", json!([ready("10.0.0.2")])));
    until_ids(&pool, &["10.0.0.1:80", "10.0.0.2:80"]).await;
    api.put(slice("web-2", json!([ready("10.0.0.3")])));
    until_ids(&pool, &["10.0.0.1:80", "10.0.0.3:80"]).await;
    api.delete("web-1");
    until_ids(&pool, &["10.0.0.3:80"]).await;

    api.end_watches();
    api.put(slice("web-3", json!([ready("10.0.0.4")])));
    until_ids(&pool, &["10.0.0.3:80", "10.0.0.4:80"]).await;
    assert_eq!(asked(&api), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_says_from_where_a_watch_goes_on() {
    let api = Api::new();
    api.put(slice("web-1", json!([ready("10.0.0.1")])));
    let (pool, _feeding) = follow(source(&api));
    until("a watch", || api.watches() == 1).await;
    // Of other Services, of which this watch is not told.
    for _ in 0..3 {
        api.delete_unseen("other");
    }
    api.bookmark();
    tokio::time::sleep(Duration::from_millis(10)).await;
    api.end_watches();
    until("another watch", || api.watches() == 1).await;
    assert_eq!(asked(&api), (1, 2));
    assert!(
        api.requests()[2].contains("resourceVersion=4"),
        "{:?}",
        api.requests()
    );
    assert_eq!(state(&pool), SourceState::Fresh);
}

#[tokio::test(start_paused = true)]
async fn who_is_too_far_behind_lists_again_and_misses_nothing() {
    let api = Api::new();
    api.put(slice("web-1", json!([ready("10.0.0.1")])));
    api.put(slice("web-2", json!([ready("10.0.0.2")])));
    let (pool, _feeding) = follow(source(&api));
    until("a watch", || api.watches() == 1).await;
    let mut events = pool.events();
    api.delete_unseen("web-2");
    api.expire();
    until_ids(&pool, &["10.0.0.1:80"]).await;
    assert_eq!(asked(&api).0, 2);
    // That happens now and then, and is nothing to be told.
    let events: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    assert_eq!(events.len(), 1, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_off_in_the_middle_of_a_line_goes_on() {
    let api = Api::new();
    api.put(slice("web-1", json!([ready("10.0.0.1")])));
    let (pool, _feeding) = follow(source(&api));
    until("a watch", || api.watches() == 1).await;
    api.break_watches();
    api.put(slice("web-1", json!([ready("10.0.0.2")])));
    until_ids(&pool, &["10.0.0.2:80"]).await;
    assert_eq!(state(&pool), SourceState::Fresh);
    assert_eq!(asked(&api).0, 1);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_nothing_but_break_off_is_not_pressed() {
    let api = Api::new();
    api.put(slice("web-1", json!([ready("10.0.0.1")])));
    let (pool, _feeding) = follow(source(&api));
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if api.watches() > 0 {
            api.break_watches();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (lists, watches) = asked(&api);
    println!("{lists} lists, {watches} watches in a minute");
    assert!(lists + watches < 60, "{lists} lists, {watches} watches");
    assert_eq!(ids(&pool), ["10.0.0.1:80"]);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_fails_is_an_error_and_the_last_good_set_stays() {
    let api = Api::new();
    api.put(slice("web-1", json!([ready("10.0.0.1")])));
    api.fail(3);
    let (pool, _feeding) = follow(source(&api));
    until("stale", || state(&pool) == SourceState::Stale).await;
    let error = pool.status().sources()[0].error().unwrap().to_owned();
    assert!(error.contains("etcd has no leader"), "{error}");
    until_ids(&pool, &["10.0.0.1:80"]).await;
    until("a watch", || api.watches() == 1).await;

    api.fail(5);
    api.end_watches();
    until("stale", || state(&pool) == SourceState::Stale).await;
    assert_eq!(ids(&pool), ["10.0.0.1:80"]);
    until("fresh", || state(&pool) == SourceState::Fresh).await;
    api.put(slice("web-1", json!([ready("10.0.0.2")])));
    until_ids(&pool, &["10.0.0.2:80"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_without_slices_leaves_the_last_good_set() {
    let api = Api::new();
    api.put(slice("web-1", json!([ready("10.0.0.1")])));
    let (pool, _feeding) = follow(source(&api));
    until_ids(&pool, &["10.0.0.1:80"]).await;
    api.delete("web-1");
    until("stale", || state(&pool) == SourceState::Stale).await;
    assert_eq!(ids(&pool), ["10.0.0.1:80"]);
}

#[tokio::test(start_paused = true)]
async fn the_watch_ends_with_the_pool_and_with_the_feeding() {
    let api = Api::new();
    api.put(slice("web-1", json!([ready("10.0.0.1")])));
    for drop_pool in [true, false] {
        let (pool, feeding) = follow(source(&api));
        until("a watch", || api.watches() == 1).await;
        if drop_pool {
            drop(pool);
            let _ended = feeding.await;
        } else {
            drop(feeding);
        }
        until("no watch", || api.watches() == 0).await;
    }
}
