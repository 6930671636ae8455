//! A pool with everything that happens to one, and a simple model of it.

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel::backend::{Completion, Handle, Outcome, State};
use evenkeel::health::{Ejection, ProbeSettings, Watching};
use evenkeel::picker::{Random, Selector};
use evenkeel::set::{Events, Happened, Rules, SlowStart};
use evenkeel::{Backend, Pool};
use tokio::time::sleep;

use crate::properties::{Order, Step, Word};
use crate::setup::{Says, Table};

pub(crate) struct World {
    pool: Pool<usize>,
    table: Table,
    gated: bool,
    seed: u64,
    watching: Watching,
    selector: Selector<usize, ()>,
    /// Weight and hold of each member.
    members: BTreeMap<usize, (u32, Hold)>,
    running: Vec<(Handle, Completion)>,
    panics: bool,
    events: Events,
    /// What they come to.
    states: BTreeMap<String, State>,
}

fn watch(table: &Table, gated: bool, seed: u64, pool: &Pool<usize>) -> Watching {
    let ejection = Ejection::new()
        .failures_in_a_row(3)
        .unwrap()
        .failure_percentage(50.0)
        .unwrap()
        .latency(3.0, Duration::from_millis(500))
        .unwrap()
        .minimum_backends(2)
        .unwrap()
        .minimum_requests(4)
        .unwrap()
        .interval(Duration::from_secs(1))
        .unwrap()
        .base_time(Duration::from_secs(2))
        .unwrap()
        .max_time(Duration::from_secs(8))
        .degraded_for(Duration::from_secs(3))
        .unwrap();
    let ejection = ejection.max_ejected(SHARE).unwrap();
    let settings = ProbeSettings::new();
    let settings = settings.interval(Duration::from_millis(500)).unwrap();
    let settings = settings.timeout(Duration::from_millis(100)).unwrap();
    let settings = if gated { settings.gated() } else { settings };
    table
        .health(settings)
        .ejection(ejection)
        .seed(seed)
        .spawn(pool)
}

fn rules(number: usize) -> (Rules, bool) {
    let slow_start = SlowStart::new(Duration::from_secs(5)).unwrap();
    match number {
        0 => (Rules::new(), true),
        1 => (Rules::new().slow_start(slow_start), true),
        2 => (Rules::new().panic_threshold(0.01).unwrap(), true),
        3 => (Rules::new().plain_backup().slow_start(slow_start), true),
        _ => (Rules::new().panic_threshold(0.0).unwrap(), false),
    }
}

impl World {
    pub(crate) fn new(gated: bool, seed: u64) -> Self {
        fastrand::seed(seed);
        let (pool, table) = (Pool::new(), Table::new());
        Self {
            watching: watch(&table, gated, seed, &pool),
            selector: Selector::new(pool.clone(), Random::new()).seed(seed),
            events: pool.events(),
            pool,
            table,
            gated,
            seed,
            members: BTreeMap::new(),
            running: Vec::new(),
            panics: true,
            states: BTreeMap::new(),
        }
    }

    pub(crate) async fn take(&mut self, step: &Step) {
        match *step {
            Step::Insert(id, weight) => {
                self.insert(id, weight);
                let hold = self.members.get(&id).map_or(Hold::None, |member| member.1);
                self.members.insert(id, (weight, hold));
            }
            Step::Remove(id) => {
                self.pool.remove(&id.to_string());
                self.members.remove(&id);
            }
            Step::Renew(id) => {
                if self.members.contains_key(&id) {
                    self.pool.remove(&id.to_string());
                    self.insert(id, 1);
                    self.members.insert(id, (1, Hold::None));
                }
            }
            Step::Weight(id, weight) => {
                self.pool.set_weight(&id.to_string(), weight);
                if let Some(member) = self.members.get_mut(&id) {
                    member.0 = weight;
                }
            }
            Step::Order(id, order) => self.order(id, order),
            Step::Requests(id, count, outcome) => {
                for _ in 0..count {
                    if let Some((_, completion)) = self.start(id) {
                        completion.finish(outcome);
                    }
                }
            }
            Step::Select(count, outcome) => {
                for _ in 0..count {
                    if let Ok((_, completion)) = self.selector.select(&()) {
                        completion.finish(outcome);
                    }
                }
            }
            Step::Keep(count) => {
                for _ in 0..count {
                    if let Ok((_, completion)) = self.selector.select(&()) {
                        let at = self.pool.get(completion.backend()).expect("a member");
                        self.running.push((at.handle(), completion));
                    }
                }
            }
            Step::Finish(at, word, outcome) if !self.running.is_empty() => {
                let at = at.index(self.running.len());
                let (_, mut completion) = self.running.swap_remove(at);
                match word {
                    Word::Nothing => {}
                    Word::Head => completion.head(),
                    Word::Degraded => completion.degraded(),
                    Word::RetryAfter => completion.retry_after(Duration::from_secs(4)),
                }
                completion.finish(outcome);
            }
            Step::Finish(..) => {}
            Step::Says(id, says) => self.table.set(id, says),
            Step::Rules(number) => {
                let (rules, panics) = rules(number);
                self.pool.set_rules(rules);
                self.panics = panics;
            }
            Step::WatchAgain => {
                self.watching = watch(&self.table, self.gated, self.seed, &self.pool);
            }
            Step::Wait(millis) => {
                for _ in 0..millis / 50 {
                    sleep(MILLI * 50).await;
                    self.check();
                }
                sleep(MILLI * (millis % 50) as u32).await;
            }
        }
        self.check();
    }

