//! The names, units and labels of all metrics, as Prometheus and OpenTelemetry would have them.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

use crate::backend::{Failure, Outcome};

pub(super) const PICKS: &str = "evenkeel_picks_total";
pub(super) const ATTEMPTS: &str = "evenkeel_attempts_total";
pub(super) const HEAD: &str = "evenkeel_attempt_head_seconds";
pub(super) const DURATION: &str = "evenkeel_attempt_duration_seconds";
pub(super) const RETRIES: &str = "evenkeel_retries_total";
pub(super) const EJECTIONS: &str = "evenkeel_ejections_total";
pub(super) const IN_FLIGHT: &str = "evenkeel_attempts_in_flight";
pub(super) const ELIGIBLE: &str = "evenkeel_backend_eligible";
pub(super) const REQUESTS: &str = "evenkeel_requests_total";
pub(super) const BACKENDS: &str = "evenkeel_backends";
pub(super) const HEALTHY: &str = "evenkeel_healthy_ratio";
pub(super) const QUEUED: &str = "evenkeel_queued_requests";
pub(super) const BUDGET: &str = "evenkeel_retry_budget_tokens";

/// The value of the label `backend` for all who have none of their own.
pub(super) const OTHER: &str = "other";

/// All outcomes.
pub(super) const OUTCOMES: [Outcome; 9] = [
    Outcome::Success,
    Outcome::Rejected,
    Outcome::Cancelled,
    Outcome::Failure(Failure::Connect),
    Outcome::Failure(Failure::Timeout),
    Outcome::Failure(Failure::Gateway),
    Outcome::Failure(Failure::Response),
    Outcome::Failure(Failure::Body),
    Outcome::Failure(Failure::Other),
];

/// The place of an outcome among [`OUTCOMES`].
pub(super) fn place_of(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Success => 0,
        Outcome::Rejected => 1,
        Outcome::Cancelled => 2,
        Outcome::Failure(Failure::Connect) => 3,
        Outcome::Failure(Failure::Timeout) => 4,
        Outcome::Failure(Failure::Gateway) => 5,
        Outcome::Failure(Failure::Response) => 6,
        Outcome::Failure(Failure::Body) => 7,
        Outcome::Failure(Failure::Other) => 8,
    }
}

pub(super) fn describe() {
    describe_counter!(PICKS, Unit::Count, "Requests given to a backend.");
    describe_counter!(ATTEMPTS, Unit::Count, "Attempts that have ended.");
    describe_histogram!(HEAD, Unit::Seconds, "Time to the head of a response.");
    describe_histogram!(DURATION, Unit::Seconds, "Time to the end of a response.");
    describe_counter!(
        RETRIES,
        Unit::Count,
        "Attempts after the first of their request, hedges included."
    );
    describe_counter!(
        EJECTIONS,
        Unit::Count,
        "Times that a backend was ejected for its traffic."
    );
    describe_gauge!(IN_FLIGHT, Unit::Count, "Requests in flight at a backend.");
    describe_gauge!(ELIGIBLE, Unit::Count, "Whether a backend can be picked.");
    describe_counter!(REQUESTS, Unit::Count, "Requests, with all their attempts.");
    describe_gauge!(BACKENDS, Unit::Count, "Members of the pool.");
    describe_gauge!(HEALTHY, "Healthy members, as a share of all.");
    describe_gauge!(
        QUEUED,
        Unit::Count,
        "Requests that wait for room at a backend."
    );
    describe_gauge!(BUDGET, Unit::Count, "Retries that the budget has left.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_own_place() {
        for (place, outcome) in OUTCOMES.into_iter().enumerate() {
            assert_eq!(place_of(outcome), place, "{outcome}");
        }
    }
}
