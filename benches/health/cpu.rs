//! The processor time of this process.

use std::fs;
use std::time::Duration;

/// Returns what all threads have used so far, in the kernel and outside; `None` where there is no
/// `/proc`.
pub(crate) fn used() -> Option<Duration> {
    /// Linux tells it in these, whatever its own clock does.
    const TICKS_IN_A_SECOND: u64 = 100;
    const AFTER_THE_NAME: usize = 11;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name may have spaces; it ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(AFTER_THE_NAME);
    let mut ticks = || times.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_IN_A_SECOND))
}

/// How many files this process may have open.
pub(crate) fn most_files() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let limit = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    limit.split_whitespace().next()?.parse().ok()
}
