use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// How large a subset is that follows its client's load.
pub(super) struct Growth {
    sizes: RangeInclusive<usize>,
    size: usize,
    /// The mean number of requests in flight.
    mean: f64,
    /// Until the next look. Not before there is a runtime with a clock.
    look: Option<Pin<Box<Sleep>>>,
}

/// Between two looks at the load.
const INTERVAL: Duration = Duration::from_secs(1);

/// The time constant of the mean.
const SMOOTH: Duration = Duration::from_secs(15);

/// Requests in flight for each backend.
const BAND: RangeInclusive<f64> = 0.875..=1.125;

impl Growth {
    pub(super) fn new(sizes: RangeInclusive<usize>) -> Self {
        Self {
            size: *sizes.start(),
            sizes,
            mean: 0.0,
            look: None,
        }
    }

    /// Ready when it is time to look.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let look = self.look.get_or_insert_with(|| Box::pin(sleep(INTERVAL)));
        let due = look.as_mut().poll(cx);
        if due.is_ready() {
            self.look = None;
        }
        due
    }

    /// Returns the size that there is to be, with so many requests in flight, if that is another.
    pub(super) fn look(&mut self, in_flight: usize) -> Option<usize> {
        let weight = 1.0 - (-INTERVAL.as_secs_f64() / SMOOTH.as_secs_f64()).exp();
        self.mean += (in_flight as f64 - self.mean) * weight;
        if BAND.contains(&(self.mean / self.size as f64)) {
            return None;
        }
        let size = (self.mean.ceil() as usize).clamp(*self.sizes.start(), *self.sizes.end());
        let another = (size != self.size).then_some(size);
        self.size = size;
        another
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_follows_the_load_within_its_bounds_and_not_each_of_its_moves() {
        let mut growth = Growth::new(5..=40);
        let mut after = |in_flight: usize, seconds: usize| {
            let changes = (0..seconds).filter_map(|_| growth.look(in_flight)).count();
            (growth.size, changes)
        };
        assert_eq!(after(2, 100), (5, 0));
        let (size, _) = after(30, 100);
        assert!((27..=31).contains(&size), "{size}");
        // A little more or less is no reason.
        assert_eq!(after(29, 100), (size, 0));
        assert_eq!(after(1000, 100).0, 40);
        let (size, _) = after(0, 200);
        assert_eq!(size, 5);
    }
}
