use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::error::Error;
use std::fmt::Write;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tower::BoxError;

use super::probe::DynProbe;
use super::{Answer, ProbeSettings, Target};
use crate::backend::{Handle, Probed, Why};
use crate::time::later;

/// Probes backends, each when it is due, not too many at once, and counts what they answer.
///
/// It knows backends by their id, so that one that is a member of several pools is probed once.
pub(super) struct Checks<T> {
    probe: Arc<dyn DynProbe<T>>,
    settings: ProbeSettings,
    known: HashMap<Arc<str>, Check<T>>,
    /// What is due when: the soonest first. What does not fit its check any more is skipped.
    due: BinaryHeap<Reverse<(Instant, Arc<str>, u64)>>,
    running: FuturesUnordered<Running>,
    /// Never the same for two checks, or two rounds of one.
    round: u64,
    random: fastrand::Rng,
}

type Running = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Who was asked, in which round, and the answer.
struct Answered {
    id: Arc<str>,
    round: u64,
    answer: Result<Answer, Arc<str>>,
}

struct Check<T> {
    value: T,
    handle: Handle,
    round: u64,
    probed: Probed,
    why: Option<Arc<Why>>,
    /// In a row.
    successes: u32,
    failures: u32,
}

/// A backend of which probes make something else than before.
pub(super) struct Finding {
    pub(super) id: Arc<str>,
    pub(super) probed: Probed,
    pub(super) why: Option<Arc<Why>>,
}

impl<T: Clone + Send + Sync + 'static> Checks<T> {
    pub(super) fn new(
        probe: Arc<dyn DynProbe<T>>,
        settings: ProbeSettings,
        random: fastrand::Rng,
    ) -> Self {
        Self {
            probe,
            settings,
            known: HashMap::new(),
            due: BinaryHeap::new(),
            running: FuturesUnordered::new(),
            round: 0,
            random,
        }
    }

    /// Takes note of who there is to probe, and what is known of those that it did not know.
    pub(super) fn members(
        &mut self,
        members: HashMap<Arc<str>, (T, Handle, Probed)>,
        now: Instant,
    ) {
        self.known.retain(|id, _| members.contains_key(id));
        for (id, (value, handle, probed)) in members {
            let known = self.known.get_mut(&id);
            if let Some(check) = known.filter(|check| check.handle == handle) {
                check.value = value;
                continue;
            }
            let check = Check {
                value,
                handle,
                round: 0,
                probed,
                why: None,
                successes: 0,
                failures: 0,
            };
            self.known.insert(Arc::clone(&id), check);
            self.plan(id, now);
        }
    }

    /// What is known of a backend, if it has answered.
    pub(super) fn found(&self, id: &str) -> Option<(Probed, Option<Arc<Why>>)> {
        let check = self.known.get(id)?;
        match check.probed {
            Probed::Unknown | Probed::Gated | Probed::Founding => None,
            probed => Some((probed, check.why.clone())),
        }
    }

    /// Starts what is due and may run, and counts the next answer that makes a difference.
    pub(super) fn poll(&mut self, busy: bool, now: Instant, cx: &mut Context<'_>) -> Poll<Finding> {
        loop {
            self.start(now);
            match self.running.poll_next_unpin(cx) {
                Poll::Ready(Some(answered)) => {
                    if let Some(finding) = self.count(answered, busy, now) {
                        return Poll::Ready(finding);
                    }
                }
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whether a backend has to pass a probe first.
    pub(super) fn gated(&self) -> bool {
        self.settings.gated
    }

    /// How often it needs to know whether there is traffic, if it does.
    pub(super) fn looks_at_traffic(&self) -> Option<Duration> {
        let settings = &self.settings;
        (settings.while_idle() != settings.interval).then_some(settings.interval)
    }

    /// When [`poll`](Self::poll) has something to start.
    pub(super) fn next(&self) -> Option<Instant> {
        if self.running.len() >= self.settings.concurrency {
            return None;
        }
        self.due.peek().map(|Reverse((at, ..))| *at)
    }

    fn plan(&mut self, id: Arc<str>, at: Instant) {
        self.round += 1;
        if let Some(check) = self.known.get_mut(&id) {
            check.round = self.round;
            self.due.push(Reverse((at, id, self.round)));
        }
    }

    fn start(&mut self, now: Instant) {
        while self.running.len() < self.settings.concurrency
            && let Some(Reverse((at, ..))) = self.due.peek()
            && *at <= now
            && let Some(Reverse((_, id, round))) = self.due.pop()
        {
            let Some(check) = self.known.get(&id).filter(|check| check.round == round) else {
                continue;
            };
            let target = Target::new(Arc::clone(&id), check.value.clone());
            let (probe, timeout) = (Arc::clone(&self.probe), self.settings.timeout);
            self.running.push(Box::pin(async move {
                let probe = async { probe.probe_boxed(target).await };
                let probe = AssertUnwindSafe(probe).catch_unwind();
                let answer = match tokio::time::timeout(timeout, probe).await {
                    Ok(Ok(answer)) => answer.map_err(|error| told(&error)),
                    Ok(Err(_panic)) => Err("the probe panicked".into()),
                    Err(_) => Err(format!("no answer within {timeout:?}").into()),
                };
                Answered { id, round, answer }
            }));
        }
    }

    fn count(&mut self, answered: Answered, busy: bool, now: Instant) -> Option<Finding> {
        let Answered { id, round, answer } = answered;
        let (rise, fall) = (self.settings.rise, self.settings.fall);
        let check = self
            .known
            .get_mut(&id)
            .filter(|check| check.round == round)?;
        let first = check.successes + check.failures == 0;
        let before = check.probed;
        let why = match answer {
            Ok(answer) => {
                check.failures = 0;
                check.successes = check.successes.saturating_add(1);
                if before != Probed::Unhealthy || check.successes >= rise {
                    check.probed = match answer {
                        Answer::Healthy => Probed::Healthy,
                        Answer::Degraded => Probed::Degraded,
                    };
                }
                "it is degraded".into()
            }
            Err(why) => {
                check.successes = 0;
                check.failures = check.failures.saturating_add(1);
                if check.failures >= fall {
                    check.probed = Probed::Unhealthy;
                }
                why
            }
        };
        let changing = match check.probed {
            Probed::Unhealthy => check.successes > 0,
            _ => check.failures > 0,
        };
        let probed = check.probed;
        let wait = if changing {
            self.settings.while_changing()
        } else if busy {
            self.settings.interval
        } else {
            self.settings.while_idle()
        };
        let wait = self.vary(wait, first);
        self.plan(Arc::clone(&id), later(now, wait));
        let why = match probed {
            Probed::Unhealthy | Probed::Degraded => Some(Arc::new(Why::Probe(why))),
            _ => None,
        };
        if probed == before {
            return None;
        }
        if let Some(check) = self.known.get_mut(&id) {
            check.why.clone_from(&why);
        }
        Some(Finding { id, probed, why })
    }

    fn vary(&mut self, wait: Duration, first: bool) -> Duration {
        if first {
            wait.mul_f64(self.random.f64())
        } else {
            wait + wait.mul_f64(self.settings.jitter * self.random.f64())
        }
    }
}

/// What an error says, and its causes.
fn told(error: &BoxError) -> Arc<str> {
    let mut told = error.to_string();
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = next {
        let _ = write!(told, ": {error}");
        next = error.source();
    }
    told.into()
}
