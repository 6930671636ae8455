use std::f64::consts::{PI, SQRT_2};
use std::time::Duration;

use super::check::{positive, within};
use crate::InvalidSetting;

/// The law by which the work of each request is drawn: how long it takes at a server of speed 1
/// that does nothing else.
///
/// Each law is given by its mean, and by how it spreads about it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use evenkeel::sim::ServiceTime;
///
/// let law = ServiceTime::exponential(Duration::from_millis(100));
/// assert_eq!(law.mean(), Duration::from_millis(100));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct ServiceTime {
    mean: Duration,
    law: Law,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Law {
    Constant,
    Exponential,
    Normal { spread: f64 },
    LogNormal { variation: f64 },
    BoundedPareto { shape: f64, ratio: f64 },
    Hyperexponential { variation: f64 },
}

impl ServiceTime {
    /// All requests take the same time.
    pub fn constant(mean: Duration) -> Self {
        Self::new(mean, Law::Constant)
    }

    /// The exponential law: many short requests, and some long ones. Its standard deviation is its
    /// mean.
    pub fn exponential(mean: Duration) -> Self {
        Self::new(mean, Law::Exponential)
    }

    /// A normal law whose standard deviation is `spread` times its centre, 0 to 10. What comes out
    /// negative is drawn again, and all is then scaled so that the mean is `mean`. With a spread of
    /// 1 it is the law by which the authors of Prequal loaded their testbed.
    pub fn normal(mean: Duration, spread: f64) -> Self {
        Self::new(mean, Law::Normal { spread })
    }

    /// The log-normal law; its standard deviation is `variation` times its mean, 0 to 100.
    pub fn log_normal(mean: Duration, variation: f64) -> Self {
        Self::new(mean, Law::LogNormal { variation })
    }

    /// The Pareto law between a lowest value and `ratio` times it, above 1 and up to 10^9: the
    /// share of requests that take longer than t falls as t to the power of `-shape`, 0.1 to 10.
    pub fn bounded_pareto(mean: Duration, shape: f64, ratio: f64) -> Self {
        Self::new(mean, Law::BoundedPareto { shape, ratio })
    }

    /// Two exponential laws, of which each does half of the work: the many short requests, and the
    /// few long ones. The standard deviation is `variation` times the mean, 1 to 100.
    pub fn hyperexponential(mean: Duration, variation: f64) -> Self {
        Self::new(mean, Law::Hyperexponential { variation })
    }

    fn new(mean: Duration, law: Law) -> Self {
        Self { mean, law }
    }

    /// Returns the mean.
    pub fn mean(&self) -> Duration {
        self.mean
    }

    pub(super) fn check(&self) -> Result<(), InvalidSetting> {
        positive("mean service time", self.mean)?;
        match self.law {
            Law::Constant | Law::Exponential => Ok(()),
            Law::Normal { spread } => within("spread", spread, 0.0, 10.0, "0 to 10"),
            Law::LogNormal { variation } => within("variation", variation, 0.0, 100.0, "0 to 100"),
            Law::BoundedPareto { shape, ratio } => {
                within("shape", shape, 0.1, 10.0, "0.1 to 10")?;
                let expected = "1.001 to a billion";
                within("ratio", ratio, 1.001, 1e9, expected)
            }
            Law::Hyperexponential { variation } => {
                within("variation", variation, 1.0, 100.0, "1 to 100")
            }
        }
    }

    pub(super) fn sampler(&self) -> Sampler {
        let mean = self.mean.as_nanos() as f64;
        match self.law {
            Law::Constant | Law::Normal { spread: 0.0 } => Sampler::Constant { mean },
            Law::Exponential => Sampler::Exponential { mean },
            Law::Normal { spread } => {
                // What the mean of the law becomes by its cut, for a centre of 1.
                let cut = 1.0 / spread;
                let density = (-cut * cut / 2.0).exp() / (2.0 * PI).sqrt();
                let centre = mean / (1.0 + spread * density / normal_below(cut));
                let deviation = centre * spread;
                Sampler::Normal { centre, deviation }
            }
            Law::LogNormal { variation } => {
                let square = (variation * variation).ln_1p();
                let (centre, deviation) = (mean.ln() - square / 2.0, square.sqrt());
                Sampler::LogNormal { centre, deviation }
            }
            Law::BoundedPareto { shape, ratio } => {
                let mean_of_lowest_1 = pareto_mean(shape, ratio);
                Sampler::BoundedPareto {
                    lowest: mean / mean_of_lowest_1,
                    cut: 1.0 - ratio.powf(-shape),
                    power: -1.0 / shape,
                }
            }
            Law::Hyperexponential { variation } => {
                let square = variation * variation;
                let often = f64::midpoint(1.0, ((square - 1.0) / (square + 1.0)).sqrt());
                Sampler::Hyperexponential {
                    often,
                    short: mean / (2.0 * often),
                    long: mean / (2.0 * (1.0 - often)),
                }
            }
        }
    }
}

