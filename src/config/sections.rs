use serde::Deserialize;

use super::Config;
use super::backend::{self, BackendSection};
use super::ejection::EjectionSection;
use super::invalid::{Invalid, Told};
use super::limit::{LimitSection, ReplaySection};
use super::picker::PickerSection;
use super::probe::{ProbeSection, Probing};
use super::retry::{RetrySection, TimeoutsSection};
use super::rules::{LimitEachSection, RulesSection, SlowStartSection};
use super::values::OrOff;
use crate::http::ByMethod;
use crate::http::recommended::Numbers;
use crate::retry::RetryLayer;

/// What a file says, as it stands there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Sections {
    backend: Vec<BackendSection>,
    picker: PickerSection,
    rules: RulesSection,
    slow_start: Option<SlowStartSection>,
    limit_each: LimitEachSection,
    ejection: EjectionSection,
    probe: Option<ProbeSection>,
    retry: RetrySection,
    limit: LimitSection,
    timeouts: TimeoutsSection,
    replay: ReplaySection,
}

impl Sections {
    pub(super) fn build(self) -> Result<Config, Invalid> {
        let within = |section: &'static str| move |invalid: Invalid| invalid.within(section);
        let mut numbers = Numbers::default();
        numbers.ejection = self
            .ejection
            .build(numbers.ejection)
            .map_err(within("ejection"))?;
        numbers.limit = self.limit.build(numbers.limit).map_err(within("limit"))?;
        let timeouts = self.timeouts;
        for (field, time) in [
            ("attempt_timeout", &timeouts.attempt_timeout),
            ("total_time", &timeouts.total_time),
        ] {
            if matches!(time, Some(OrOff::On(time)) if time.0.is_zero()) {
                let expected = "more than 0, or false for no limit";
                let invalid = Invalid::setting(field, "time", "0s", expected);
                return Err(invalid.within("timeouts"));
            }
        }
        if let Some(timeout) = timeouts.attempt_timeout {
            numbers.attempt_timeout = timeout.on().map(|time| time.0);
        }
        // A limit that was set cannot be taken back.
        let retry = match timeouts.total_time {
            None => numbers.retry,
            Some(OrOff::Off) => RetryLayer::new(ByMethod::new()),
            Some(OrOff::On(time)) => numbers.retry.total_time(time.0),
        };
        numbers.retry = self.retry.build(retry).map_err(within("retry"))?;
        numbers.max_bytes = numbers
            .max_bytes
            .with(self.replay.max_bytes, |_, bytes| bytes);

        let probe = self.probe.map(Probing::new).transpose();
        Ok(Config {
            backends: backend::build(self.backend)?,
            rules: self.rules.build(self.slow_start, self.limit_each)?,
            picker: self.picker.build().map_err(within("picker"))?,
            max_wait: timeouts.max_wait.map(|time| time.0),
            affinity_wait: timeouts.affinity_wait.map(|time| time.0),
            probe: probe.map_err(within("probe"))?,
            numbers,
        })
    }
}
