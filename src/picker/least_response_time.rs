use std::sync::Arc;

use super::sample::Sampler;
use super::{Context, Needs, Picker, Update};
use crate::InvalidSetting;
use crate::set::BackendSet;

/// Draws a few backends by weight and picks the one that should answer first: latency times
/// requests in flight.
///
/// # When to use
///
/// When backends differ in speed or slow down at times. Where they are alike,
/// [`LeastRequests`](super::LeastRequests) is better: a single slow answer weighs on a backend for
/// seconds here.
///
/// # Algorithm
///
/// Peak EWMA, as in Finagle and Linkerd, on two backends drawn by weight:
///
/// ```text
/// score = latency × (in flight + 1) / weight
/// ```
///
/// Latency is that of the pool: a moving average in which peaks count at once, failures count as
/// slow, and requests that hang count while they hang; see
/// [`LatencySettings`](crate::backend::LatencySettings). A backend that was never measured is tried
/// with one request at a time, until its first answer.
///
/// O(choices), and the recording that [`Needs::LATENCY`](super::Needs::LATENCY) describes.
///
/// # References
///
/// Twitter Finagle, `PeakEwma.scala`.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::LeastResponseTime;
///
/// let picker = LeastResponseTime::with_choices(3)?;
/// # let _ = picker;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct LeastResponseTime {
    sampler: Sampler,
}

/// What the latency of a backend counts as that was never measured and has requests outstanding:
/// more than any that was, in nanoseconds.
const UNKNOWN: f64 = 1e15;

impl LeastResponseTime {
    /// Compares two backends.
    pub fn new() -> Self {
        Self {
            sampler: Sampler::new(),
        }
    }

    /// Compares `choices` backends.
    ///
    /// # Errors
    ///
    /// When it is not from 2 to 32.
    pub fn with_choices(choices: usize) -> Result<Self, InvalidSetting> {
        Ok(Self {
            sampler: Sampler::with_choices(choices)?,
        })
    }
}

/// Latency times (in flight + 1), in nanoseconds.
fn expected(set: &dyn BackendSet, rank: usize, cx: &mut Context) -> f64 {
    let in_flight = set.in_flight(rank);
    let nanoseconds = match set.latency(rank, cx.now()) {
        Some(latency) => latency.as_secs() as f64 * 1e9 + f64::from(latency.subsec_nanos()),
        None if in_flight == 0 => return 0.0,
        None => UNKNOWN,
    };
    nanoseconds * (in_flight as f64 + 1.0)
}

impl<Req: ?Sized> Picker<Req> for LeastResponseTime {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        let equal = self.sampler.is_equal();
        self.sampler.best_of(set, cx, |a, b, cx| {
            let (first, second) = (expected(set, a, cx), expected(set, b, cx));
            if equal {
                return first < second;
            }
            first * f64::from(set.weight(b)) < second * f64::from(set.weight(a))
        })
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        Some(Arc::new(Self {
            sampler: self.sampler.prepare(update.eligible()),
        }))
    }

    fn needs(&self) -> Needs {
        Needs::LATENCY
    }

    fn rule(&self) -> &'static str {
        "shortest expected response (latency, times requests in flight) for its weight, of a few drawn at random"
    }
}

impl Default for LeastResponseTime {
    fn default() -> Self {
        Self::new()
    }
}
