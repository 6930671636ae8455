//! How many requests one backend can take at once, found out from what becomes of them.
//!
//! [`AdaptiveLimit`] holds the settings, `Adaptive` what was learnt: one word of memory.

mod law;
mod state;
#[cfg(all(test, not(evenkeel_loom)))]
mod tests;
mod word;

use std::time::Duration;

pub(crate) use self::state::Adaptive;
use crate::InvalidSetting;

/// The most that a limit can be: what the word has room for.
const MOST: u32 = 10_000;

/// A limit of the requests in flight to one backend that finds itself.
///
/// # Algorithm
///
/// The limit changes by *rounds*: of as many samples as it allows requests at once, and 10 at least.
/// That is about the time of one response while the limit is reached. A sample is a success, or an
/// *overload*: a request that was rejected, that timed out, or whose response says that what is
/// behind it is unavailable ([`Rejected`](super::Outcome::Rejected),
/// [`Timeout`](super::Failure::Timeout), [`Gateway`](super::Failure::Gateway)). Other failures and
/// cancelled requests are no samples, so that a fast failure never raises a limit.
///
/// *Both laws* take an overload at once, and once a round: the requests that were in flight with it
/// will often say the same. They never raise the limit in a round in which less than half of it was
/// in flight, since that says nothing about the rest.
///
/// ```text
/// at an overload:       limit = limit × backoff
/// ```
///
/// [*Gradient*](Self::gradient) compares the mean latency of a round, `short`, with that of a
/// backend without a queue, `long`. It allows a queue of about the square root of the limit:
///
/// ```text
/// at a round's end:     gradient = max(0.5, min(1, tolerance × long / short))
///                       new      = limit × gradient + √limit
///                       limit    = limit × (1 - smoothing) + new × smoothing
/// ```
///
/// A backend of c slots that is asked for more than it can take ends with a limit of about
/// `tolerance × c + √(tolerance × c)`: its slots are full, and the queue is short.
///
/// `long` moves by a fifth of the difference at the end of a round in which less than half of the
/// limit was in flight. While requests queue all the time, no average tells the queue from the
/// work: it would follow `short` up, and the limit would rise without end. So after 24 rounds that
/// were busy, and slower than `long` by more than 5 % or at the largest limit, it is divided by the power of two
/// next above the tolerance, doubled (4 by default), for about two rounds. In the first the queue
/// drains, and `long` moves half of the way to the mean of the second. A `long` that is more than
/// twice `short` shrinks by a tenth a round.
///
/// [*AIMD*](Self::aimd), additive increase and multiplicative decrease, knows no latency but one: a
/// response slower than [`latency_limit`](Self::latency_limit) is an overload.
///
/// ```text
/// at a round's end:     limit = limit + 1
/// ```
///
/// # When to use
///
/// Gradient needs no number from you, and wants latencies that resemble each other. AIMD fits a
/// backend that says when it has enough, or that has a known latency to keep. Neither replaces a
/// fixed limit that you know to be right.
///
/// # What to know
///
/// * Latency is that up to the response's head. A backend that sends the head at once and works
///   while it sends the body looks idle.
/// * `long` drifts: it is learnt from the traffic, from its second round on. Where others queue at
///   the same backend, or where [the least limit](Self::bounds) is more than it can take, there is
///   no moment without a queue, and `long` contains one. The limit is then too high, up to the
///   largest.
/// * A backend that became slower for good, and is asked for more than it can take, is throttled
///   to a few requests until `long` has followed, for some dozens of rounds.
/// * While requests queue all the time, measuring `long` costs 3 % of the responses, and 5 % where
///   the limit is about 20. So it does at the largest limit. Otherwise it costs nothing.
/// * It counts rounds, not time: without requests nothing is forgotten.
///
/// # Cost
///
/// One word for a backend, one compare-and-swap for a sample, one load to read the limit.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::AdaptiveLimit;
/// use std::time::Duration;
///
/// let by_latency = AdaptiveLimit::gradient().bounds(5, 500)?.tolerance(2.0)?;
/// let by_errors = AdaptiveLimit::aimd()
///     .initial(50)?
///     .backoff(0.8)?
///     .latency_limit(Duration::from_millis(250))?;
/// assert_ne!(by_latency, by_errors);
///
/// let error = AdaptiveLimit::gradient().bounds(10, 5).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "invalid bounds of a limit 10 to 5: expected at least 1, at most 10000, in this order"
/// );
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
///
/// # References
///
/// * Netflix, `concurrency-limits`: `Gradient2Limit` (the formula, smoothing 0.2, half of the limit,
///   a long latency that shrinks), `GradientLimit` (the tolerance), `AIMDLimit` (back-off 0.9,
///   5 s), `WindowedLimit` (means of 10 samples or more). Theirs are windows of time.
/// * Envoy, adaptive concurrency filter: the queue of √limit, bounds of 3 and 1000, latency measured
///   anew at a low limit.
/// * V. Jacobson, *Congestion Avoidance and Control*, SIGCOMM 1988: one more for each round, and one
///   decrease for all losses of a round.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct AdaptiveLimit {
    law: Law,
    min: u32,
    max: u32,
    initial: u32,
    backoff: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Law {
    Gradient {
        tolerance: f32,
        smoothing: f32,
    },
    Aimd {
        /// In nanoseconds.
        latency_limit: u64,
    },
}

