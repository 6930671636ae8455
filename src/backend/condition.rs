use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::{Hint, Settings, State};
use crate::time::{from_epoch, since_epoch};

/// What a pool's writers know of one member's fitness: what an operator ordered, what probes found,
/// what its traffic showed.
///
/// Small, since each member has one and a snapshot is made by looking at all of them: what few
/// members have is behind a pointer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    /// Since when it is in the state that follows from all of this, in nanoseconds since the epoch.
    since: u64,
    findings: Option<Arc<Findings>>,
    /// How often its value was replaced, since values cannot be compared.
    pub(crate) values: u32,
    pub(crate) hold: Hold,
    pub(crate) probed: Probed,
}

/// What was found out about a member that is not as it should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Findings {
    pub(crate) probe_says: Option<Arc<Why>>,
    pub(crate) ejected: Option<Ejected>,
    /// Its own responses say so, until then.
    pub(crate) degraded_until: Option<Instant>,
}

/// What an operator ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    #[default]
    None,
    Drain,
    Down,
    Up,
}

/// What probes found.
#[cfg_attr(
    not(feature = "tower"),
    expect(dead_code, reason = "found out by probes")
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Probed {
    /// Nobody probes it, or nobody has yet and it is trusted.
    #[default]
    Unknown,
    /// It has to succeed first.
    Gated,
    /// The same, and it was there before anything was known of anybody.
    Founding,
    Healthy,
    Degraded,
    Unhealthy,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ejected {
    pub(crate) until: Instant,
    pub(crate) why: Arc<Why>,
    /// That time is over, and one request at a time may show that it is well again.
    pub(crate) trial: bool,
}

/// Why a backend is in its state, from [`BackendInfo::why`](super::BackendInfo::why).
///
/// # Examples
///
/// ```
/// use evenkeel::backend::Why;
///
/// assert_eq!(Why::FailuresInARow(5).to_string(), "5 failures in a row");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// So many of its requests failed one after the other.
    FailuresInARow(u32),
    /// So many of its requests found no connection, no answer in time, or a gateway's complaint,
    /// one after the other.
    GatewayFailuresInARow(u32),
    /// Too many of its requests failed within an interval.
    #[non_exhaustive]
    FailurePercentage {
        /// How many failed.
        failures: u64,
        /// Of how many.
        requests: u64,
    },
    /// Fewer of its requests succeeded than of the others'.
    #[non_exhaustive]
    SuccessRate {
        /// Its own rate, from 0 to 1.
        rate: f64,
        /// The lowest that would have done.
        least: f64,
    },
    /// It answered more slowly than the others.
    #[non_exhaustive]
    Latency {
        /// Its own mean over an interval.
        mean: Duration,
        /// The longest that would have done.
        most: Duration,
    },
    /// The request that was to show that it is well again failed.
    TrialFailed,
    /// The request that was to show that it is well again got no answer.
    TrialHangs,
    /// What a probe found.
    Probe(Arc<str>),
    /// Its responses say that it is degraded.
    Response,
    /// Whoever names the backend says so: its [`Hint`](super::Hint).
    Source,
}

impl Condition {
    pub(crate) fn new(since: Instant, probed: Probed) -> Self {
        Self {
            since: since_epoch(since),
            findings: None,
            values: 0,
            hold: Hold::None,
            probed,
        }
    }

    /// The same, but that nothing is known of its health.
    pub(crate) fn forget_health(&mut self) {
        (self.findings, self.probed) = (None, Probed::Unknown);
    }

    pub(crate) fn since(&self) -> Instant {
        from_epoch(self.since)
    }

    pub(crate) fn set_since(&mut self, since: Instant) {
        self.since = since_epoch(since);
    }

    pub(crate) fn ejected(&self) -> Option<&Ejected> {
        self.findings.as_ref()?.ejected.as_ref()
    }

    pub(crate) fn degraded_until(&self) -> Option<Instant> {
        self.findings.as_ref()?.degraded_until
    }

    pub(crate) fn probe_says(&self) -> Option<&Arc<Why>> {
        self.findings.as_ref()?.probe_says.as_ref()
    }

    pub(crate) fn find(&mut self, change: impl FnOnce(&mut Findings)) {
        let mut findings = self.findings.as_deref().cloned().unwrap_or_default();
        change(&mut findings);
        self.findings = (findings != Findings::default()).then(|| Arc::new(findings));
    }

    /// An operator's word counts first, then that of the source and of probes, then what the
    /// traffic showed.
    pub(crate) fn state(&self, settings: &Settings) -> State {
        let hint = settings.hint();
        match (self.hold, self.probed, self.ejected()) {
            (Hold::Drain, ..) => State::Draining,
            (Hold::Down, ..) => State::ForcedDown,
            _ if settings.weight == 0 => State::ZeroWeight,
            (Hold::Up, ..) => State::ForcedUp,
            _ if hint == Hint::Draining => State::Draining,
            _ if hint == Hint::Unhealthy => State::Unhealthy,
            (_, Probed::Unhealthy, _) => State::Unhealthy,
            (_, Probed::Gated | Probed::Founding, _) => State::Unchecked,
            (_, _, Some(Ejected { trial: false, .. })) => State::Ejected,
            (_, _, Some(Ejected { trial: true, .. })) => State::Trial,
            (_, Probed::Degraded, None) => State::Degraded,
            _ if hint == Hint::Degraded || self.degraded_until().is_some() => State::Degraded,
            _ => State::Healthy,
        }
    }

    pub(crate) fn why(&self, settings: &Settings) -> Option<&Arc<Why>> {
        match self.state(settings) {
            State::Unhealthy if settings.hint() == Hint::Unhealthy => Some(source()),
            State::Unhealthy => self.probe_says(),
            State::Draining if self.hold != Hold::Drain => Some(source()),
            State::Ejected | State::Trial => self.ejected().map(|ejected| &ejected.why),
            State::Degraded => match self.probed {
                Probed::Degraded => self.probe_says(),
                _ if settings.hint() == Hint::Degraded => Some(source()),
                _ => Some(response()),
            },
            _ => None,
        }
    }

    pub(crate) fn until(&self, settings: &Settings) -> Option<Instant> {
        match self.state(settings) {
            State::Ejected => self.ejected().map(|ejected| ejected.until),
            _ => None,
        }
    }
}

fn source() -> &'static Arc<Why> {
    static SOURCE: LazyLock<Arc<Why>> = LazyLock::new(|| Arc::new(Why::Source));
    &SOURCE
}

fn response() -> &'static Arc<Why> {
    static RESPONSE: LazyLock<Arc<Why>> = LazyLock::new(|| Arc::new(Why::Response));
    &RESPONSE
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailuresInARow(failures) => write!(f, "{failures} failures in a row"),
            Self::GatewayFailuresInARow(failures) => {
                write!(f, "{failures} connect or gateway failures in a row")
            }
            Self::FailurePercentage { failures, requests } => {
                write!(f, "{failures} of {requests} requests failed")
            }
            Self::SuccessRate { rate, least } => write!(
                f,
                "{:.1} % of its requests succeeded, where {:.1} % would have done",
                rate * 100.0,
                least * 100.0
            ),
            Self::Latency { mean, most } => {
                write!(f, "it took {mean:.1?}, where {most:.1?} would have done")
            }
            Self::TrialFailed => f.write_str("its trial request failed"),
            Self::TrialHangs => f.write_str("its trial request got no answer"),
            Self::Probe(said) => write!(f, "probe: {said}"),
            Self::Response => f.write_str("its responses say so"),
            Self::Source => f.write_str("its source says so"),
        }
    }
}
