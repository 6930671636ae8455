//! What processes have used, as the kernel says.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::param::clock_ticks_per_second;

/// What a process and its children use.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// In user mode and in the kernel. From `schedstat`, which counts nanoseconds, where the kernel
    /// has it; else from `stat`, which counts hundredths of a second.
    pub(crate) cpu: Duration,
    /// Resident bytes.
    pub(crate) memory: u64,
}

/// Adds up a process and all that descend from it.
///
/// # Errors
///
/// Where the process has ended.
pub(crate) fn of(pid: u32) -> Result<Usage> {
    let mut usage = one(pid)?;
    for child in children(pid) {
        // One that ends meanwhile has no usage any more.
        let of_child = of(child).unwrap_or_default();
        usage.cpu += of_child.cpu;
        usage.memory += of_child.memory;
    }
    Ok(usage)
}

fn one(pid: u32) -> Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes: Option<u64> = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
    Ok(Usage {
        cpu: scheduled(pid).map_or_else(|| ticks(pid), Ok)?,
        memory: kilobytes.unwrap_or(0) * 1024,
    })
}

/// Of all threads that still run.
fn scheduled(pid: u32) -> Option<Duration> {
    let mut all = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let schedstat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        let ran: u64 = schedstat.split(' ').next()?.parse().ok()?;
        all += ran;
    }
    Some(Duration::from_nanos(all))
}

fn ticks(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name is in parentheses and may have spaces.
    let (_, fields) = stat.rsplit_once(')').context("a stat without a name")?;
    let fields = fields.split_whitespace();
    let times = fields.skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = times.sum::<Result<_, _>>()?;
    Ok(Duration::from_secs_f64(
        ticks as f64 / clock_ticks_per_second() as f64,
    ))
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(all) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|&child| parent(child) == Some(pid)).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}
