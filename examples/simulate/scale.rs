//! From numbers to places on an axis, and the numbers that stand beside it.

pub(crate) struct Axis {
    pub(crate) label: &'static str,
    logarithmic: bool,
    /// It ends where the numbers do, and not at a round one.
    ends_early: bool,
    /// Where they are not at round numbers.
    ticks: Vec<(f64, String)>,
}

impl Axis {
    pub(crate) fn linear(label: &'static str) -> Self {
        Self {
            label,
            logarithmic: false,
            ends_early: false,
            ticks: Vec::new(),
        }
    }

    pub(crate) fn of_time(label: &'static str) -> Self {
        Self {
            ends_early: true,
            ..Self::linear(label)
        }
    }

    pub(crate) fn logarithmic(label: &'static str) -> Self {
        Self {
            logarithmic: true,
            ..Self::linear(label)
        }
    }

    pub(crate) fn labelled(
        label: &'static str,
        ticks: impl IntoIterator<Item = (f64, String)>,
    ) -> Self {
        Self {
            ticks: ticks.into_iter().collect(),
            ..Self::linear(label)
        }
    }
}

/// Where numbers stand on an axis.
pub(crate) struct Scale {
    logarithmic: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Scale {
    pub(crate) fn new(axis: &Axis, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let values =
            values.filter(|value| value.is_finite() && (!axis.logarithmic || *value > 0.0));
        let range = (f64::INFINITY, f64::NEG_INFINITY);
        let (low, high) = values.fold(range, |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low <= high { (low, high) } else { (1.0, 1.0) };
        let (low, high, ticks) = if axis.logarithmic {
            logarithmic_ticks(low, high)
        } else if axis.ends_early {
            let (low, _, mut ticks) = linear_ticks(high);
            ticks.retain(|&(tick, _)| tick <= high);
            (low, high, ticks)
        } else if axis.ticks.is_empty() {
            linear_ticks(high)
        } else {
            (low, high, axis.ticks.clone())
        };
        let mut scale = Self {
            logarithmic: axis.logarithmic,
            low,
            high,
            from,
            to,
            ticks: Vec::new(),
        };
        let place = |(value, label): (f64, String)| (scale.place(value), label);
        scale.ticks = ticks.into_iter().map(place).collect();
        scale
    }

    pub(crate) fn place(&self, value: f64) -> f64 {
        let (low, high, value) = if self.logarithmic {
            (self.low.ln(), self.high.ln(), value.max(self.low).ln())
        } else {
            (self.low, self.high, value)
        };
        let share = (value - low) / (high - low).max(f64::MIN_POSITIVE);
        self.from + (self.to - self.from) * share
    }
}

type Ticks = (f64, f64, Vec<(f64, String)>);

/// From 0, at round numbers, about six of them.
fn linear_ticks(high: f64) -> Ticks {
    let high = if high > 0.0 { high } else { 1.0 };
    let power = 10_f64.powf((high / 6.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let step = steps.into_iter().find(|step| high / step <= 6.0);
    let step = step.unwrap_or(high);
    let count = (high / step).ceil() as u32;
    let ticks = (0..=count).map(|tick| f64::from(tick) * step);
    let top = f64::from(count) * step;
    (0.0, top, ticks.map(|tick| (tick, label(tick))).collect())
}

/// At 1, 2 and 5 of each power of 10, or only at that if there are many.
fn logarithmic_ticks(low: f64, high: f64) -> Ticks {
    let powers = low.log10().floor() as i32..=high.log10().floor() as i32;
    let factors: &[f64] = if powers.clone().count() > 3 {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let mut all: Vec<f64> = powers
        .flat_map(|power| {
            factors
                .iter()
                .map(move |factor| factor * 10_f64.powi(power))
        })
        .collect();
    // And the one above.
    let above = all.last().map_or(10.0, |last| {
        if last.log10().fract().abs() < 1e-9 {
            last * 10.0
        } else {
            last * 2.0
        }
    });
    all.push(above);
    let first = all.iter().rposition(|&tick| tick <= low).unwrap_or(0);
    let last = all.iter().position(|&tick| tick >= high);
    let last = last.unwrap_or(all.len() - 1).max(first + 1);
    let ticks = &all[first..=last.min(all.len() - 1)];
    let labelled = ticks.iter().map(|&tick| (tick, label(tick))).collect();
    (ticks[0], ticks[ticks.len() - 1], labelled)
}

fn label(tick: f64) -> String {
    let digits = if tick == 0.0 || tick >= 10.0 {
        0
    } else {
        (1.0 - tick.log10()).ceil().max(0.0) as usize
    };
    let text = format!("{tick:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
