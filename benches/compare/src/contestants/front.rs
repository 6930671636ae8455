//! A contestant that runs.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Backend, Contestant, Place};
use crate::bench::Bench;
use crate::process::{Orphaned, Process};
use crate::usage::Usage;

/// A running proxy with its folder. Both go when this is dropped.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    process: Option<Process>,
    folder: PathBuf,
}

impl Front {
    /// Starts a proxy and waits until it listens.
    ///
    /// # Errors
    ///
    /// Where it cannot be started.
    pub(crate) fn start(
        bench: &mut Bench,
        contestant: Contestant,
        backends: &[Backend],
        connections: usize,
    ) -> Result<Self> {
        Self::start_under(bench, contestant, backends, connections, |command| command)
    }

    /// The same under another program, whose command line is made of the proxy's.
    pub(crate) fn start_under(
        bench: &mut Bench,
        contestant: Contestant,
        backends: &[Backend],
        connections: usize,
        wrap: impl FnOnce(Command) -> Command,
    ) -> Result<Self> {
        let address = bench.ports.free()?;
        let folder = bench
            .folder
            .join(format!("{}-{}", contestant.name(), address.port()));
        fs::create_dir_all(&folder)?;
        let command = contestant.command(&Place {
            listen: address,
            backends,
            folder: &folder,
            connections,
            tools: &bench.tools,
        })?;
        let log = folder.join("said.log");
        let process = Process::start(
            &wrap(command),
            bench.machine.proxy,
            Orphaned::Terminated,
            &log,
        )?;
        let mut front = Self {
            address,
            process: Some(process),
            folder,
        };
        let (name, setting) = (contestant.name(), contestant.setting());
        front
            .process_mut()
            .listens(&[address])
            .with_context(|| format!("{name} ({setting})"))?;
        Ok(front)
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        self.process.as_ref().context("it runs")?.usage()
    }

    /// Terminates it and returns all that it has printed.
    pub(crate) fn end(mut self) -> Result<String> {
        self.process.take().context("it runs")?.end()
    }

    fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("it is taken only at the end")
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.process = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}
