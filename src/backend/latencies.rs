use std::time::Duration;

use super::histogram::middle_of;

/// How long a backend's requests took lately, from
/// [`BackendInfo::latencies`](super::BackendInfo::latencies).
///
/// Known of pools whose [traffic is recorded](crate::Pool::record_traffic). About one request in
/// eight is measured, unless a picker goes by latency: then all are. What counts is the time to the
/// response head of those that went well and of those that ran out of time. A failure that came
/// fast is no fast answer, and is left out.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::Outcome;
/// use evenkeel::{Backend, Pool};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let pool = Pool::from([Backend::new("a", ())]);
/// pool.record_traffic();
///
/// // This measures each request.
/// let (_, completion) = pool.start(|_| Some(0)).expect("a is eligible");
/// tokio::time::sleep(Duration::from_millis(20)).await;
/// completion.finish(Outcome::Success);
///
/// let latencies = pool.get("a").unwrap().latencies().cloned().expect("they are recorded");
/// let median = latencies.percentile(0.5).expect("there was one");
/// assert!(median.abs_diff(Duration::from_millis(20)) < Duration::from_millis(2));
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Those with something in them, the fastest first.
    buckets: Vec<(u16, u32)>,
    sum: u64,
    total: u64,
}

impl Latencies {
    pub(super) fn new(buckets: impl IntoIterator<Item = (u16, u32)>, sum: u64, total: u64) -> Self {
        let buckets = buckets.into_iter().filter(|&(_, count)| count > 0);
        Self {
            buckets: buckets.collect(),
            sum,
            total,
        }
    }

    /// Returns the latency that a part of the requests of the last 30 to 60 seconds did not exceed:
    /// 0.5 gives the median, 0.99 what all but the slowest hundredth took. `None` if none was
    /// measured in that time.
    ///
    /// It is off by a fifteenth at most, from 1 µs to an hour. What is not from 0 to 1 is taken for
    /// the nearest that is.
    pub fn percentile(&self, part: f64) -> Option<Duration> {
        let rank = (self.samples() as f64 * part.clamp(0.0, 1.0)).ceil() as u64;
        let mut left = rank.max(1);
        let found = self.buckets.iter().find(|&&(_, count)| {
            left = left.saturating_sub(u64::from(count));
            left == 0
        });
        found.map(|&(bucket, _)| Duration::from_nanos(middle_of(bucket)))
    }

    /// Returns how many requests were measured in the last 30 to 60 seconds.
    pub fn samples(&self) -> u64 {
        self.buckets
            .iter()
            .map(|&(_, count)| u64::from(count))
            .sum()
    }

    /// Returns how many were measured since it began.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns how long all of those took together. With [`total`](Self::total), this gives their
    /// mean over any span between two looks.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// Adds those of another backend.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::backend::Latencies;
    /// use evenkeel::{Backend, Pool};
    ///
    /// let pool = Pool::from([Backend::new("a", ()), Backend::new("b", ())]);
    /// let mut all = Latencies::default();
    /// for backend in pool.list() {
    ///     backend.latencies().into_iter().for_each(|latencies| all.add(latencies));
    /// }
    /// assert_eq!(all.percentile(0.99), None);
    /// ```
    pub fn add(&mut self, other: &Self) {
        for &(bucket, count) in &other.buckets {
            match self.buckets.binary_search_by_key(&bucket, |&(own, _)| own) {
                Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
                Err(at) => self.buckets.insert(at, (bucket, count)),
            }
        }
        self.sum = self.sum.saturating_add(other.sum);
        self.total = self.total.saturating_add(other.total);
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    fn of(buckets: &[(u16, u32)]) -> Latencies {
        Latencies::new(buckets.iter().copied(), 10, 3)
    }

    #[test]
    fn a_percentile_is_the_smallest_that_so_many_do_not_exceed() {
        let latencies = of(&[(1, 50), (2, 49), (3, 1)]);
        let micros = |part| latencies.percentile(part).map(|latency| latency.as_nanos());
        for (part, expected) in [
            (-1.0, 1500),
            (0.0, 1500),
            (0.5, 1500),
            (0.51, 2500),
            (0.99, 2500),
            (0.991, 3500),
            (1.0, 3500),
            (7.0, 3500),
            (f64::NAN, 1500),
        ] {
            assert_eq!(micros(part), Some(expected), "{part}");
        }
        assert_eq!(of(&[]).percentile(0.5), None);
    }

    #[test]
    fn those_of_two_backends_together_are_all_of_them() {
        let mut all = of(&[(1, 2), (5, 1)]);
        all.add(&of(&[(0, 1), (5, u32::MAX), (9, 1)]));
        let buckets = [(0, 1), (1, 2), (5, u32::MAX), (9, 1)];
        assert_eq!(all.buckets, buckets);
        assert_eq!((all.sum(), all.total()), (Duration::from_nanos(20), 6));
    }
}
