//! Any order of updates, picks and ends of requests: the pool is what a simple model of it says,
//! and in the end nothing is in flight.

use std::convert::Infallible;
use std::future::{Pending, pending};
use std::pin::pin;
use std::task::{Context, Poll};

use evenkeel::backend::{Completion, Failure, Handle, Outcome, State};
use evenkeel::balance::{Direct, OnResponse, ResponseFuture};
use evenkeel::picker::{self, Algorithm};
use evenkeel::{Backend, Balance, Pool};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tower::Service;

use crate::{cases, poll};

/// Takes requests and never answers.
#[derive(Clone, Copy, PartialEq)]
struct Silent;

impl Service<()> for Silent {
    type Response = ();
    type Error = Infallible;
    type Future = Pending<Result<(), Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        pending()
    }
}

type Response = ResponseFuture<Silent, (), Direct, OnResponse>;

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, u32),
    Remove(usize),
    Weight(usize, u32),
    Drain(usize),
    Undrain(usize),
    ReplaceAll(Vec<(usize, u32)>),
    /// A request through `Pool::start`.
    Start(Algorithm, u64),
    /// A request through the balance.
    Call,
    End(Index, End),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Finished,
    Settled,
    Dropped,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = || 0usize..7;
    let weight = || prop_oneof![Just(0), 1u32..5, Just(u32::MAX)];
    let end = select(vec![End::Finished, End::Settled, End::Dropped]);
    let step = prop_oneof![
        4 => (id(), weight()).prop_map(|(id, weight)| Step::Insert(id, weight)),
        2 => id().prop_map(Step::Remove),
        1 => (id(), weight()).prop_map(|(id, weight)| Step::Weight(id, weight)),
        1 => id().prop_map(Step::Drain),
        1 => id().prop_map(Step::Undrain),
        1 => prop::collection::vec((id(), weight()), 0..9).prop_map(Step::ReplaceAll),
        4 => (select(Algorithm::ALL), any::<u64>()).prop_map(|(by, seed)| Step::Start(by, seed)),
        4 => Just(Step::Call),
        5 => (any::<Index>(), end).prop_map(|(at, end)| Step::End(at, end)),
    ];
    prop::collection::vec(step, 1..120)
}

/// A member as it should be.
struct Entry {
    id: usize,
    weight: u32,
    drained: bool,
    handle: Handle,
}

/// A request that runs, and at which membership it is counted (none, if it still waits for one).
struct Running {
    at: Option<Handle>,
    request: Request,
}

enum Request {
    Started(Completion),
    Called(Box<Response>),
}

struct World {
    pool: Pool<Silent>,
    balance: Balance<Silent, ()>,
    algorithm: Algorithm,
    entries: Vec<Entry>,
    running: Vec<Running>,
}

fn backend(id: usize, weight: u32) -> Backend<Silent> {
    Backend::new(id.to_string(), Silent).weight(weight)
}

impl World {
    fn new(algorithm: Algorithm, seed: u64) -> Self {
        fastrand::seed(seed);
        let pool = Pool::new();
        Self {
            balance: Balance::new(pool.clone(), algorithm.picker()).seed(seed),
            pool,
            algorithm,
            entries: Vec::new(),
            running: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Insert(id, weight) => {
                self.pool.insert(backend(id, weight));
                self.expect_member(id, weight);
            }
            Step::Remove(id) => {
                self.pool.remove(&id.to_string());
                self.entries.retain(|entry| entry.id != id);
            }
            Step::Weight(id, weight) => {
                self.pool.set_weight(&id.to_string(), weight);
                self.change(id, |entry| entry.weight = weight);
            }
            Step::Drain(id) => {
                self.pool.drain(&id.to_string());
                self.change(id, |entry| entry.drained = true);
            }
            Step::Undrain(id) => {
                self.pool.undrain(&id.to_string());
                self.change(id, |entry| entry.drained = false);
            }
            Step::ReplaceAll(list) => {
                self.pool
                    .replace_all(list.iter().map(|&(id, weight)| backend(id, weight)));
                for &(id, weight) in &list {
                    self.expect_member(id, weight);
                }
                let place = |entry: &Entry| list.iter().position(|&(id, _)| id == entry.id);
                self.entries.retain(|entry| place(entry).is_some());
                self.entries.sort_by_key(place);
            }
            Step::Start(algorithm, seed) => {
                let picker = algorithm.picker();
                let mut cx = picker::Context::new().seed(seed);
                let started = self.pool.start(|set| picker.pick(set, &(), &mut cx));
                let request = started.map(|(Silent, completion)| Request::Started(completion));
                self.count(request, algorithm);
            }
            Step::Call => {
                let response = Box::new(self.balance.call(()));
                self.count(Some(Request::Called(response)), self.algorithm);
            }
            Step::End(at, end) if !self.running.is_empty() => {
                let running = self.running.swap_remove(at.index(self.running.len()));
                running.request.end(end);
            }
            Step::End(..) => {}
        }
        self.check();
    }

