//! Bounds of settings.

use std::time::Duration;

use super::{Scenario, To};
use crate::InvalidSetting;

pub(super) const MOST_SERVERS: usize = 100_000;

impl Scenario {
    pub(super) fn check(&self) -> Result<(), InvalidSetting> {
        let within_count = |what, value: usize, highest: usize, expected| {
            if (1..=highest).contains(&value) {
                Ok(())
            } else {
                Err(InvalidSetting::new(what, value, expected))
            }
        };
        within_count(
            "number of servers",
            self.servers,
            MOST_SERVERS,
            "1 to 100,000",
        )?;
        within_count("number of clients", self.clients, 100_000, "1 to 100,000")?;
        within("load", self.load, 0.001, 100.0, "0.001 to 100")?;
        if !(1..=4_000_000_000).contains(&self.requests) {
            let expected = "1 to 4,000,000,000";
            return Err(InvalidSetting::new(
                "number of requests",
                self.requests,
                expected,
            ));
        }
        within("warm-up", self.warm_up, 0.0, 0.999_999, "0 to below 1")?;
        self.service.check()?;
        self.arrivals.check()?;
        let slots = self.discipline.slots() as usize;
        within_count("number of slots", slots, 1_000_000, "1 to 1,000,000")?;
        self.speeds.iter().try_for_each(|&value| speed(value))?;
        if let Some(capacities) = &self.capacities {
            capacities.check()?;
        }
        if let Some(disturbances) = &self.disturbances {
            disturbances.check()?;
        }
        if !self.delay.is_zero() {
            positive("network delay", self.delay)?;
        }
        if let Some(timeout) = self.timeout {
            positive("timeout", timeout)?;
        }
        if let Some(cost) = self.probes.filter(|cost| !cost.is_zero()) {
            positive("cost of a probe", cost)?;
        }
        let mut changes = self.changes.iter();
        changes.try_for_each(|change| change.check(self.servers))?;
        self.check_hanging()?;
        self.check_start()
    }

    /// Whoever hangs goes on some time: a run with requests that never end has no end either.
    fn check_hanging(&self) -> Result<(), InvalidSetting> {
        let length = self.length();
        let changes = || {
            self.changes
                .iter()
                .map(|change| (change.when.at(length), change))
        };
        for (from, hangs) in changes().filter(|(_, change)| change.to == To::Hanging(true)) {
            let goes_on = |server: &usize| {
                changes().any(|(until, change)| {
                    until > from
                        && change.to == To::Hanging(false)
                        && change.servers.contains(server)
                })
            };
            if let Some(server) = hangs.servers.iter().find(|server| !goes_on(server)) {
                return Err(InvalidSetting::new(
                    "end of hanging of server",
                    server,
                    "after its beginning",
                ));
            }
        }
        Ok(())
    }

    /// The load is relative to what is there.
    fn check_start(&self) -> Result<(), InvalidSetting> {
        if self.at_start().contains(&true) {
            return Ok(());
        }
        let expected = "1 or more";
        Err(InvalidSetting::new(
            "number of servers at the start",
            0,
            expected,
        ))
    }
}

/// A time that is neither too short to count in nanoseconds nor too long to be meant.
pub(super) fn positive(what: &'static str, time: Duration) -> Result<(), InvalidSetting> {
    const SHORTEST: Duration = Duration::from_micros(1);
    const LONGEST: Duration = Duration::from_secs(24 * 3600);
    if (SHORTEST..=LONGEST).contains(&time) {
        return Ok(());
    }
    let expected = "1 microsecond to 1 day";
    Err(InvalidSetting::new(
        what,
        format_args!("{time:?}"),
        expected,
    ))
}

pub(super) fn within(
    what: &'static str,
    value: f64,
    lowest: f64,
    highest: f64,
    expected: &'static str,
) -> Result<(), InvalidSetting> {
    if (lowest..=highest).contains(&value) {
        return Ok(());
    }
    Err(InvalidSetting::new(what, value, expected))
}

pub(super) fn speed(value: f64) -> Result<(), InvalidSetting> {
    within("speed", value, 0.001, 1000.0, "0.001 to 1000")
}

pub(super) fn share(what: &'static str, value: f64) -> Result<(), InvalidSetting> {
    within(what, value, 0.0, 1.0, "0 to 1")
}
