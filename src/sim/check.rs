//! Bounds of settings.

use std::time::Duration;

use crate::InvalidSetting;

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
