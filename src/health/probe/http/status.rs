use std::fmt;
use std::ops::RangeInclusive;

use http::StatusCode;

use crate::InvalidSetting;

/// The statuses that are well.
#[derive(Clone, Debug, Default)]
pub(super) struct Statuses(Vec<RangeInclusive<u16>>);

/// The status was another one.
#[derive(Debug, thiserror::Error)]
#[error("status {}, expected {expected}", status.as_u16())]
pub(super) struct UnexpectedStatus {
    status: StatusCode,
    expected: Statuses,
}

impl Statuses {
    /// Where none are named.
    const DEFAULT: RangeInclusive<u16> = 200..=399;

    pub(super) fn add(&mut self, range: RangeInclusive<u16>) -> Result<(), InvalidSetting> {
        if range.is_empty() || *range.start() < 100 || *range.end() > 599 {
            let given = format_args!("{} to {}", range.start(), range.end());
            let expected = "100 to 599, or a part of that";
            return Err(InvalidSetting::new("range of statuses", given, expected));
        }
        self.0.push(range);
        Ok(())
    }

    pub(super) fn check(&self, status: StatusCode) -> Result<(), UnexpectedStatus> {
        if self.ranges().iter().any(|r| r.contains(&status.as_u16())) {
            return Ok(());
        }
        Err(UnexpectedStatus {
            status,
            expected: self.clone(),
        })
    }

    fn ranges(&self) -> &[RangeInclusive<u16>] {
        match &*self.0 {
            [] => &[Self::DEFAULT],
            ranges => ranges,
        }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self.ranges();
        for (i, range) in ranges.iter().enumerate() {
            match i {
                0 => {}
                _ if i + 1 == ranges.len() => f.write_str(" or ")?,
                _ => f.write_str(", ")?,
            }
            write!(f, "{}", range.start())?;
            if range.start() != range.end() {
                write!(f, " to {}", range.end())?;
            }
        }
        Ok(())
    }
}
