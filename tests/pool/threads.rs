//! Several threads change the pool while others send requests.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::{Pending, pending};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;

use evenkeel::backend::{Completion, Outcome};
use evenkeel::picker::{self, Algorithm};
use evenkeel::{Backend, Balance, Picker, Pool};
use proptest::prelude::*;
use tower::Service;

use crate::{cases, ids};

const UPDATERS: usize = 2;
const SENDERS: u64 = 3;
/// Each thread that updates goes on until it has made so many changes, and
const UPDATES: usize = 150;
/// so many requests have reached a backend; or until it is plain that none will.
const REQUESTS: usize = 1_000;
const MOST_UPDATES: usize = 100_000;
const NEVER: u64 = u64::MAX;

/// One membership. It learns when it ended, on a clock that all threads advance.
#[derive(Clone)]
struct Membership {
    ended: Arc<AtomicU64>,
}

/// When requests began, and which membership they reached.
type Arrivals = Mutex<Vec<(u64, Membership)>>;

struct Request {
    began: u64,
    arrivals: Arc<Arrivals>,
}

impl Service<Request> for Membership {
    type Response = ();
    type Error = Infallible;
    type Future = Pending<Result<(), Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        arrive(&request.arrivals, request.began, self.clone());
        pending()
    }
}

fn arrive(arrivals: &Arrivals, began: u64, member: Membership) {
    arrivals.lock().expect("no panic").push((began, member));
}

fn new_member(id: &str, rng: &mut fastrand::Rng) -> (Backend<Membership>, Membership) {
    let member = Membership {
        ended: Arc::new(AtomicU64::new(NEVER)),
    };
    let backend = Backend::new(id, member.clone()).weight(rng.u32(1..4));
    (backend, member)
}

/// What all threads share.
struct Shared {
    pool: Pool<Membership>,
    clock: AtomicU64,
    updating: AtomicUsize,
    arrivals: Arc<Arrivals>,
}

/// Counts a thread as over when it is dropped.
struct Over<'a>(&'a AtomicUsize);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Whether there is still something to see after so many updates.
    fn go_on(&self, updates: usize) -> bool {
        let arrived = || self.arrivals.lock().expect("no panic").len();
        updates < UPDATES || updates < MOST_UPDATES && arrived() < REQUESTS
    }

    /// Inserts, drains, reweighs and removes backends that are this thread's own; returns those
    /// that it leaves there.
    fn update(&self, name: usize, seed: u64) -> Vec<String> {
        let _over_even_if_this_panics = Over(&self.updating);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut mine: Vec<Option<Membership>> = vec![None; 6];
        let id = |at: usize| format!("{name}-{at}");
        let mut updates = 0;
        while self.go_on(updates) {
            updates += 1;
            if updates > UPDATES {
                thread::yield_now();
            }
            let at = rng.usize(..mine.len());
            match &mine[at] {
                None => {
                    let (backend, member) = new_member(&id(at), &mut rng);
                    assert!(self.pool.insert(backend), "nobody else inserts it");
                    mine[at] = Some(member);
                }
                Some(_) if rng.bool() => {
                    let weight = rng.u32(..3);
                    assert!(
                        self.pool.set_weight(&id(at), weight),
                        "nobody else removes it"
                    );
                }
                Some(member) => {
                    let drained_first = rng.bool();
                    let out = if drained_first {
                        Pool::drain
                    } else {
                        Pool::remove
                    };
                    assert!(out(&self.pool, &id(at)), "nobody else removes it");
                    // Requests that begin from here on must not reach it.
                    member.ended.store(self.now(), Ordering::SeqCst);
                    assert_eq!(self.pool.remove(&id(at)), drained_first);
                    mine[at] = None;
                }
            }
        }
        (0..mine.len())
            .filter(|&at| mine[at].is_some())
            .map(id)
            .collect()
    }

    /// Sends requests through the balance and around it, and holds some of them for a while.
    fn send(&self, mut balance: Balance<Membership, Request>, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let picker = picker::Random::new();
        let (mut responses, mut completions) = (Vec::new(), Vec::new());
        while self.updating.load(Ordering::Relaxed) > 0 {
            let began = self.now();
            let arrivals = Arc::clone(&self.arrivals);
            if rng.bool() {
                responses.push(balance.call(Request { began, arrivals }));
            } else {
                let mut cx = picker::Context::new().seed(rng.u64(..));
                let started = self.pool.start(|set| picker.pick(set, &(), &mut cx));
                completions.extend(started.map(|(member, completion)| {
                    arrive(&arrivals, began, member);
                    completion
                }));
            }
            if responses.len() + completions.len() > 40 {
                responses.truncate(rng.usize(..20));
                let finish = |completion: Completion| completion.finish(Outcome::Success);
                completions.drain(..).for_each(finish);
            }
        }
    }
}

/// Everyone at once. Returns the ids that should be there in the end.
fn run(shared: &Shared, balance: &Balance<Membership, Request>, seed: u64) -> BTreeSet<String> {
    let mut seeds = fastrand::Rng::with_seed(seed);
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            let (balance, seed) = (balance.clone(), seeds.u64(..));
            scope.spawn(move || shared.send(balance, seed));
        }
        let updaters = [0; UPDATERS].map(|_| seeds.u64(..)).into_iter().enumerate();
        let updaters = updaters.map(|(name, seed)| scope.spawn(move || shared.update(name, seed)));
        let updaters: Vec<_> = updaters.collect();
        let left = updaters.into_iter();
        left.flat_map(|updater| updater.join().expect("no panic"))
            .collect()
    })
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn no_request_goes_to_a_backend_that_was_out_before_its_pick_began(
        algorithm in prop::sample::select(Algorithm::ALL),
        seed: u64,
    ) {
        let shared = Shared {
            pool: Pool::new(),
            clock: AtomicU64::new(0),
            updating: AtomicUsize::new(UPDATERS),
            arrivals: Arc::default(),
        };
        let balance = Balance::new(shared.pool.clone(), algorithm.picker());
        let expected = run(&shared, &balance, seed);

        let arrivals = shared.arrivals.lock().expect("no panic");
        prop_assert!(arrivals.len() >= REQUESTS);
        for (began, member) in &*arrivals {
            let ended = member.ended.load(Ordering::SeqCst);
            prop_assert!(*began < ended, "began at {}, out at {}", began, ended);
        }
        prop_assert_eq!(ids(&shared.pool).into_iter().collect::<BTreeSet<_>>(), expected);
        for info in shared.pool.list() {
            prop_assert_eq!(info.in_flight(), 0, "{}", info);
        }
    }
}