    fn insert(&self, id: usize, weight: u32) {
        let backend = Backend::new(id.to_string(), id).weight(weight);
        self.pool.insert(backend.priority(u32::from(id >= 5)));
    }

    /// A request at this backend, if it is eligible.
    fn start(&self, id: usize) -> Option<(usize, Completion)> {
        let id = id.to_string();
        self.pool
            .start(|set| (0..set.len()).find(|&rank| set.id(rank) == id))
    }

    fn order(&mut self, id: usize, order: Order) {
        let name = id.to_string();
        let hold = self.members.get(&id).map_or(Hold::None, |member| member.1);
        let hold = match (order, hold) {
            (Order::Drain, _) => {
                self.pool.drain(&name);
                Hold::Drain
            }
            (Order::Undrain, hold) => {
                self.pool.undrain(&name);
                if hold == Hold::Drain {
                    Hold::None
                } else {
                    hold
                }
            }
            (Order::ForceDown, _) => {
                self.pool.force_down(&name);
                Hold::Down
            }
            (Order::ForceUp, _) => {
                self.pool.force_up(&name);
                Hold::Up
            }
            (Order::Unforce, hold) => {
                self.pool.unforce(&name);
                if hold == Hold::Drain {
                    hold
                } else {
                    Hold::None
                }
            }
        };
        if let Some(member) = self.members.get_mut(&id) {
            member.1 = hold;
        }
    }

    /// What holds at each moment.
    fn check(&mut self) {
        let (list, status) = (self.pool.list(), self.pool.status());
        assert_eq!(list.len(), self.members.len());

        // Somebody is eligible.
        let usable =
            |&&(weight, hold): &&(u32, Hold)| weight > 0 && matches!(hold, Hold::None | Hold::Up);
        if self.panics && self.members.values().any(|member| usable(&member)) {
            let eligible = list.iter().any(evenkeel::backend::BackendInfo::is_eligible);
            assert!(eligible, "nobody is eligible: {status}");
        }

        // Not too many are ejected.
        let free = self.members.values();
        let free = free.filter(|(weight, hold)| *weight > 0 && *hold == Hold::None);
        let free = free.count();
        let most = (SHARE * free as f64 + 1e-9).floor() as usize;
        let most = most.max(1).min(free.saturating_sub(1));
        assert!(status.ejected() <= most, "more than {most}: {status}");

        // Requests are counted where they are.
        for info in &list {
            let here = self.running.iter().filter(|(at, _)| *at == info.handle());
            assert_eq!(info.in_flight(), here.count(), "{info}");
        }

        // The events tell the same story.
        while let Some(event) = self.events.try_next() {
            match event.what() {
                Happened::Joined { backend, state, .. } => {
                    assert_eq!(self.states.insert(backend.to_string(), *state), None);
                }
                Happened::Left { backend, .. } => {
                    assert!(self.states.remove(&**backend).is_some());
                }
                Happened::Changed {
                    backend, from, to, ..
                } => {
                    let before = self.states.insert(backend.to_string(), *to);
                    assert_eq!(before, Some(*from), "{event}");
                }
                Happened::Panic { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        let listed = list.iter().map(|info| (info.id().to_owned(), info.state()));
        assert_eq!(self.states, listed.collect::<BTreeMap<_, _>>());

        // So does the status.
        for info in &list {
            let same = list.iter().filter(|other| other.state() == info.state());
            assert_eq!(status.count_of(info.state()), same.count());
        }
        assert_eq!(status.members(), list.len());
        let healthy = [State::Healthy, State::ForcedUp];
        let healthy = healthy.map(|state| status.count_of(state));
        assert_eq!(status.healthy(), healthy.iter().sum::<usize>());
    }

    /// With successes only, and healthy probes, everyone is back in time.
    pub(crate) async fn end(&mut self) {
        for (_, completion) in self.running.drain(..) {
            completion.finish(Outcome::Success);
        }
        for id in 0..7 {
            self.table.set(id, Says::Well);
        }
        self.pool.set_rules(rules(1).0);
        self.panics = true;
        // An ejection of 8 s and a tenth, and an interval to end it, of which there are two if the
        // first trial was about to be found hanging; 3 s degraded; up to 4 s spared; a slow start
        // of 5 s. Probes are quicker than that.
        for _ in 0..(2 * (9 + 1) + 3 + 4 + 5) * 10 {
            for _ in 0..3 {
                if let Ok((_, completion)) = self.selector.select(&()) {
                    completion.finish(Outcome::Success);
                }
            }
            sleep(MILLI * 100).await;
            self.check();
        }
        let status = self.pool.status();
        for info in self.pool.list() {
            assert_eq!(info.in_flight(), 0, "{info}");
            let (weight, hold) = self.members[&info.id().parse().expect("a number")];
            if weight == 0 || hold != Hold::None {
                continue;
            }
            assert_eq!(info.state(), State::Healthy, "{info}");
            let full = if info.is_eligible() { 1.0 } else { 0.0 };
            assert!((info.share() - full).abs() < 1e-9, "{info}");
            let mut tiers = status.tiers().iter();
            let tier = tiers.find(|tier| tier.priority() == info.priority());
            let used = tier.expect("it has a tier").share() > 0.0;
            assert_eq!(info.is_eligible(), used, "{info}");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hold {
    None,
    Drain,
    Down,
    Up,
}

const SHARE: f64 = 0.4;
const MILLI: Duration = Duration::from_millis(1);
