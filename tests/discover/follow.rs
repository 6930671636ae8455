//! The rules that are the same for every source.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::Backoff;
use evenkeel::backend::{BackendInfo, Hint, State};
use evenkeel::discover::{Ended, Follow, Source, Update, Updates, fixed, once};
use evenkeel::set::{Events, SourceState, SourceStatus};
use evenkeel::{Backend, Balance, Pool};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::BoxError;

use crate::{Counting, ids};

type Says = mpsc::UnboundedSender<Result<Update<&'static str>, BoxError>>;

/// A source whose streams a test speaks through, one after the other.
struct Scripted {
    opened: mpsc::UnboundedSender<Says>,
}

impl Source for Scripted {
    type Value = &'static str;

    fn name(&self) -> String {
        "script".into()
    }

    fn watch(&mut self) -> Option<Updates<&'static str>> {
        let (says, updates) = mpsc::unbounded_channel();
        self.opened.send(says).ok()?;
        Some(UnboundedReceiverStream::new(updates).boxed())
    }
}

fn scripted() -> (Follow<Scripted>, mpsc::UnboundedReceiver<Says>) {
    let (opened, streams) = mpsc::unbounded_channel();
    (Follow::new(Scripted { opened }), streams)
}

fn backends(ids: &[&'static str]) -> Vec<Backend<&'static str>> {
    ids.iter().map(|&id| Backend::new(id, id)).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "what a stream yields")]
fn all(ids: &[&'static str]) -> Result<Update<&'static str>, BoxError> {
    Ok(Update::all(backends(ids)))
}

async fn wait(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

fn drain(events: &mut Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_next())
        .map(|event| event.to_string())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_set_is_there_at_once_and_what_follows_soon_is_published_as_one() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let (counting, prepared) = Counting::new();
    let _balance = Balance::new(pool.clone(), counting);
    let before = prepared();
    let _feeding = follow.spawn(&pool);
    let says = streams.recv().await.unwrap();
    says.send(all(&["a", "b"])).unwrap();
    wait(1).await;
    assert_eq!(ids(&pool), ["a", "b"]);

    for id in ["c", "d", "e"] {
        let put = Update::changes().put(Backend::new(id, id));
        says.send(Ok(put)).unwrap();
        wait(20).await;
    }
    assert_eq!(ids(&pool), ["a", "b"]);
    wait(60).await;
    assert_eq!(ids(&pool), ["a", "b", "c", "d", "e"]);
    assert_eq!(prepared(), before + 2);

    // After a quiet time nothing waits.
    wait(1000).await;
    says.send(Ok(Update::changes().remove("a"))).unwrap();
    wait(1).await;
    assert_eq!(ids(&pool), ["b", "c", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_window_nothing_waits() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let _feeding = follow.merge_within(Duration::ZERO).spawn(&pool);
    let says = streams.recv().await.unwrap();
    for at in 1..=3 {
        says.send(all(&["a", "b", "c"][..at])).unwrap();
        wait(1).await;
        assert_eq!(pool.len(), at);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_opened_again_and_the_last_good_set_stays() {
    let (follow, mut streams) = scripted();
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).unwrap();
    let pool: Pool<&'static str> = Pool::new();
    let mut events = pool.events();
    let _feeding = follow.backoff(backoff).spawn(&pool);
    assert_eq!(pool.status().sources()[0].state(), SourceState::Connecting);
    let says = streams.recv().await.unwrap();
    says.send(all(&["a"])).unwrap();
    wait(1).await;
    let status = pool.status();
    assert_eq!(status.sources()[0].state(), SourceState::Fresh);
    assert_eq!(status.sources()[0].members(), 1);

    let mut pauses = Vec::new();
    let mut says = says;
    for _ in 0..4 {
        let failed = tokio::time::Instant::now();
        let error = std::io::Error::other(std::io::Error::other("the registry is down"));
        says.send(Err(error.into())).unwrap();
        says = streams.recv().await.unwrap();
        pauses.push(failed.elapsed().as_secs_f64());
        assert_eq!(ids(&pool), ["a"]);
        let status = pool.status();
        let source = &status.sources()[0];
        assert_eq!(source.state(), SourceState::Stale);
        assert!(source.error().unwrap().contains("the registry is down"));
    }
    for (failures, pause) in pauses.iter().enumerate() {
        let full = f64::from(1 << failures);
        assert!((full / 2.0..=full + 0.01).contains(pause), "{pauses:?}");
    }

    // It goes on where it was: only what has changed.
    says.send(Ok(Update::changes().put(Backend::new("b", "b"))))
        .unwrap();
    wait(1).await;
    assert_eq!(ids(&pool), ["a", "b"]);
    assert_eq!(pool.status().sources()[0].state(), SourceState::Fresh);
    assert_eq!(pool.status().sources()[0].error(), None);
    let told = drain(&mut events);
    assert_eq!(
        told.iter()
            .filter(|event| event.starts_with("script: "))
            .collect::<Vec<_>>(),
        [
            "script: fresh",
            "script: stale (the registry is down)",
            "script: fresh"
        ],
        "{told:?}"
    );

    // The back-off begins anew after a stream that has lived long.
    wait(61_000).await;
    let failed = tokio::time::Instant::now();
    drop(says);
    streams.recv().await.unwrap();
    assert!(failed.elapsed() <= Duration::from_millis(1010));
}

#[tokio::test(start_paused = true)]
async fn that_a_stream_ends_is_no_failure_if_the_next_one_speaks() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let _feeding = follow.spawn(&pool);
    for set in [["a", "b"], ["b", "c"]] {
        let says = streams.recv().await.unwrap();
        says.send(all(&set)).unwrap();
        drop(says);
        wait(1).await;
        assert_eq!(ids(&pool), set);
        assert_eq!(pool.status().sources()[0].state(), SourceState::Fresh);
    }
    // One that ends without a word is one.
    drop(streams.recv().await.unwrap());
    streams.recv().await.unwrap();
    assert_eq!(pool.status().sources()[0].error(), Some("the stream ended"));
}

#[tokio::test(start_paused = true)]
async fn an_empty_set_is_not_taken() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let _feeding = follow.spawn(&pool);
    let says = streams.recv().await.unwrap();
    says.send(all(&["a", "b"])).unwrap();
    wait(200).await;
    let emptied = [
        all(&[]),
        Ok(Update::changes().remove("a").remove("b").remove("c")),
    ];
    for empty in emptied {
        says.send(empty).unwrap();
        wait(200).await;
        assert_eq!(ids(&pool), ["a", "b"]);
        let status = pool.status();
        assert_eq!(status.sources()[0].state(), SourceState::Stale);
        assert_eq!(
            status.sources()[0].error(),
            Some("an empty set, which is not taken")
        );
    }
    // What comes then comes to an empty set: the old ones are gone.
    says.send(Ok(Update::changes().put(Backend::new("b", "b"))))
        .unwrap();
    wait(200).await;
    assert_eq!(ids(&pool), ["b"]);
    assert_eq!(pool.status().sources()[0].state(), SourceState::Fresh);
}

#[tokio::test(start_paused = true)]
async fn an_empty_set_is_taken_by_choice() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let _feeding = follow.allow_empty(true).spawn(&pool);
    let says = streams.recv().await.unwrap();
    says.send(all(&["a", "b"])).unwrap();
    wait(200).await;
    says.send(Ok(Update::changes().remove("a").remove("b")))
        .unwrap();
    wait(200).await;
    assert!(pool.is_empty());
    says.send(all(&["a"])).unwrap();
    wait(200).await;
    says.send(all(&[])).unwrap();
    wait(200).await;
    assert!(pool.is_empty());
    assert_eq!(pool.status().sources()[0].state(), SourceState::Fresh);
}

#[tokio::test(start_paused = true)]
async fn a_bad_entry_is_named_once_and_hides_no_good_one() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let mut events = pool.events();
    let _feeding = follow.spawn(&pool);
    let says = streams.recv().await.unwrap();
    let named = |events: &mut Events| {
        let mut told = drain(events);
        told.retain(|event| event.contains("skipped"));
        told
    };
    for _ in 0..3 {
        let update = Update::all([
            Backend::new("a", "old"),
            Backend::new("b", "b"),
            Backend::new("a", "new"),
        ]);
        let update = update.skip("c", format_args!("a weight of {}", -1));
        says.send(Ok(update)).unwrap();
        wait(200).await;
        assert_eq!(ids(&pool), ["a", "b"]);
        assert_eq!(pool.value("a"), Some("new"));
        assert_eq!(pool.status().sources()[0].skipped(), 2);
    }
    assert_eq!(
        named(&mut events),
        [
            "script: a skipped: a later entry has the same id",
            "script: c skipped: a weight of -1"
        ]
    );
    // Changes say something of their own ids only.
    says.send(Ok(Update::changes().skip("d", "no port")))
        .unwrap();
    wait(200).await;
    assert_eq!(pool.status().sources()[0].skipped(), 3);
    says.send(Ok(Update::changes()
        .put(Backend::new("d", "d"))
        .remove("c")))
        .unwrap();
    wait(200).await;
    assert_eq!(pool.status().sources()[0].skipped(), 1);
    assert_eq!(named(&mut events), ["script: d skipped: no port"]);
    says.send(all(&["a"])).unwrap();
    wait(200).await;
    assert_eq!(pool.status().sources()[0].skipped(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_bad_entries_does_not_push_all_other_events_aside() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let mut events = pool.events();
    let _feeding = follow.spawn(&pool);
    let says = streams.recv().await.unwrap();
    let flood = (0..5000).fold(Update::all(backends(&["a"])), |update, at| {
        update.skip(format!("bad-{at}"), "no port")
    });
    says.send(Ok(flood)).unwrap();
    wait(1).await;
    assert_eq!(pool.status().sources()[0].skipped(), 5000);
    let told = drain(&mut events);
    assert_eq!(told.len(), 102, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_pool_ends_the_stream_at_once() {
    for waits_for_the_next_stream in [false, true] {
        let (follow, mut streams) = scripted();
        let pool: Pool<&'static str> = Pool::new();
        let feeding = follow.spawn(&pool);
        let says = streams.recv().await.unwrap();
        says.send(all(&["a"])).unwrap();
        if waits_for_the_next_stream {
            says.send(Err("down".into())).unwrap();
        }
        wait(1).await;
        drop(pool);
        assert!(matches!(feeding.await, Ended::PoolDropped));
        assert!(says.is_closed());
        assert!(streams.recv().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_feeding_ends_the_stream_and_keeps_the_members() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let feeding = follow.spawn(&pool);
    let says = streams.recv().await.unwrap();
    says.send(all(&["a"])).unwrap();
    wait(1).await;
    drop(feeding);
    wait(1).await;
    assert!(says.is_closed());
    assert_eq!(ids(&pool), ["a"]);
    assert!(pool.status().sources().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_told_before_the_end_is_taken() {
    let pool: Pool<&'static str> = Pool::new();
    let updates = [all(&["a"]), all(&["b"]), Err("broken".into()), all(&["c"])];
    let ended = Follow::new(once("a stream", tokio_stream::iter(updates)))
        .feed(&pool)
        .await;
    assert!(matches!(ended, Ended::Failed(error) if error.to_string() == "broken"));
    assert_eq!(ids(&pool), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_value_is_made_anew_only_when_the_source_says_something_else_of_it() {
    let (follow, mut streams) = scripted();
    let pool: Pool<String> = Pool::new();
    let made = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&made);
    let _feeding = follow.spawn_with(&pool, move |&address| {
        let at = made.fetch_add(1, Ordering::Relaxed);
        format!("connection {at} to {address}")
    });
    let says = streams.recv().await.unwrap();
    let say = async |backend: Backend<&'static str>, whole: bool| {
        let update = if whole {
            Update::all([backend])
        } else {
            Update::changes().put(backend)
        };
        says.send(Ok(update)).unwrap();
        wait(200).await;
    };
    say(Backend::new("a", "10.0.0.1"), true).await;
    let handle = pool.get("a").unwrap().handle();
    for whole in [true, false] {
        say(Backend::new("a", "10.0.0.1").weight(3), whole).await;
        say(Backend::new("a", "10.0.0.1").weight(2), whole).await;
        assert_eq!(pool.get("a").unwrap().weight(), 2);
        assert_eq!(pool.value("a").unwrap(), "connection 0 to 10.0.0.1");
    }
    say(Backend::new("a", "10.0.0.2").weight(2), false).await;
    assert_eq!(pool.value("a").unwrap(), "connection 1 to 10.0.0.2");
    assert_eq!(pool.get("a").unwrap().handle(), handle);
    assert_eq!(count.load(Ordering::Relaxed), 2);

    // Somebody takes it out by hand: it is back when the source speaks of it again.
    pool.remove("a");
    say(Backend::new("a", "10.0.0.2").weight(7), false).await;
    assert_eq!(pool.value("a").unwrap(), "connection 2 to 10.0.0.2");
    assert_eq!(pool.get("a").unwrap().weight(), 7);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_and_comes_back_within_the_window_has_never_left() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let _feeding = follow.spawn(&pool);
    let says = streams.recv().await.unwrap();
    says.send(all(&["a", "b"])).unwrap();
    wait(1).await;
    let handle = pool.get("a").unwrap().handle();
    says.send(Ok(Update::changes().remove("a"))).unwrap();
    wait(20).await;
    says.send(Ok(Update::changes().put(Backend::new("a", "a"))))
        .unwrap();
    wait(200).await;
    assert_eq!(pool.get("a").unwrap().handle(), handle);
}

#[tokio::test(start_paused = true)]
async fn each_of_several_sources_takes_out_only_what_it_has_put_in() {
    let (first, mut streams) = scripted();
    let (second, mut other_streams) = scripted();
    let pool: Pool<&'static str> = Pool::from([Backend::new("by hand", "x")]);
    let _first = first.spawn(&pool);
    let _second = second
        .adjust(|backend| backend.priority(1))
        .allow_empty(true)
        .spawn(&pool);
    let says = streams.recv().await.unwrap();
    let other = other_streams.recv().await.unwrap();
    says.send(all(&["a", "b"])).unwrap();
    other.send(all(&["c"])).unwrap();
    wait(200).await;
    assert_eq!(pool.len(), 4);
    assert_eq!(pool.get("c").unwrap().priority(), 1);
    says.send(all(&["b"])).unwrap();
    other.send(all(&[])).unwrap();
    wait(200).await;
    assert_eq!(ids(&pool), ["by hand", "b"]);
    assert_eq!(pool.status().sources().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_ends_and_says_so() {
    let pool: Pool<String> = Pool::new();
    let list = fixed([Backend::new("a", 1)]);
    let mut feeding = Follow::new(list).spawn_with(&pool, |_| panic!("cannot make it"));
    assert!(matches!((&mut feeding).await, Ended::Failed(_)));
    let status = pool.status();
    assert_eq!(status.sources()[0].state(), SourceState::Ended);
    assert_eq!(status.sources()[0].error(), Some("it panicked"));
}

#[tokio::test(start_paused = true)]
async fn the_worst_word_of_source_and_probe_holds_and_an_operators_counts_more() {
    let pool = Pool::from([
        Backend::new("a", ()).hint(Hint::Degraded),
        Backend::new("b", ()).hint(Hint::Unhealthy),
        Backend::new("c", ()).hint(Hint::Draining),
        Backend::new("d", ()),
    ]);
    let states = || {
        let list = pool.list();
        let states: Vec<State> = list.iter().map(BackendInfo::state).collect();
        states
    };
    assert_eq!(
        states(),
        [
            State::Degraded,
            State::Unhealthy,
            State::Draining,
            State::Healthy
        ]
    );
    for id in ["a", "b", "c"] {
        assert_eq!(
            pool.get(id).unwrap().why().unwrap().to_string(),
            "its source says so"
        );
        pool.force_up(id);
    }
    assert_eq!(states()[..3], [State::ForcedUp; 3]);
    for id in ["a", "b", "c"] {
        pool.unforce(id);
        pool.insert(Backend::new(id, ()));
    }
    assert_eq!(states(), [State::Healthy; 4]);
}

#[tokio::test(start_paused = true)]
async fn sources_of_one_name_can_be_told_apart() {
    let pool: Pool<u16> = Pool::new();
    let _feedings = [1, 2, 3]
        .map(|at: u16| Follow::new(fixed([Backend::new(at.to_string(), at)])).spawn(&pool));
    let status = pool.status();
    let names: Vec<_> = status.sources().iter().map(SourceStatus::name).collect();
    assert_eq!(names, ["fixed list", "fixed list #2", "fixed list #3"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_says_something_and_fails_again_and_again_is_asked_less_and_less() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let _feeding = follow.spawn(&pool);
    let start = tokio::time::Instant::now();
    let mut opened = 0;
    while start.elapsed() < Duration::from_secs(60) {
        let says = streams.recv().await.unwrap();
        opened += 1;
        says.send(all(&["a"])).unwrap();
        says.send(Err("broken".into())).unwrap();
    }
    assert!(opened < 25, "{opened}");
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_adjusted_leaves_with_its_own() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let _feeding = follow
        .adjust(|backend| Backend::new(format!("here/{}", backend.id()), *backend.value()))
        .spawn(&pool);
    let says = streams.recv().await.unwrap();
    says.send(all(&["a", "b", "c"])).unwrap();
    wait(200).await;
    assert_eq!(ids(&pool), ["here/a", "here/b", "here/c"]);
    says.send(Ok(Update::changes().remove("a").skip("b", "no good")))
        .unwrap();
    wait(200).await;
    assert_eq!(ids(&pool), ["here/b", "here/c"]);
    says.send(all(&["c"])).unwrap();
    wait(200).await;
    assert_eq!(ids(&pool), ["here/c"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_good_any_more_stays_as_it_was() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let _feeding = follow.spawn(&pool);
    let says = streams.recv().await.unwrap();
    says.send(all(&["a", "b"])).unwrap();
    wait(200).await;
    let update = Update::all(backends(&["b"]))
        .skip("a", "no port")
        .skip("c", "no port");
    says.send(Ok(update)).unwrap();
    wait(200).await;
    assert_eq!(ids(&pool), ["a", "b"]);
    assert_eq!(pool.value("a"), Some("a"));
    says.send(all(&["b"])).unwrap();
    wait(200).await;
    assert_eq!(ids(&pool), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn bad_then_good_within_a_window_is_good() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let mut events = pool.events();
    let _feeding = follow.spawn(&pool);
    let says = streams.recv().await.unwrap();
    says.send(all(&["a"])).unwrap();
    wait(1).await;
    for _ in 0..3 {
        says.send(Ok(Update::changes().skip("b", "no port")))
            .unwrap();
        says.send(Ok(Update::changes().skip("c", "no port")))
            .unwrap();
    }
    says.send(Ok(Update::changes().put(Backend::new("b", "b"))))
        .unwrap();
    wait(200).await;
    assert_eq!(ids(&pool), ["a", "b"]);
    assert_eq!(pool.status().sources()[0].skipped(), 1);
    let mut told = drain(&mut events);
    told.retain(|event| event.contains("skipped"));
    assert_eq!(told, ["script: c skipped: no port"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_removed_by_hand_comes_back_with_the_next_whole_set() {
    let (follow, mut streams) = scripted();
    let pool: Pool<&'static str> = Pool::new();
    let _feeding = follow.spawn(&pool);
    let says = streams.recv().await.unwrap();
    says.send(all(&["a", "b"])).unwrap();
    wait(200).await;
    pool.remove("a");
    says.send(all(&["a", "b"])).unwrap();
    wait(200).await;
    assert_eq!(pool.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_has_ended_is_listed_until_its_feeding_is_dropped() {
    let pool: Pool<&'static str> = Pool::new();
    let updates = [all(&["a"]), Err("broken".into())];
    let feeding = Follow::new(once("a stream", tokio_stream::iter(updates))).spawn(&pool);
    wait(1000).await;
    let status = pool.status();
    assert_eq!(status.sources()[0].state(), SourceState::Ended);
    assert_eq!(status.sources()[0].error(), Some("broken"));
    drop(feeding);
    assert!(pool.status().sources().is_empty());
}

#[tokio::test(start_paused = true)]
async fn those_that_are_out_by_their_source_count_for_how_many_may_be_ejected() {
    let pool: Pool<()> = (0..10).map(|at| Backend::new(at.to_string(), ())).collect();
    let ejection = evenkeel::health::Ejection::new()
        .failures_in_a_row(1)
        .unwrap();
    let _watching = evenkeel::health::Health::new()
        .ejection(ejection)
        .spawn(&pool);
    wait(10).await;
    for at in 1..10 {
        let hint = if at % 2 == 0 {
            Hint::Draining
        } else {
            Hint::Unhealthy
        };
        pool.insert(Backend::new(at.to_string(), ()).hint(hint));
    }
    // The last one that is well is not ejected, however often it fails.
    for _ in 0..5 {
        let ((), completion) = pool.start(|_| Some(0)).unwrap();
        completion.finish(evenkeel::backend::Outcome::Failure(
            evenkeel::backend::Failure::Connect,
        ));
    }
    wait(1000).await;
    assert_eq!(pool.get("0").unwrap().state(), State::Healthy);
}
