use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel::balance::{Attempt, Attempts, Direct, OnResponse, ResponseFuture};
use evenkeel::picker::Algorithm;
use evenkeel::set::{Limits, Rules};
use evenkeel::{Backend, Balance, Pool};
use tower::Service;

use crate::setup::{Server, Task, pool, task};

type Request = Task<ResponseFuture<Server, u32, Direct, OnResponse>>;

/// Which backend a request may use.
#[derive(Clone, Copy, Debug)]
enum Terms {
    Any,
    Prefers,
    Only(usize),
    Not(usize),
}

const IDS: [&str; 3] = ["a", "b", "c"];

/// Requests that are polled when they were woken, in any order.
struct Schedule {
    pool: Pool<Server>,
    servers: [Server; 3],
    balances: Vec<Attempts<Server, u32, Direct, OnResponse>>,
    requests: BTreeMap<u32, (Terms, Request)>,
    next: u32,
    newest_first: bool,
    random: fastrand::Rng,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let (pool, servers) = pool(Limits::new());
        let balance = |picker: Algorithm| {
            Balance::new(pool.clone(), picker.picker())
                .max_wait(Duration::from_secs(3600))
                .seed(seed)
                .attempts()
        };
        let balances =
            [(); 2].map(|()| balance(Algorithm::ALL[random.usize(0..Algorithm::ALL.len())]));
        let schedule = Self {
            newest_first: random.bool(),
            balances: balances.into(),
            pool,
            servers,
            requests: BTreeMap::new(),
            next: 0,
            random,
        };
        schedule.set_limits(2);
        schedule
    }

    fn set_limits(&self, max: u32) {
        let mut limits = Limits::new().max_in_flight(max).queue(12);
        if self.newest_first {
            limits = limits.newest_first();
        }
        self.pool.set_rules(Rules::new().limits(limits));
    }

    fn comes(&mut self) {
        let at = self.random.usize(0..IDS.len());
        let mut terms = match self.random.u8(0..10) {
            0 => Terms::Prefers,
            1 => Terms::Only(at),
            2 => Terms::Not(at),
            _ => Terms::Any,
        };
        let mut attempt = Attempt::new(self.next);
        match (terms, self.pool.get(IDS[at])) {
            (Terms::Any, _) | (_, None) => terms = Terms::Any,
            (Terms::Prefers, Some(info)) => attempt = attempt.to(info.handle()),
            (Terms::Only(_), Some(info)) => attempt = attempt.only(info.handle()),
            (Terms::Not(_), Some(info)) => attempt = attempt.not_on(info.handle()),
        }
        let balance = self.random.usize(0..self.balances.len());
        let mut request = task(self.balances[balance].call(attempt));
        if request.poll().is_pending() {
            self.requests.insert(self.next, (terms, request));
        }
        self.next += 1;
    }

    /// Some request, at work or not, ends.
    fn ends(&mut self) {
        if !self.requests.is_empty() {
            let at = self.random.usize(0..self.requests.len());
            let id = *self.requests.keys().nth(at).expect("one of them");
            self.requests.remove(&id);
        }
    }

    fn changes(&mut self) {
        let at = self.random.usize(0..IDS.len());
        let (id, server) = (IDS[at], self.servers[at].clone());
        match self.random.u8(0..10) {
            0 => self.set_limits(self.random.clone().u32(0..4)),
            1 => self.set_limits(2),
            2 => _ = self.pool.remove(id),
            3 => _ = self.pool.edit(|edit| edit.drain(id)),
            4 => _ = self.pool.edit(|edit| edit.force_down(id)),
            5 => {
                let max = self.random.u32(0..4);
                self.pool
                    .insert(Backend::new(id, server).max_in_flight(max));
            }
            _ => {
                self.pool.insert(Backend::new(id, server));
                self.pool.edit(|edit| {
                    edit.undrain(id);
                    edit.unforce(id);
                });
            }
        }
    }

    /// One who was woken runs; false if nobody was.
    fn runs(&mut self) -> bool {
        let mut woken: Vec<u32> = Vec::new();
        for (id, (_, request)) in &self.requests {
            if request.is_woken() {
                woken.push(*id);
            }
        }
        if woken.is_empty() {
            return false;
        }
        let id = woken[self.random.usize(0..woken.len())];
        let (_, request) = self.requests.get_mut(&id).expect("it was there");
        request.was_woken();
        if request.poll().is_ready() {
            self.requests.remove(&id);
        }
        true
    }

    /// Nobody waits for what there is.
    fn check(&self, what: &str) {
        let mut came = self
            .servers
            .iter()
            .map(Server::came)
            .collect::<Vec<_>>()
            .concat();
        came.sort_unstable();
        let waiting = self
            .requests
            .iter()
            .filter(|(id, _)| came.binary_search(id).is_err());
        let waiting: Vec<_> = waiting.map(|(id, (terms, _))| (*id, *terms)).collect();
        let list = self.pool.list();
        let room = list.iter().filter(|info| {
            info.is_eligible()
                && info
                    .max_in_flight()
                    .is_none_or(|max| info.in_flight() < max)
        });
        let in_flight: usize = list
            .iter()
            .map(evenkeel::backend::BackendInfo::in_flight)
            .sum();
        assert!(in_flight <= self.requests.len() - waiting.len(), "{what}");
        for (id, terms) in waiting {
            let useful = room.clone().find(|info| match terms {
                Terms::Any | Terms::Prefers => true,
                Terms::Only(at) => IDS[at] == info.id(),
                Terms::Not(at) => IDS[at] != info.id(),
            });
            assert!(
                useful.is_none(),
                "{what}: {id} waits, {terms:?}, for {useful:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_while_there_is_room_that_they_may_use_whatever_happens_in_which_order() {
    let mut with_a_queue = 0;
    for _ in 0..300 {
        let seed = fastrand::u64(..);
        let mut schedule = Schedule::new(seed);
        let mut most = 0;
        for step in 0..200 {
            match schedule.random.u8(0..20) {
                0..8 => schedule.comes(),
                8..13 => schedule.ends(),
                13 => schedule.changes(),
                _ => _ = schedule.runs(),
            }
            if step % 10 == 9 {
                while schedule.runs() {}
                schedule.check(&format!("seed {seed}, step {step}"));
            }
            most = most.max(schedule.pool.queued());
        }
        with_a_queue += usize::from(most > 2);
        schedule.requests.clear();
        let left: usize = schedule
            .pool
            .list()
            .iter()
            .map(evenkeel::backend::BackendInfo::in_flight)
            .sum();
        assert_eq!((left, schedule.pool.queued()), (0, 0), "seed {seed}");
    }
    // One by itself may be quiet.
    assert!(with_a_queue > 200, "{with_a_queue}");
}
