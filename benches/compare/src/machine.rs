//! The machine that everything is measured on.

use std::fmt;
use std::fs;
use std::process::Command;

use anyhow::Result;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// A core, by its number.
#[derive(Clone, Copy)]
pub(crate) struct Core(pub(crate) usize);

/// Where a proxy runs, and where everything else does.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) proxy: Core,
    pub(crate) rest: Core,
}

impl Machine {
    /// Keeps this program to one core, leaves another to the proxy, and takes as many open files as
    /// the system allows. Called before there are threads.
    ///
    /// # Errors
    ///
    /// Where the system refuses.
    pub(crate) fn prepare() -> Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        let machine = Self {
            proxy: Core(0),
            rest: Core(usize::from(cores > 1)),
        };
        let mut set = CpuSet::new();
        set.set(machine.rest.0);
        sched_setaffinity(None, &set)?;

        let mut files = getrlimit(Resource::Nofile);
        files.current = files.maximum;
        setrlimit(Resource::Nofile, files)?;
        Ok(machine)
    }

    /// How many files a process may have open.
    pub(crate) fn files() -> u64 {
        getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let models = cpus
            .lines()
            .filter_map(|line| line.strip_prefix("model name"));
        let models: Vec<_> = models.collect();
        let model = models
            .first()
            .map_or("?", |model| model.trim_matches(['\t', ' ', ':']));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        write!(
            f,
            "{} cores of {model}, Linux {}; the proxy on core {}, load and backends on core {}",
            models.len(),
            kernel.trim(),
            self.proxy.0,
            self.rest.0
        )
    }
}

/// What else wants the machine: the number of runnable processes over the last minute.
pub(crate) fn others() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("?").to_owned()
}

/// The date, in UTC.
pub(crate) fn date() -> String {
    let date = Command::new("date")
        .args(["-u", "+%Y-%m-%d %H:%M UTC"])
        .output();
    date.map_or_else(
        |_| "?".to_owned(),
        |date| String::from_utf8_lossy(&date.stdout).trim().to_owned(),
    )
}

/// Which state of evenkeel this is.
pub(crate) fn commit() -> String {
    let mut git = Command::new("git");
    git.args([
        "-C",
        env!("CARGO_MANIFEST_DIR"),
        "describe",
        "--always",
        "--dirty",
    ]);
    let said = git.output().map(|said| said.stdout).unwrap_or_default();
    let commit = String::from_utf8_lossy(&said).trim().to_owned();
    if commit.is_empty() {
        "unknown".to_owned()
    } else {
        commit
    }
}