/// A law with what can be computed of it beforehand. In nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sampler {
    Constant { mean: f64 },
    Exponential { mean: f64 },
    Normal { centre: f64, deviation: f64 },
    LogNormal { centre: f64, deviation: f64 },
    BoundedPareto { lowest: f64, cut: f64, power: f64 },
    Hyperexponential { often: f64, short: f64, long: f64 },
}

impl Sampler {
    pub(super) fn sample(&self, random: &mut fastrand::Rng) -> f64 {
        match *self {
            Self::Constant { mean } => mean,
            Self::Exponential { mean } => mean * exponential(random),
            Self::Normal { centre, deviation } => loop {
                let drawn = centre + deviation * normal(random);
                if drawn >= 0.0 {
                    return drawn;
                }
            },
            Self::LogNormal { centre, deviation } => (centre + deviation * normal(random)).exp(),
            Self::BoundedPareto { lowest, cut, power } => {
                lowest * (1.0 - cut * random.f64()).powf(power)
            }
            Self::Hyperexponential { often, short, long } => {
                let mean = if random.f64() < often { short } else { long };
                mean * exponential(random)
            }
        }
    }
}

/// Of mean 1.
pub(super) fn exponential(random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

/// Of mean 0 and deviation 1, by the method of Box and Muller.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (2.0 * exponential(random)).sqrt() * (2.0 * PI * random.f64()).cos()
}

/// The share of the normal law below `x`, 0 or more, to within 10^-7: Abramowitz and Stegun, 7.1.26.
fn normal_below(x: f64) -> f64 {
    const TERMS: [f64; 5] = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ];
    let x = x / SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let sum = TERMS.iter().fold(0.0, |sum, term| (sum + term) * t);
    f64::midpoint(1.0, 1.0 - sum * (-x * x).exp())
}

fn pareto_mean(shape: f64, ratio: f64) -> f64 {
    let cut = 1.0 - ratio.powf(-shape);
    if (shape - 1.0).abs() < 1e-9 {
        ratio.ln() / cut
    } else {
        shape / (shape - 1.0) * (1.0 - ratio.powf(1.0 - shape)) / cut
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    /// Mean and deviation of many draws, in means.
    fn moments(law: ServiceTime) -> (f64, f64) {
        const DRAWS: u32 = 400_000;
        let mut random = fastrand::Rng::with_seed(1);
        let sampler = law.sampler();
        let unit = law.mean().as_nanos() as f64;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..DRAWS {
            let drawn = sampler.sample(&mut random) / unit;
            assert!(drawn >= 0.0);
            sum += drawn;
            squares += drawn * drawn;
        }
        let mean = sum / f64::from(DRAWS);
        (mean, (squares / f64::from(DRAWS) - mean * mean).sqrt())
    }

    #[test]
    fn each_law_has_the_mean_and_the_deviation_that_it_says() {
        let mean = Duration::from_millis(80);
        // The deviations of the cut normal law and of Pareto's are computed from their densities.
        for (law, deviation) in [
            (ServiceTime::constant(mean), 0.0),
            (ServiceTime::exponential(mean), 1.0),
            (ServiceTime::normal(mean, 0.0), 0.0),
            (ServiceTime::normal(mean, 0.2), 0.2),
            (ServiceTime::normal(mean, 1.0), 0.616_4),
            (ServiceTime::log_normal(mean, 0.5), 0.5),
            (ServiceTime::log_normal(mean, 2.0), 2.0),
            (ServiceTime::bounded_pareto(mean, 3.0, 1000.0), 0.574),
            (ServiceTime::bounded_pareto(mean, 1.0, 100.0), 1.932),
            (ServiceTime::hyperexponential(mean, 1.0), 1.0),
            (ServiceTime::hyperexponential(mean, 3.0), 3.0),
        ] {
            let (mean, measured) = moments(law);
            assert!((mean - 1.0).abs() < 0.01, "{law:?}: mean {mean}");
            let off = (measured - deviation).abs();
            assert!(off <= 0.02 * (1.0 + deviation), "{law:?}: {measured}");
        }
    }

    #[test]
    fn values_that_make_no_law_are_refused() {
        let mean = Duration::from_millis(80);
        for law in [
            ServiceTime::exponential(Duration::ZERO),
            ServiceTime::exponential(Duration::MAX),
            ServiceTime::normal(mean, -1.0),
            ServiceTime::normal(mean, f64::NAN),
            ServiceTime::log_normal(mean, f64::INFINITY),
            ServiceTime::bounded_pareto(mean, 0.0, 10.0),
            ServiceTime::bounded_pareto(mean, 1.5, 1.0),
            ServiceTime::hyperexponential(mean, 0.5),
        ] {
            assert!(law.check().is_err(), "{law:?}");
        }
    }
}
