//! Code of others that panics or comes back to the pool, requests that nobody waits for, and watches
//! that take over from each other.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context as TaskContext, Wake, Waker};
use std::time::{Duration, Instant};

use evenkeel::backend::{Outcome, State};
use evenkeel::health::{Ejection, Ended, Health, ProbeSettings, Target, Watching};
use evenkeel::picker::{Context, ExactLeastRequests, RoundRobin, Selector, Update};
use evenkeel::{Backend, BackendSet, Picker, Pool};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::setup::{FAILURE, exact, pool, request, settle, start, state};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fails(pool: &Pool<usize>, id: &str) {
    for _ in 0..5 {
        request(pool, id, FAILURE);
    }
}

/// A picker of which `prepare` does something else.
struct Meddling<F>(F);

impl<F: Fn() + Send + Sync> Picker<()> for Meddling<F> {
    fn pick(&self, set: &dyn BackendSet, (): &(), cx: &mut Context) -> Option<usize> {
        Some(cx.random_below(set.len()))
    }

    fn prepare(&self, _: &Update<'_>) -> Option<Arc<dyn Picker<()>>> {
        (self.0)();
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_picker_whose_prepare_panics_ends_no_watch() {
    let pool = pool(3);
    let panics = Arc::new(AtomicBool::new(false));
    let prepare = {
        let panics = Arc::clone(&panics);
        move || assert!(!panics.load(Ordering::Relaxed), "prepare panics")
    };
    let _selector = Selector::<_, ()>::new(pool.clone(), Meddling(prepare));
    let watching = Health::new().ejection(exact()).spawn(&pool);
    panics.store(true, Ordering::Relaxed);
    fails(&pool, "0");
    settle().await;
    assert_eq!(state(&pool, "0"), State::Ejected);
    sleep(seconds(31)).await;
    assert_eq!(state(&pool, "0"), State::Trial);
    // Not even its end.
    drop(watching);
    settle().await;
    assert_eq!(state(&pool, "0"), State::Healthy);
}

#[test]
fn a_waker_may_use_the_pool() {
    struct Asks(Pool<usize>);

    impl Wake for Asks {
        fn wake(self: Arc<Self>) {
            assert_eq!(self.0.status().members(), 3);
        }
    }

    let pool = pool(3);
    let mut events = pool.events();
    let waker = Waker::from(Arc::new(Asks(pool.clone())));
    let mut next = pin!(events.next());
    let mut cx = TaskContext::from_waker(&waker);
    assert!(next.as_mut().poll(&mut cx).is_pending());
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        pool.drain("0");
        done.send(()).expect("somebody waits");
    });
    // A deadlock would be for ever.
    assert!(is_done.recv_timeout(seconds(60)).is_ok());
    assert!(next.as_mut().poll(&mut cx).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_before_it_waits_has_failed_like_any_other() {
    let pool = pool(3);
    let probe = |target: Target<usize>| {
        assert!(target.into_value() > 0, "at once");
        std::future::ready(Ok::<_, String>(()))
    };
    let settings = ProbeSettings::new().fall(1).unwrap();
    let _watching = Health::new().probe(probe, settings).spawn(&pool);
    settle().await;
    assert_eq!(state(&pool, "0"), State::Unhealthy);
    assert_eq!(pool.status().healthy(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_replaced_in_the_middle_of_its_turn_judges_no_more() {
    let pool = pool(3);
    let second: Arc<Mutex<Option<Watching>>> = Arc::default();
    let now = Arc::new(Notify::new());
    let probe = {
        let (pool, second, now) = (pool.clone(), Arc::clone(&second), Arc::clone(&now));
        move |target: Target<usize>| {
            let (pool, second, now) = (pool.clone(), Arc::clone(&second), Arc::clone(&now));
            async move {
                if target.into_value() == 1 {
                    now.notified().await;
                    *second.lock().unwrap() = Some(Health::new().ejection(exact()).spawn(&pool));
                }
                Ok::<_, String>(())
            }
        }
    };
    let first = Health::new()
        .probe(probe, ProbeSettings::new())
        .spawn(&pool);
    settle().await;
    fails(&pool, "0");
    now.notify_one();
    assert_eq!(first.await, Ended::Replaced);
    // Whatever it found out, nobody is out whom the second one does not know of.
    sleep(seconds(120)).await;
    assert_eq!(state(&pool, "0"), State::Healthy);
    fails(&pool, "0");
    settle().await;
    assert_eq!(state(&pool, "0"), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn however_many_are_on_trial_each_gets_one_request() {
    let pool = pool(20);
    let ejection = exact().max_ejected(0.5).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    for id in 0..8 {
        fails(&pool, &id.to_string());
    }
    sleep(seconds(31)).await;
    assert_eq!(pool.status().count_of(State::Trial), 8);
    // The idle ones look best to this picker.
    let selector = Selector::<_, ()>::new(pool.clone(), ExactLeastRequests::new());
    let _hanging: Vec<_> = (0..400).map(|_| selector.select(&()).unwrap()).collect();
    for info in &pool.list()[..8] {
        assert_eq!(info.in_flight(), 1, "{info}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_until_callers_give_up_fails_its_trial() {
    let pool = pool(3);
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    fails(&pool, "0");
    sleep(seconds(31)).await;
    let selector = Selector::<_, ()>::new(pool.clone(), RoundRobin::new());
    for _ in 0..12 {
        let running: Vec<_> = (0..3).map(|_| selector.select(&()).unwrap()).collect();
        sleep(seconds(1)).await;
        for (backend, completion) in running {
            if backend > 0 {
                completion.finish(Outcome::Success);
            }
        }
    }
    let info = pool.get("0").unwrap();
    assert_eq!(info.state(), State::Ejected);
    assert_eq!(
        info.why().unwrap().to_string(),
        "its trial request got no answer"
    );
}

#[tokio::test(start_paused = true)]
async fn who_chooses_by_hand_makes_trials_too() {
    let pool = pool(3);
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    fails(&pool, "0");
    sleep(seconds(31)).await;
    request(&pool, "0", FAILURE);
    settle().await;
    assert_eq!(state(&pool, "0"), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_there_while_the_end_of_a_trial_is_published() {
    let pool = pool(3);
    let during: Arc<Mutex<Option<Selector<usize, ()>>>> = Arc::default();
    let there = Arc::new(AtomicBool::new(false));
    let prepare = {
        let (during, there) = (Arc::clone(&during), Arc::clone(&there));
        move || {
            if let Some(selector) = during.lock().unwrap().take() {
                let mut picks = (0..100).map(|_| selector.select(&()).unwrap().0);
                there.store(picks.any(|backend| backend == 0), Ordering::Relaxed);
            }
        }
    };
    let selector = Selector::<_, ()>::new(pool.clone(), Meddling(prepare));
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    fails(&pool, "0");
    sleep(seconds(31)).await;
    let trial = start(&pool, "0");
    *during.lock().unwrap() = Some(selector.clone());
    trial.finish(FAILURE);
    settle().await;
    assert!(during.lock().unwrap().is_none());
    assert!(!there.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_long_retry_after_is_heeded_once() {
    let pool = pool(10);
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    let mut completion = start(&pool, "0");
    completion.retry_after(seconds(24 * 3600));
    completion.finish(Outcome::Rejected);
    sleep(seconds(3600)).await;
    request(&pool, "0", Outcome::Rejected);
    sleep(seconds(2)).await;
    assert!((pool.get("0").unwrap().share() - 1.0).abs() < 1e-9);
}

#[test]
fn without_tokio_the_callers_clock_counts() {
    let pool = Pool::from(["0", "1", "2"].map(|id| Backend::new(id, 0)));
    let mut watch = Ejection::new().jitter(0.0).unwrap().watch(&pool);
    let later = Instant::now() + seconds(1000);
    watch.advance(later);
    fails(&pool, "0");
    assert_eq!(watch.advance(later), Some(later + seconds(10)));
    assert_eq!(pool.get("0").unwrap().until(), Some(later + seconds(30)));
    watch.advance(later + seconds(29));
    assert_eq!(state(&pool, "0"), State::Ejected);
    watch.advance(later + seconds(30));
    assert_eq!(state(&pool, "0"), State::Trial);
    drop(pool);
    assert_eq!(watch.advance(later + seconds(31)), None);
}

#[test]
fn a_watch_whose_runtime_is_gone_has_ended() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().expect("it can be built")
    };
    let (pool, first) = (pool(3), runtime());
    let guard = first.enter();
    let watching = Health::new().spawn(&pool);
    drop(guard);
    drop(first);
    assert_eq!(runtime().block_on(watching), Ended::Stopped);
}
