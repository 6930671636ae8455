//! Backends that say what they are told, and a log of who was asked when.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel::backend::{BackendInfo, Completion, Failure, Outcome};
use evenkeel::balance::{Attempted, Direct, Head, Track};
use evenkeel::picker::Ordered;
use evenkeel::retry::{Budget, ObserveAttempts, RetryLayer};
use evenkeel::{Backend, Balance, Pool};
use tokio::time::{Instant, sleep};
use tower::Service;

/// What a backend says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Says {
    Well,
    /// It returns an error.
    Error(ErrorKind),
    /// It returns a response whose head shows this failure, and what there is to say of another
    /// attempt.
    Head(Outcome, Head),
    Never,
    Panic,
}

/// And after how many milliseconds.
pub(crate) type Step = (u64, Says);

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) from: &'static str,
    pub(crate) outcome: Outcome,
    head: Head,
    pub(crate) before: Box<[Attempted]>,
}

/// One of a [`World`]'s.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    shared: Arc<Shared>,
}

struct Shared {
    began: Instant,
    /// The last step of each is repeated.
    scripts: Mutex<HashMap<&'static str, VecDeque<Step>>>,
    log: Mutex<Vec<Asked>>,
}

/// An attempt as its backend sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) request: u64,
    pub(crate) name: &'static str,
    /// In milliseconds.
    pub(crate) at: u64,
}

pub(crate) type Lb<R = Direct> = Balance<Server, u64, R, ByAnswer>;

#[derive(Clone)]
pub(crate) struct World {
    shared: Arc<Shared>,
    pub(crate) pool: Pool<Server>,
}

impl World {
    /// Time has to be paused.
    pub(crate) fn new<const N: usize>(backends: [(&'static str, Step); N]) -> Self {
        let world = Self::empty();
        for (name, step) in backends {
            world.says(name, [step]);
            world.pool.insert(Backend::new(name, world.server(name)));
        }
        world
    }

    pub(crate) fn empty() -> Self {
        Self {
            shared: Arc::new(Shared {
                began: Instant::now(),
                scripts: Mutex::default(),
                log: Mutex::default(),
            }),
            pool: Pool::new(),
        }
    }

    pub(crate) fn server(&self, name: &'static str) -> Server {
        Server {
            name,
            shared: Arc::clone(&self.shared),
        }
    }

    pub(crate) fn says(&self, name: &'static str, steps: impl IntoIterator<Item = Step>) {
        let mut scripts = self.shared.scripts.lock().unwrap();
        scripts.insert(name, steps.into_iter().collect());
    }

    /// Those that joined first are asked first.
    pub(crate) fn ordered(&self) -> Lb {
        Balance::new(self.pool.clone(), Ordered::new()).track(ByAnswer)
    }

    pub(crate) fn log(&self) -> Vec<Asked> {
        self.shared.log.lock().unwrap().clone()
    }

    /// Who was asked since the last time this was.
    pub(crate) fn asked(&self) -> Vec<&'static str> {
        let mut log = self.shared.log.lock().unwrap();
        log.drain(..).map(|asked| asked.name).collect()
    }

    pub(crate) fn now(&self) -> u64 {
        millis(self.shared.began.elapsed())
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.pool.list().iter().map(BackendInfo::in_flight).sum()
    }
}

impl Service<u64> for Server {
    type Response = Answer;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Answer>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        let Self { name, shared } = self.clone();
        shared.log.lock().unwrap().push(Asked {
            request,
            name,
            at: millis(shared.began.elapsed()),
        });
        let (after, says) = {
            let mut scripts = shared.scripts.lock().unwrap();
            let steps = scripts.get_mut(name).expect("it has a script");
            match steps.len() {
                1 => steps[0],
                _ => steps.pop_front().expect("it has steps"),
            }
        };
        Box::pin(async move {
            if after > 0 {
                sleep(Duration::from_millis(after)).await;
            }
            let (outcome, head) = match says {
                Says::Well => (Outcome::Success, Head::good()),
                Says::Head(outcome, head) => (outcome, head),
                Says::Error(kind) => return Err(io::Error::new(kind, format!("{name} is ill"))),
                Says::Never => std::future::pending().await,
                Says::Panic => panic!("as the script says"),
            };
            Ok(Answer {
                from: name,
                outcome,
                head,
                before: Box::new([]),
            })
        })
    }
}

