//! Medians, and how far they can be believed.

/// The middle of some measurements, and an interval around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// The median with its order-statistic interval of at least 95 %: from the `k`th smallest to the
    /// `k`th largest, where `k` follows from the binomial distribution alone. Below six measurements
    /// there is none so narrow, and it is all of them.
    pub(crate) fn of(measured: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = measured.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let rank = rank(sorted.len());
        Some(Self {
            median: median(&sorted)?,
            low: sorted[rank],
            high: sorted[sorted.len() - 1 - rank],
        })
    }

    /// One measurement, which says nothing of its spread.
    pub(crate) fn one(value: f64) -> Self {
        Self {
            median: value,
            low: value,
            high: value,
        }
    }
}

fn median(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[half]),
        _ => Some(f64::midpoint(sorted[half - 1], sorted[half])),
    }
}

/// How many measurements at either end may be left out, so that the median is within the others in
/// 95 of 100 cases.
fn rank(count: usize) -> usize {
    // The chance that at most `k` of `count` fair coins show heads.
    let mut chance = 0.5_f64.powf(count as f64);
    let mut below = 0.0;
    let mut rank = 0;
    for k in 0..count / 2 {
        below += chance;
        if below > 0.025 {
            break;
        }
        rank = k;
        chance *= (count - k) as f64 / (k + 1) as f64;
    }
    rank
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_fifteen_is_from_the_fourth_to_the_twelfth() {
        let spread = Spread::of((1..=15).map(f64::from));
        let expected = Spread {
            median: 8.0,
            low: 4.0,
            high: 12.0,
        };
        assert_eq!(spread, Some(expected));
    }

    #[test]
    fn the_interval_of_few_is_all_of_them() {
        let spread = Spread::of([3.0, 1.0, 4.0, 2.0]);
        let expected = Spread {
            median: 2.5,
            low: 1.0,
            high: 4.0,
        };
        assert_eq!(spread, Some(expected));
        // From the second to the seventh would hold the median in 93 of 100 cases.
        let expected = Spread {
            median: 4.5,
            low: 1.0,
            high: 8.0,
        };
        assert_eq!(Spread::of((1..=8).map(f64::from)), Some(expected));
        assert_eq!(Spread::of([]), None);
    }
}
