use std::time::Duration;

use super::check::{positive, within};
use super::service_time::exponential;
use crate::InvalidSetting;

/// The law by which requests arrive, from all clients together; each comes from a client at random.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use evenkeel::sim::{Arrivals, Scenario};
///
/// // A tenth of the time three times as many requests arrive, for 2 s on average.
/// let bursts = Arrivals::bursts(3.0, 0.1, Duration::from_secs(2));
/// let scenario = Scenario::builder(10).load(0.5).arrivals(bursts).build()?;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Arrivals(Law);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Law {
    Poisson,
    Regular,
    Bursts {
        factor: f64,
        share: f64,
        lasting: Duration,
    },
}

impl Arrivals {
    /// Requests that know nothing of each other: the Poisson process.
    pub fn poisson() -> Self {
        Self(Law::Poisson)
    }

    /// One after the other, always after the same time.
    pub fn regular() -> Self {
        Self(Law::Regular)
    }

    /// A Poisson process whose rate changes between two values. For a share of the time, above 0
    /// and below 1, it is `factor` times the average, above 0 and up to 1 / `share`; otherwise it
    /// is what makes up for that. Bursts last `lasting` on average, by the exponential law, and so
    /// does what is between them. (A Markov-modulated Poisson process, MMPP.)
    pub fn bursts(factor: f64, share: f64, lasting: Duration) -> Self {
        Self(Law::Bursts {
            factor,
            share,
            lasting,
        })
    }

    pub(super) fn check(&self) -> Result<(), InvalidSetting> {
        if let Law::Bursts {
            factor,
            share,
            lasting,
        } = self.0
        {
            within("share of bursts", share, 0.001, 0.999, "0.001 to 0.999")?;
            let expected = "above 0, and up to 1 divided by the share of bursts";
            within("factor of bursts", factor, 0.001, 1.0 / share, expected)?;
            positive("length of bursts", lasting)?;
        }
        Ok(())
    }

    /// For so many requests per nanosecond.
    pub(super) fn stream(&self, rate: f64) -> Stream {
        let (rates, lengths) = match self.0 {
            Law::Poisson | Law::Regular => ([rate; 2], [f64::INFINITY; 2]),
            Law::Bursts {
                factor,
                share,
                lasting,
            } => {
                let burst = lasting.as_nanos() as f64;
                let quiet = rate * ((1.0 - factor * share) / (1.0 - share)).max(0.0);
                (
                    [quiet, rate * factor],
                    [burst * (1.0 - share) / share, burst],
                )
            }
        };
        Stream {
            regular: self.0 == Law::Regular,
            rates,
            lengths,
            state: 0,
            until: None,
            at: 0.0,
        }
    }
}

/// The times of arrivals. State 0 is quiet, state 1 a burst.
#[derive(Debug)]
pub(super) struct Stream {
    regular: bool,
    rates: [f64; 2],
    lengths: [f64; 2],
    state: usize,
    until: Option<f64>,
    at: f64,
}

impl Stream {
    /// The next one, in nanoseconds.
    pub(super) fn next(&mut self, random: &mut fastrand::Rng) -> u64 {
        if self.regular {
            self.at += 1.0 / self.rates[0];
            return self.at as u64;
        }
        // A fraction is kept from one to the next: gaps can be about as short as a nanosecond.
        loop {
            let until = match self.until {
                Some(until) => until,
                None if self.lengths[0].is_infinite() => f64::INFINITY,
                None => self.at + self.lengths[self.state] * exponential(random),
            };
            self.until = Some(until);
            let next = self.at + exponential(random) / self.rates[self.state];
            if next <= until {
                self.at = next;
                return next as u64;
            }
            // Neither law remembers how long it has taken already.
            self.at = until;
            self.until = None;
            self.state = 1 - self.state;
        }
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    /// The rate of many arrivals, and the variance of their number in a second by its mean.
    fn rate_and_dispersion(arrivals: Arrivals) -> (f64, f64) {
        const SECOND: u64 = 1_000_000_000;
        const SECONDS: usize = 20_000;
        let mut stream = arrivals.stream(20e-9);
        let mut random = fastrand::Rng::with_seed(2);
        let mut counts = vec![0_u32; SECONDS];
        while let Some(count) = counts.get_mut((stream.next(&mut random) / SECOND) as usize) {
            *count += 1;
        }
        let mean = counts.iter().map(|&count| f64::from(count)).sum::<f64>() / SECONDS as f64;
        let squares = counts
            .iter()
            .map(|&count| (f64::from(count) - mean).powi(2));
        (mean, squares.sum::<f64>() / SECONDS as f64 / mean)
    }

    #[test]
    fn all_come_at_the_rate_that_was_asked_for_and_bursts_are_bursts() {
        let close = |arrivals, dispersion: f64| {
            let (rate, measured) = rate_and_dispersion(arrivals);
            assert!((rate / 20.0 - 1.0).abs() < 0.02, "{arrivals:?}: {rate}");
            let off = (measured - dispersion).abs();
            assert!(off < 0.05 * (1.0 + dispersion), "{arrivals:?}: {measured}");
        };
        close(Arrivals::regular(), 0.0);
        close(Arrivals::poisson(), 1.0);
        // Of a process that changes between two rates: 1 + 2 v τ/m (1 - (1 - e^(-t/τ)) τ/t), with
        // the variance v of the rate, its mean m, and τ the time over which it forgets.
        let (variance, mean, forgets) =
            (0.1 * 0.9 * (60.0 - 140.0 / 9.0_f64).powi(2), 20.0, 1.8_f64);
        let rest = 1.0 - (1.0 - (-1.0 / forgets).exp()) * forgets;
        let expected = 1.0 + 2.0 * variance * forgets / mean * rest;
        close(Arrivals::bursts(3.0, 0.1, Duration::from_secs(2)), expected);
    }

    #[test]
    fn bursts_that_cannot_be_are_refused() {
        let second = Duration::from_secs(1);
        for bursts in [
            Arrivals::bursts(3.0, 0.5, second),
            Arrivals::bursts(0.0, 0.5, second),
            Arrivals::bursts(f64::NAN, 0.5, second),
            Arrivals::bursts(1.0, 1.0, second),
            Arrivals::bursts(1.0, 0.5, Duration::ZERO),
        ] {
            assert!(bursts.check().is_err(), "{bursts:?}");
        }
        assert!(Arrivals::bursts(2.0, 0.5, second).check().is_ok());
    }
}