/// Goes by what an [`Answer`] says.
#[derive(Clone, Copy)]
pub(crate) struct ByAnswer;

impl Track<Answer> for ByAnswer {
    type Response = Answer;

    fn track(&self, answer: Answer, completion: Completion) -> Answer {
        completion.finish(answer.outcome);
        answer
    }

    /// An interrupted one is the caller's fault, and one that is busy refuses.
    fn error(&self, error: &(dyn std::error::Error + 'static)) -> Outcome {
        let error = error.downcast_ref::<io::Error>();
        match error.map(io::Error::kind) {
            Some(ErrorKind::Interrupted) => Outcome::Cancelled,
            Some(ErrorKind::ResourceBusy) => Outcome::Rejected,
            Some(ErrorKind::NotFound) => Outcome::Success,
            Some(kind) => Outcome::Failure(Failure::of(&io::Error::from(kind))),
            None => Outcome::Failure(Failure::Timeout),
        }
    }

    fn head(&self, answer: &Answer) -> Head {
        answer.head
    }

    fn tried(&self, answer: &mut Answer, attempts: Box<[Attempted]>) {
        answer.before = attempts;
    }
}

/// A response that reports this.
pub(crate) fn head(outcome: Outcome) -> Says {
    Says::Head(outcome, Head::failed(outcome))
}

/// A response that reports that nobody is available.
pub(crate) fn gateway() -> Says {
    head(GATEWAY)
}

pub(crate) const GATEWAY: Outcome = Outcome::Failure(Failure::Gateway);

pub(crate) const REFUSED: Says = Says::Error(ErrorKind::ConnectionRefused);
pub(crate) const BROKEN: Says = Says::Error(ErrorKind::BrokenPipe);
pub(crate) const LATE: Says = Says::Error(ErrorKind::TimedOut);

/// All requests are safe, but for those from here on.
pub(crate) const UNSAFE: u64 = 1 << 32;

/// With a budget for all that the tests want.
pub(crate) fn layer() -> RetryLayer<fn(&u64) -> bool> {
    let safe: fn(&u64) -> bool = |request| *request < UNSAFE;
    RetryLayer::new(safe).budget(rich())
}

pub(crate) fn rich() -> Budget {
    Budget::new().per_second(1e6).expect("it is valid")
}

/// With so many tokens, and no other ever.
pub(crate) fn tokens(count: u32) -> Budget {
    // The requests themselves pay next to nothing in.
    let budget = Budget::new().share(1e-3).and_then(|b| b.per_second(0.0));
    let budget = budget.expect("it is valid");
    (0..count * 1_000).for_each(|_| budget.deposit());
    budget
}

pub(crate) fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}

/// Who had the request, how it ended, and how many milliseconds it took.
pub(crate) type Told = (String, Outcome, Option<u64>);

pub(crate) fn told(attempts: &[Attempted]) -> Vec<Told> {
    let told = attempts.iter().map(|attempt| {
        let took = attempt.took().map(millis);
        (attempt.backend().to_owned(), attempt.outcome(), took)
    });
    told.collect()
}

/// Keeps what it is told.
#[derive(Clone, Default)]
pub(crate) struct Observer(Arc<Mutex<Heard>>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) attempts: Vec<(usize, Told)>,
    pub(crate) requests: Vec<Vec<Told>>,
}

impl Observer {
    pub(crate) fn heard(&self) -> Heard {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl ObserveAttempts for Observer {
    fn attempt(&self, number: usize, attempt: &Attempted) {
        let told = told(std::slice::from_ref(attempt)).remove(0);
        self.0.lock().unwrap().attempts.push((number, told));
    }

    fn request(&self, attempts: &[Attempted]) {
        self.0.lock().unwrap().requests.push(told(attempts));
    }
}

/// For what chance decides; shown if the test fails.
pub(crate) fn seed() -> u64 {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    seed
}
