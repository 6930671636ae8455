use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::balance::Attempt;
use evenkeel::picker::{Algorithm, Selector};
use evenkeel::set::{Limits, Rules};
use evenkeel::{Backend, Balance, Pool};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

use Fate::{Answers, Fails, Panics};

/// What becomes of a request, after so many microseconds.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answers(u64),
    Fails(u64),
    Panics(u64),
}

type Service = BoxCloneSyncService<Fate, (), BoxError>;

/// The limit is never set higher.
const MAX: u32 = 4;
const BACKENDS: [&str; 3] = ["a", "b", "c"];

/// Counts itself at a server while it is alive.
struct AtWork(Arc<AtomicUsize>);

impl AtWork {
    fn new(now: &Arc<AtomicUsize>, exceeded: &AtomicBool) -> Self {
        if now.fetch_add(1, Ordering::SeqCst) >= MAX as usize {
            exceeded.store(true, Ordering::SeqCst);
        }
        Self(Arc::clone(now))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn server(exceeded: &Arc<AtomicBool>) -> (Service, Arc<AtomicUsize>) {
    let (now, exceeded) = (Arc::<AtomicUsize>::default(), Arc::clone(exceeded));
    let counted = Arc::clone(&now);
    let service = service_fn(move |fate| {
        let at_work = AtWork::new(&now, &exceeded);
        async move {
            let (Answers(time) | Fails(time) | Panics(time)) = fate;
            if time > 0 {
                tokio::time::sleep(Duration::from_micros(time)).await;
            }
            drop(at_work);
            match fate {
                Answers(_) => Ok(()),
                Fails(_) => Err("broken".into()),
                Panics(_) => std::panic::resume_unwind(Box::new("panicked")),
            }
        }
    });
    (BoxCloneSyncService::new(service), counted)
}

struct Storm {
    seed: u64,
    pool: Pool<Service>,
    exceeded: Arc<AtomicBool>,
    services: Vec<(Service, Arc<AtomicUsize>)>,
    newest_first: bool,
}

impl Storm {
    fn new(seed: u64, newest_first: bool) -> Self {
        let exceeded = Arc::default();
        let storm = Self {
            seed,
            pool: Pool::new(),
            services: BACKENDS.map(|_| server(&exceeded)).into(),
            exceeded,
            newest_first,
        };
        storm.set_limits(MAX);
        for at in 0..BACKENDS.len() {
            storm.pool.insert(storm.backend(at));
        }
        storm
    }

    fn backend(&self, at: usize) -> Backend<Service> {
        Backend::new(BACKENDS[at], self.services[at].0.clone())
    }

    fn set_limits(&self, max: u32) {
        let mut limits = Limits::new().max_in_flight(max).queue(40);
        if self.newest_first {
            limits = limits.newest_first();
        }
        self.pool.set_rules(Rules::new().limits(limits));
    }

    /// Somebody changes the pool. A member that leaves while it has requests may come back beside
    /// them with new room, so members stay.
    fn change(&self, random: &mut fastrand::Rng) {
        let at = random.usize(0..BACKENDS.len());
        let id = BACKENDS[at];
        match random.u8(0..14) {
            0 => self.set_limits(random.u32(0..=MAX)),
            6 => self.set_limits(MAX),
            1 => {
                _ = self
                    .pool
                    .insert(self.backend(at).max_in_flight(random.u32(0..=MAX)));
            }
            2 => _ = self.pool.insert(self.backend(at)),
            3 => _ = self.pool.edit(|edit| edit.drain(id)),
            4 => _ = self.pool.edit(|edit| edit.force_down(id)),
            5 => _ = self.pool.set_weight(id, random.u32(0..3)),
            _ => {
                _ = self.pool.edit(|edit| {
                    edit.undrain(id);
                    edit.unforce(id);
                });
            }
        }
    }

    /// As it was at first.
    fn calm(&self) {
        self.set_limits(MAX);
        for (at, id) in BACKENDS.into_iter().enumerate() {
            self.pool.edit(|edit| {
                edit.undrain(id);
                edit.unforce(id);
            });
            self.pool.insert(self.backend(at));
        }
    }

    /// How often requests ended with an answer, overloaded, in another error, with a panic, given
    /// up.
    async fn rage(&self, rounds: usize) -> [usize; 5] {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let balances: Vec<_> = (0..3)
            .map(|_| {
                let algorithm = Algorithm::ALL[random.usize(0..Algorithm::ALL.len())];
                Balance::new(self.pool.clone(), algorithm.picker())
                    .max_wait(Duration::from_millis(6))
            })
            .collect();
        let done = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for task in 0..64 {
            let mut random = random.fork();
            let balance = balances[task % balances.len()].clone();
            let pool = self.pool.clone();
            tasks.push(tokio::spawn(async move {
                let mut ends = [0; 5];
                for _ in 0..rounds {
                    let fate = fate(&mut random);
                    let attempt = attempt(fate, &pool, &mut random);
                    let request = tokio::spawn(balance.clone().attempts().oneshot(attempt));
                    let patience = match random.u8(0..4) {
                        0 => random.u64(0..3000),
                        _ => 1_000_000,
                    };
                    if random.u8(..) < 30 {
                        tokio::task::yield_now().await;
                        request.abort();
                    }
                    let abort = request.abort_handle();
                    let patience = Duration::from_micros(patience);
                    let end = match tokio::time::timeout(patience, request).await {
                        Ok(Ok(Ok(()))) => 0,
                        Ok(Ok(Err(error))) if error.is_overloaded() => 1,
                        Ok(Ok(Err(_))) => 2,
                        Ok(Err(error)) if error.is_panic() => 3,
                        Ok(Err(_)) | Err(_) => 4,
                    };
                    abort.abort();
                    ends[end] += 1;
                }
                ends
            }));
        }
        // And one without tower.
        let selecting = {
            let selector = Selector::new(self.pool.clone(), Algorithm::RoundRobin.picker());
            let (done, services) = (Arc::clone(&done), self.services.clone());
            let (exceeded, mut random) = (Arc::clone(&self.exceeded), random.fork());
            tokio::spawn(async move {
                while !done.load(Ordering::SeqCst) {
                    if let Ok((_, completion)) = selector.select(&()) {
                        let at = BACKENDS.iter().position(|id| *id == completion.backend());
                        let at_work = AtWork::new(&services[at.unwrap()].1, &exceeded);
                        tokio::time::sleep(Duration::from_micros(random.u64(0..1000))).await;
                        drop(at_work);
                    }
                    tokio::time::sleep(Duration::from_micros(random.u64(0..500))).await;
                }
            })
        };
        let mut ends = [0; 5];
        let mut tasks = tasks.into_iter();
        let mut last = tasks.next_back();
        while let Some(task) = &mut last {
            tokio::select! {
                of_task = &mut *task => {
                    ends.iter_mut().zip(of_task.unwrap()).for_each(|(all, one)| *all += one);
                    last = tasks.next_back();
                }
                () = tokio::time::sleep(Duration::from_micros(700)) => self.change(&mut random),
            }
        }
        done.store(true, Ordering::SeqCst);
        selecting.await.unwrap();
        ends
    }

    fn left(&self) -> (usize, usize) {
        let infos = self.pool.list();
        (
            infos
                .iter()
                .map(evenkeel::backend::BackendInfo::in_flight)
                .sum(),
            self.pool.queued(),
        )
    }

    async fn check(&self) {
        let what = format!("seed {}, newest first {}", self.seed, self.newest_first);
        // Those that were given up last are still to be dropped.
        for _ in 0..10_000 {
            if self.left() == (0, 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(self.left(), (0, 0), "{what}");
        assert!(!self.exceeded.load(Ordering::SeqCst), "too many, {what}");
        // And there is room for as many as there may be, and no more.
        self.calm();
        let balance = Balance::round_robin(self.pool.clone()).max_wait(Duration::from_secs(60));
        let all = MAX as usize * BACKENDS.len();
        let requests: Vec<_> = (0..all + 2)
            .map(|_| tokio::spawn(balance.clone().oneshot(Answers(50_000))))
            .collect();
        for _ in 0..10_000 {
            if self.left() == (all, 2) {
                break;
            }
            tokio::time::sleep(Duration::from_micros(1)).await;
        }
        assert_eq!(self.left(), (all, 2), "{what}");
        for request in requests {
            request.await.unwrap().unwrap();
        }
        assert_eq!(self.left(), (0, 0), "{what}");
    }
}

fn fate(random: &mut fastrand::Rng) -> Fate {
    let time = random.u64(0..1000);
    match random.u8(0..8) {
        0 => Fails(time),
        1 => Panics(time),
        2 => Answers(0),
        _ => Answers(time),
    }
}

/// Bound, kept away, or neither.
fn attempt<T: Clone + Send + Sync + 'static>(
    fate: Fate,
    pool: &Pool<T>,
    random: &mut fastrand::Rng,
) -> Attempt<Fate> {
    let id = BACKENDS[random.usize(0..BACKENDS.len())];
    let handle = pool.get(id).unwrap().handle();
    let attempt = Attempt::new(fate);
    match random.u8(0..12) {
        0 => attempt.to(handle),
        1 => attempt.only(handle),
        2 => attempt.not_on(handle),
        3 => attempt.not_on(handle).strictly(),
        _ => attempt,
    }
}

#[tokio::test(start_paused = true)]
async fn never_more_than_the_limit_and_nothing_is_left_whatever_becomes_of_requests() {
    for round in 0..12 {
        let seed = fastrand::u64(..);
        let storm = Storm::new(seed, round % 2 == 1);
        let ends = storm.rage(60).await;
        let enough = ends.iter().all(|&end| end > 5);
        assert!(enough, "seed {seed} tries too little: {ends:?}");
        storm.check().await;
    }
}

#[test]
fn nor_on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    for newest_first in [false, true] {
        let storm = Storm::new(fastrand::u64(..), newest_first);
        runtime.block_on(async {
            storm.rage(60).await;
            storm.check().await;
        });
    }
}
