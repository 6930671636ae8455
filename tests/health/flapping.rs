use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::backend::{BackendInfo, Outcome};
use evenkeel::health::{Ejection, Health, Target};
use evenkeel::picker::{Context, Needs, Selector, Update};
use evenkeel::{BackendSet, Picker};
use tokio::time::{Instant, sleep, sleep_until};

use crate::setup::{every, pool};

/// Counts how often it is told of another set.
struct Counting(Arc<AtomicUsize>);

impl Picker<()> for Counting {
    fn pick(&self, set: &dyn BackendSet, (): &(), cx: &mut Context) -> Option<usize> {
        (!set.is_empty()).then(|| cx.random_below(set.len()))
    }

    fn prepare(&self, _: &Update<'_>) -> Option<Arc<dyn Picker<()>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }
}

#[tokio::test(start_paused = true)]
async fn backends_that_flap_a_hundred_times_a_second_cost_a_bounded_number_of_changes() {
    const BACKENDS: usize = 100;
    const SECONDS: usize = 10;
    let pool = pool(BACKENDS);
    let flapping = Arc::new(AtomicBool::new(true));
    let probed = Arc::new(
        (0..BACKENDS)
            .map(|_| AtomicUsize::new(0))
            .collect::<Vec<_>>(),
    );
    let probe = {
        let (flapping, probed) = (Arc::clone(&flapping), Arc::clone(&probed));
        move |target: Target<usize>| {
            let times = probed[target.into_value()].fetch_add(1, Ordering::Relaxed);
            let fails = flapping.load(Ordering::Relaxed) && times % 2 == 0;
            async move { if fails { Err("it flaps") } else { Ok(()) } }
        }
    };
    let published = Arc::new(AtomicUsize::new(0));
    let selector = Selector::new(pool.clone(), Counting(Arc::clone(&published)));
    let settings = every(Duration::from_millis(10))
        .rise(1)
        .unwrap()
        .fall(1)
        .unwrap();
    let settings = settings
        .changing_interval(Duration::from_millis(10))
        .unwrap();
    let _watching = Health::new()
        .ejection(Ejection::none())
        .probe(probe, settings)
        .spawn(&pool);

    let begin = Instant::now();
    let mut running = std::collections::VecDeque::new();
    for milli in 0..SECONDS as u64 * 1000 {
        running.push_back(selector.select(&()).expect("somebody is eligible").1);
        if running.len() > 20 {
            running.pop_front().unwrap().finish(Outcome::Success);
        }
        sleep_until(begin + Duration::from_millis(milli + 1)).await;
    }
    let times: usize = probed
        .iter()
        .map(|times| times.load(Ordering::Relaxed))
        .sum();
    let published = published.load(Ordering::Relaxed);
    println!("{times} changes of mind, published {published} times");
    assert!(times > BACKENDS * SECONDS * 90);
    assert!(published <= SECONDS * 334 + 20, "{published}");
    assert!(published > SECONDS * 100, "{published}");

    // Nothing is lost: what it comes to in the end is what was found out last.
    flapping.store(false, Ordering::Relaxed);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(pool.status().healthy(), BACKENDS);
    assert_eq!(
        pool.list()
            .iter()
            .map(BackendInfo::in_flight)
            .sum::<usize>(),
        20
    );
    drop(running);
    assert!(pool.list().iter().all(|info| info.in_flight() == 0));
}