impl AdaptiveLimit {
    /// A limit that follows the latency: from 3 to 1000, 20 at first, with a tolerance of 1.5 and a
    /// smoothing of 0.2.
    pub const fn gradient() -> Self {
        Self::new(Law::Gradient {
            tolerance: 1.5,
            smoothing: 0.2,
        })
    }

    /// A limit that rises by one until there is an overload: from 3 to 1000, 20 at first, with a
    /// back-off of 0.9 and a latency limit of 5 s.
    pub const fn aimd() -> Self {
        Self::new(Law::Aimd {
            latency_limit: 5_000_000_000,
        })
    }

    const fn new(law: Law) -> Self {
        Self {
            law,
            min: 3,
            max: 1000,
            initial: 20,
            backoff: 0.9,
        }
    }

    /// Sets the least and the largest limit. Default 3 and 1000, as Envoy's.
    ///
    /// The least should be less than what the backend can take without a queue: for
    /// [`gradient`](Self::gradient), latency without a queue is never seen otherwise.
    ///
    /// # Errors
    ///
    /// When the least is 0 or above the largest, or the largest above 10 000.
    pub fn bounds(mut self, min: u32, max: u32) -> Result<Self, InvalidSetting> {
        if min == 0 || min > max || max > MOST {
            let given = format_args!("{min} to {max}");
            let expected = "at least 1, at most 10000, in this order";
            return Err(InvalidSetting::new("bounds of a limit", given, expected));
        }
        (self.min, self.max) = (min, max);
        Ok(self)
    }

    /// Sets the limit before anything is known of the backend. Default 20, as Netflix's.
    ///
    /// Outside of the [bounds](Self::bounds), the nearest bound counts.
    ///
    /// # Errors
    ///
    /// When it is not from 1 to 10 000.
    pub fn initial(mut self, initial: u32) -> Result<Self, InvalidSetting> {
        if !(1..=MOST).contains(&initial) {
            let expected = "a number from 1 to 10000";
            return Err(InvalidSetting::new("initial limit", initial, expected));
        }
        self.initial = initial;
        Ok(self)
    }

    /// Sets what is left of the limit after an overload, as a part of it. Default 0.9, as
    /// Netflix's.
    ///
    /// # Errors
    ///
    /// When it is not from 0.5 to 0.99.
    pub fn backoff(mut self, backoff: f64) -> Result<Self, InvalidSetting> {
        if !(0.5..=0.99).contains(&backoff) {
            let expected = "a number from 0.5 to 0.99";
            return Err(InvalidSetting::new("back-off", backoff, expected));
        }
        self.backoff = backoff as f32;
        Ok(self)
    }

    /// Sets how many times the latency without a queue is no reason to lower the limit. Default
    /// 1.5, as Netflix's. Latencies that differ much want more.
    ///
    /// # Errors
    ///
    /// When it is not from 1.1 to 4, or the limit not one by [`gradient`](Self::gradient).
    pub fn tolerance(mut self, times: f64) -> Result<Self, InvalidSetting> {
        let what = "latency tolerance";
        let Law::Gradient { tolerance, .. } = &mut self.law else {
            return Err(InvalidSetting::new(what, times, "a limit by gradient"));
        };
        if !(1.1..=4.0).contains(&times) {
            let expected = "a number from 1.1 to 4";
            return Err(InvalidSetting::new(what, times, expected));
        }
        *tolerance = times as f32;
        Ok(self)
    }

    /// Sets how much of the way to a new limit is gone in one round. Default 0.2, as Netflix's.
    ///
    /// # Errors
    ///
    /// When it is not from 0.05 to 1, or the limit not one by [`gradient`](Self::gradient).
    pub fn smoothing(mut self, part: f64) -> Result<Self, InvalidSetting> {
        let what = "smoothing";
        let Law::Gradient { smoothing, .. } = &mut self.law else {
            return Err(InvalidSetting::new(what, part, "a limit by gradient"));
        };
        if !(0.05..=1.0).contains(&part) {
            let expected = "a number from 0.05 to 1";
            return Err(InvalidSetting::new(what, part, expected));
        }
        *smoothing = part as f32;
        Ok(self)
    }

    /// Sets the latency above which a response counts as an overload. Default 5 s, as Netflix's.
    ///
    /// # Errors
    ///
    /// When it is zero or longer than a day, or the limit not one by [`aimd`](Self::aimd).
    pub fn latency_limit(mut self, limit: Duration) -> Result<Self, InvalidSetting> {
        let (what, given) = ("latency limit", format_args!("{limit:?}"));
        let Law::Aimd { latency_limit } = &mut self.law else {
            return Err(InvalidSetting::new(what, given, "a limit by AIMD"));
        };
        if limit.is_zero() || limit > Duration::from_secs(24 * 3600) {
            let expected = "more than zero and at most a day";
            return Err(InvalidSetting::new(what, given, expected));
        }
        *latency_limit = limit.as_nanos() as u64;
        Ok(self)
    }
}