    fn change(&mut self, id: usize, change: impl FnMut(&mut Entry)) {
        let entries = self.entries.iter_mut();
        entries.filter(|entry| entry.id == id).for_each(change);
    }

    fn expect_member(&mut self, id: usize, weight: u32) {
        if self.entries.iter().any(|entry| entry.id == id) {
            return self.change(id, |entry| entry.weight = weight);
        }
        let info = self.pool.get(&id.to_string()).expect("it was inserted");
        let handle = info.handle();
        self.entries.push(Entry {
            id,
            weight,
            drained: false,
            handle,
        });
    }

    /// Finds out which backend has the new request: one that is eligible, if there is any.
    fn count(&mut self, request: Option<Request>, algorithm: Algorithm) {
        let eligible = |entry: &&Entry| entry.weight > 0 && !entry.drained;
        let was_counted = |entry: &&Entry| {
            let info = self.pool.get(&entry.id.to_string()).expect("a member");
            info.in_flight() > self.in_flight(entry.handle)
        };
        let at = self.entries.iter().filter(eligible).find(was_counted);
        assert_eq!(
            at.is_some(),
            self.entries.iter().any(|entry| eligible(&entry))
        );
        if let (Some(at), Algorithm::ExactLeastRequests) = (at, algorithm) {
            let load = |entry: &Entry, per: &Entry| {
                self.in_flight(entry.handle) as u64 * u64::from(per.weight)
            };
            let less_loaded = |entry: &Entry| load(entry, at) < load(at, entry);
            assert!(
                !self.entries.iter().filter(eligible).any(less_loaded),
                "not the least"
            );
        }
        let at = at.map(|entry| entry.handle);
        self.running
            .extend(request.map(|request| Running { at, request }));
    }

    fn in_flight(&self, handle: Handle) -> usize {
        self.running
            .iter()
            .filter(|running| running.at == Some(handle))
            .count()
    }

    fn check(&self) {
        let list = self.pool.list();
        assert_eq!(list.len(), self.entries.len());
        assert_eq!(self.pool.len(), self.entries.len());
        for (info, entry) in list.iter().zip(&self.entries) {
            let state = match entry {
                Entry { drained: true, .. } => State::Draining,
                Entry { weight: 0, .. } => State::ZeroWeight,
                _ => State::Healthy,
            };
            assert_eq!(info.id(), entry.id.to_string());
            assert_eq!(
                (info.weight(), info.state(), info.handle()),
                (entry.weight, state, entry.handle)
            );
            assert_eq!(
                info.in_flight(),
                self.in_flight(entry.handle),
                "in flight at {info}"
            );
        }
    }
}

impl Request {
    fn end(self, end: End) {
        match (self, end) {
            (Self::Started(completion), End::Finished) => completion.finish(Outcome::Success),
            (Self::Started(mut completion), End::Settled) => {
                completion.settle(Outcome::Failure(Failure::Response));
                completion.finish(Outcome::Success);
            }
            (Self::Called(response), End::Settled) => {
                // It can be polled and dropped, too, and nothing comes of it.
                assert!(poll(pin!(*response)).is_pending());
            }
            (request, _) => drop(request),
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_order_of_updates_and_requests_ends_with_none_in_flight_and_no_backend_lost(
        steps in steps(),
        algorithm in select(Algorithm::ALL),
        seed: u64,
    ) {
        // A response that is polled while nothing is eligible asks for the timer.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let _in_the_runtime = runtime.enter();
        let mut world = World::new(algorithm, seed);
        for step in steps {
            world.take(step);
        }
        world.running.clear();
        world.check();
    }
}
