//! The constants of the rule, and what they may be.

use std::time::Duration;

use super::Prequal;
use super::hot::MAX_RECENT;
use super::pool::MAX_PLACES;
use crate::InvalidSetting;
use crate::picker::Context;

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) probes: f64,
    pub(super) pool_size: usize,
    pub(super) max_age: Duration,
    pub(super) quantile: f64,
    pub(super) recent: usize,
    pub(super) removals: f64,
    pub(super) delta: f64,
    pub(super) use_reports: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            probes: 3.0,
            pool_size: 16,
            max_age: Duration::from_secs(1),
            // 2^-0.25.
            quantile: 0.840_896_415_253_714_5,
            recent: 128,
            removals: 1.0,
            delta: 1.0,
            use_reports: false,
        }
    }
}

impl Settings {
    /// How often an answer is used among so many backends.
    pub(super) fn uses(&self, backends: usize) -> f64 {
        let taken = self.pool_size as f64 / backends as f64;
        let gained = (1.0 - taken) * self.probes - self.removals;
        if gained > 0.0 {
            ((1.0 + self.delta) / gained).max(1.0)
        } else {
            f64::from(u32::MAX)
        }
    }
}

impl Prequal {
    /// Sets how many backends are probed for each pick, `r_probe`. Default 3.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 8.
    pub fn probes_per_request(self, probes: f64) -> Result<Self, InvalidSetting> {
        let probes = rate("probes per request", probes)?;
        Ok(Self::with(Settings {
            probes,
            ..self.settings
        }))
    }

    /// Sets how many answers are kept, m. Default 16.
    ///
    /// # Errors
    ///
    /// When it is not from 2 to 64.
    pub fn pool_size(self, answers: usize) -> Result<Self, InvalidSetting> {
        if !(2..=MAX_PLACES).contains(&answers) {
            return Err(InvalidSetting::new("pool size", answers, "2 to 64"));
        }
        Ok(Self::with(Settings {
            pool_size: answers,
            ..self.settings
        }))
    }

    /// Sets how old an answer may be. Default 1 s.
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn max_age(self, max_age: Duration) -> Result<Self, InvalidSetting> {
        if max_age.is_zero() {
            let given = format!("{max_age:?}");
            return Err(InvalidSetting::new(
                "age of an answer",
                given,
                "more than 0",
            ));
        }
        Ok(Self::with(Settings {
            max_age,
            ..self.settings
        }))
    }

    /// Sets above which quantile of the recent requests in flight a backend is hot, `Q_RIF`.
    /// Default 0.84, which is 2^-0.25. With 0 all are hot, and the lowest RIF is picked; with 1
    /// none is, and the lowest latency is.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 1.
    pub fn hot_quantile(self, quantile: f64) -> Result<Self, InvalidSetting> {
        if !(0.0..=1.0).contains(&quantile) {
            return Err(InvalidSetting::new("hot quantile", quantile, "0 to 1"));
        }
        Ok(Self::with(Settings {
            quantile,
            ..self.settings
        }))
    }

    /// Sets of how many answers, the last ones, the [quantile](Self::hot_quantile) is taken. Default
    /// 128.
    ///
    /// # Errors
    ///
    /// When it is not from 1 to 256.
    pub fn hot_window(self, answers: usize) -> Result<Self, InvalidSetting> {
        if !(1..=MAX_RECENT).contains(&answers) {
            return Err(InvalidSetting::new("hot window", answers, "1 to 256"));
        }
        Ok(Self::with(Settings {
            recent: answers,
            ..self.settings
        }))
    }

    /// Sets how many answers are removed for each pick, `r_remove`. Default 1.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 8.
    pub fn removals_per_request(self, removals: f64) -> Result<Self, InvalidSetting> {
        let removals = rate("removals per request", removals)?;
        Ok(Self::with(Settings {
            removals,
            ..self.settings
        }))
    }

    /// Sets δ, by which more answers are used again than are needed to keep the pool full. Default
    /// 1.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 100.
    pub fn reuse_margin(self, delta: f64) -> Result<Self, InvalidSetting> {
        if !(0.0..=100.0).contains(&delta) {
            return Err(InvalidSetting::new("reuse margin", delta, "0 to 100"));
        }
        Ok(Self::with(Settings {
            delta,
            ..self.settings
        }))
    }

    /// Sets whether what backends say of their load on responses
    /// ([`Event::Reported`](crate::backend::Event::Reported)) counts as an answer too. Default no, as
    /// in the paper. Then [observations](crate::picker::Needs::OBSERVATIONS) are recorded.
    pub fn use_reports(self, use_reports: bool) -> Self {
        Self::with(Settings {
            use_reports,
            ..self.settings
        })
    }
}

fn rate(what: &'static str, given: f64) -> Result<f64, InvalidSetting> {
    const { assert!(Context::MAX_PROBES == 8) };
    if (0.0..=8.0).contains(&given) {
        Ok(given)
    } else {
        Err(InvalidSetting::new(what, given, "0 to 8"))
    }
}
