//! This program in the role of the backend.

use std::env;
use std::process::Command;

use anyhow::Result;

use crate::bench::Bench;
use crate::contestants::Backend;
use crate::process::{Orphaned, Process};

/// One process that listens as several backends.
pub(crate) struct Fast {
    pub(crate) backends: Vec<Backend>,
    _process: Process,
}

impl Fast {
    /// Starts it, with a backend for each weight.
    pub(crate) fn start(bench: &mut Bench, weights: &[u32]) -> Result<Self> {
        let addresses = bench.ports.several(weights.len())?;
        let mut command = Command::new(env::current_exe()?);
        command.env("TOKIO_WORKER_THREADS", "1").arg("backend");
        command.args(addresses.iter().map(ToString::to_string));
        let log = bench.folder.join("backend.log");
        let mut process = Process::start(&command, bench.machine.rest, Orphaned::Killed, &log)?;
        process.listens(&addresses)?;
        let backends = addresses.into_iter().zip(weights);
        Ok(Self {
            backends: backends
                .map(|(address, &weight)| Backend { address, weight })
                .collect(),
            _process: process,
        })
    }
}
