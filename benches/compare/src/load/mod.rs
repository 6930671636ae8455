//! Clients that ask a proxy, and what they saw.

pub(crate) mod closed;
pub(crate) mod connection;
pub(crate) mod open;

use std::collections::BTreeMap;
use std::time::Duration;

/// How long a client waits for a whole answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A request, as its client saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// When it was due, from the beginning of the load.
    pub(crate) at: Duration,
    /// From then until the last byte of the answer, or until it failed.
    pub(crate) took: Duration,
    /// Who answered, or why the request has failed.
    pub(crate) outcome: Result<Box<str>, String>,
}

/// The latency that so many percent of the answered requests do not exceed; zero if none was.
pub(crate) fn percentile(seen: &[Seen], percent: f64) -> Duration {
    let answered = seen.iter().filter(|request| request.outcome.is_ok());
    let mut latencies: Vec<_> = answered.map(|request| request.took).collect();
    latencies.sort_unstable();
    let rank = (latencies.len() as f64 * percent / 100.0).ceil() as usize;
    let at = rank.saturating_sub(1);
    latencies.get(at).copied().unwrap_or_default()
}

/// How many have failed.
pub(crate) fn failed(seen: &[Seen]) -> usize {
    seen.iter()
        .filter(|request| request.outcome.is_err())
        .count()
}

/// How many have failed for each reason.
pub(crate) fn reasons(seen: &[Seen]) -> BTreeMap<&str, usize> {
    let mut reasons = BTreeMap::new();
    for why in seen
        .iter()
        .filter_map(|request| request.outcome.as_ref().err())
    {
        *reasons.entry(&**why).or_default() += 1;
    }
    reasons
}

/// How many each backend has answered.
pub(crate) fn shares(seen: &[Seen]) -> BTreeMap<&str, usize> {
    let mut shares = BTreeMap::new();
    for who in seen
        .iter()
        .filter_map(|request| request.outcome.as_ref().ok())
    {
        *shares.entry(&**who).or_default() += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(took: u64, answered: bool) -> Seen {
        let outcome = if answered {
            Ok("a".into())
        } else {
            Err("no".into())
        };
        Seen {
            at: Duration::ZERO,
            took: Duration::from_millis(took),
            outcome,
        }
    }

    #[test]
    fn a_percentile_is_one_of_the_answers_and_not_below_its_share_of_them() {
        let all: Vec<_> = (1..=150).rev().map(|took| seen(took, true)).collect();
        assert_eq!(percentile(&all, 50.0), Duration::from_millis(75));
        assert_eq!(percentile(&all, 99.0), Duration::from_millis(149));
        assert_eq!(percentile(&all, 100.0), Duration::from_millis(150));
        assert_eq!(percentile(&[], 99.0), Duration::ZERO);
    }

    #[test]
    fn a_failure_is_counted_and_is_no_latency() {
        let all = [seen(1, false), seen(5, true)];
        assert_eq!(failed(&all), 1);
        assert_eq!(percentile(&all, 50.0), Duration::from_millis(5));
        assert_eq!(reasons(&all), BTreeMap::from([("no", 1)]));
        assert_eq!(shares(&all), BTreeMap::from([("a", 1)]));
    }
}
