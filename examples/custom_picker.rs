//! Pickers of your own, from a closure to one that learns.
//!
//! 1. A closure: a user always gets the same backend.
//! 2. One method: a canary gets one request in ten.
//! 3. Three methods: one that is told how each request ended, and avoids a flaky backend.
//!
//! ```text
//! cargo run --example custom_picker
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use evenkeel::backend::{Event, Handle, Observation, Outcome};
use evenkeel::picker::{Context, Update};
use evenkeel::{Backend, BackendSet, Balance, Picker, Pool};
use tower::{Service, ServiceExt, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let broken = Arc::<AtomicBool>::default();
    let pool = Pool::from([
        Backend::new("a", service("a", Arc::default())),
        Backend::new("b", service("b", Arc::clone(&broken))),
        Backend::new("c", service("c", Arc::default())).metadata("release", "canary"),
    ]);

    let by_user = |set: &dyn BackendSet, user: &usize, _cx: &mut Context| {
        let n = set.len();
        (n > 0).then(|| user % n)
    };
    let balance = Balance::new(pool.clone(), by_user);
    println!("Which backend gets how many of 1,000 requests");
    println!("1. A closure, all requests from user 8:");
    println!("   {}", shares(&balance, |_| 8).await);

    let balance = Balance::new(pool.clone(), Canary { percent: 10 }).seed(1);
    println!("2. One request in ten goes to the canary, c:");
    println!("   {}", shares(&balance, |n| n).await);

    let balance = Balance::new(pool, AvoidFlaky::default()).seed(1);
    broken.store(true, Ordering::Relaxed);
    println!("3. Avoiding what fails. While b fails nine times in ten:");
    println!("   {}", shares(&balance, |n| n).await);
    broken.store(false, Ordering::Relaxed);
    println!("   As b recovers, and after that:");
    println!("   {}", shares(&balance, |n| n).await);
    println!("   {}", shares(&balance, |n| n).await);
}

/// Sends some requests in a hundred to the backends that are marked as canaries.
struct Canary {
    percent: usize,
}

impl<Req> Picker<Req> for Canary {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        let canary = cx.random_below(100) < self.percent;
        let is_wanted = |&rank: &usize| (set.metadata(rank, "release") == Some("canary")) == canary;
        let wanted = (0..set.len()).filter(is_wanted).count();
        if wanted == 0 {
            // The other kind is better than none; of an empty set this is `None`.
            return (!set.is_empty()).then(|| cx.random_below(set.len()));
        }
        (0..set.len())
            .filter(is_wanted)
            .nth(cx.random_below(wanted))
    }
}

/// Draws backends at random, and takes one with the chance that it has been succeeding with.
///
/// A backend that always fails still gets a few requests: that is how its recovery is found.
#[derive(Default)]
struct AvoidFlaky {
    /// By slot, since a backend's rank changes when others come and go.
    records: Vec<Option<(Handle, Arc<Failures>)>>,
}

/// The share of failures among the last requests, where a new one counts for a sixteenth.
#[derive(Default)]
struct Failures(AtomicU32);

impl Failures {
    const ALL: u32 = 1 << 16;

    fn record(&self, failed: bool) {
        let next = |share| share - share / 16 + if failed { Self::ALL / 16 } else { 0 };
        // A request that is lost to a race is one of many.
        let share = self.0.load(Ordering::Relaxed);
        self.0.store(next(share), Ordering::Relaxed);
    }

    fn share(&self) -> usize {
        self.0.load(Ordering::Relaxed) as usize
    }
}

impl AvoidFlaky {
    fn failures(&self, backend: Handle) -> Option<&Arc<Failures>> {
        let (handle, failures) = self.records.get(backend.slot())?.as_ref()?;
        // The slot may have been another's before.
        (*handle == backend).then_some(failures)
    }
}

impl<Req> Picker<Req> for AvoidFlaky {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        if set.is_empty() {
            return None;
        }
        let mut rank = cx.random_below(set.len());
        for _ in 0..8 {
            let failures = self.failures(set.handle(rank)).map_or(0, |f| f.share());
            if cx.random_below(Failures::ALL as usize) >= failures {
                break;
            }
            rank = cx.random_below(set.len());
        }
        Some(rank)
    }

    /// A table for the new members. Those that stay keep their record, which both tables share: an
    /// answer to the old one is not lost.
    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        let members = update.members();
        let mut next = Self::default();
        for handle in (0..members.len()).map(|rank| members.handle(rank)) {
            let failures = self.failures(handle).cloned().unwrap_or_default();
            if next.records.len() <= handle.slot() {
                next.records.resize(handle.slot() + 1, None);
            }
            next.records[handle.slot()] = Some((handle, failures));
        }
        Some(Arc::new(next))
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        let Event::Ended { outcome, .. } = observation.event() else {
            return;
        };
        // A caller that went away says nothing about the backend.
        if outcome != Outcome::Cancelled
            && let Some(failures) = self.failures(backend)
        {
            failures.record(outcome.is_failure());
        }
    }
}

/// Answers with its name; while it is broken, one request in ten.
fn service(
    name: &'static str,
    broken: Arc<AtomicBool>,
) -> impl Service<usize, Response = &'static str, Error = io::Error> + Clone + Send + Sync {
    service_fn(move |user: usize| {
        let fails = broken.load(Ordering::Relaxed) && !user.is_multiple_of(10);
        async move {
            if fails {
                Err(io::Error::other("out of order"))
            } else {
                Ok(name)
            }
        }
    })
}

async fn shares<S>(balance: &Balance<S, usize>, user: fn(usize) -> usize) -> String
where
    S: Service<usize, Response = &'static str, Error = io::Error> + Clone,
{
    let mut counts = BTreeMap::<String, (u32, u32)>::new();
    for number in 0..1000 {
        let result = balance.clone().oneshot(user(number)).await;
        let name = match &result {
            Ok(name) => name,
            Err(error) => error.backend().expect("there are backends"),
        };
        let (requests, failures) = counts.entry(name.to_owned()).or_default();
        *requests += 1;
        *failures += u32::from(result.is_err());
    }
    let counts = counts
        .iter()
        .map(|(name, (requests, failures))| format!("{name} {requests:>4} ({failures} failed)"));
    counts.collect::<Vec<_>>().join("   ")
}
