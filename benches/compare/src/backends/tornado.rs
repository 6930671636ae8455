//! Tornado servers, each a process of its own, as in `tests/tornado`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, anyhow};
use rustix::process::Signal;
use tokio::time::sleep;

use crate::bench::Bench;
use crate::contestants::Backend;
use crate::machine::Core;
use crate::process::{Orphaned, Process};

/// A server. It is killed when this is dropped.
pub(crate) struct Tornado {
    pub(crate) backend: Backend,
    python: PathBuf,
    takes: Duration,
    core: Core,
    log: PathBuf,
    process: Process,
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/tornado/server.py");

impl Tornado {
    /// Starts one server for each time that an answer takes.
    ///
    /// # Errors
    ///
    /// Where there is no Tornado.
    pub(crate) fn several(bench: &mut Bench, takes: &[Duration]) -> Result<Vec<Self>> {
        let mut servers = Vec::new();
        for &takes in takes {
            servers.push(Self::start(bench, takes)?);
        }
        Self::listen(&mut servers)?;
        Ok(servers)
    }

    /// Waits until all of them accept connections.
    ///
    /// # Errors
    ///
    /// Where one does not, with what it printed.
    pub(crate) fn listen(servers: &mut [Self]) -> Result<()> {
        for server in servers {
            let address = server.backend.address;
            server.process.listens(&[address])?;
        }
        Ok(())
    }

    fn start(bench: &mut Bench, takes: Duration) -> Result<Self> {
        let tornado = bench.tools.tornado.as_ref();
        let python = tornado.map_err(|why| anyhow!("{why}"))?.path.clone();
        let backend = Backend {
            address: bench.ports.free()?,
            weight: 1,
        };
        let log = bench
            .folder
            .join(format!("tornado-{}.log", backend.address.port()));
        let core = bench.machine.rest;
        let process = run(&python, backend, takes, core, &log)?;
        Ok(Self {
            backend,
            python,
            takes,
            core,
            log,
            process,
        })
    }

    /// Ends its process with a signal and starts another on the same port, which does not listen yet
    /// when this returns.
    pub(crate) async fn replace(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)?;
        while !self.process.ended() {
            sleep(Duration::from_millis(1)).await;
        }
        self.process = run(&self.python, self.backend, self.takes, self.core, &self.log)?;
        Ok(())
    }

    /// Stops its process: the system goes on accepting connections for it, and nobody answers.
    pub(crate) fn hang(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    pub(crate) fn go_on(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }
}

/// The servers as a proxy sees them.
pub(crate) fn backends(servers: &[Tornado]) -> Vec<Backend> {
    servers.iter().map(|server| server.backend).collect()
}

fn run(
    python: &Path,
    backend: Backend,
    takes: Duration,
    core: Core,
    log: &Path,
) -> Result<Process> {
    let port = backend.address.port().to_string();
    let mut command = Command::new(python);
    command
        .arg(SCRIPT)
        .args([&port, &takes.as_secs_f64().to_string(), &port]);
    Process::start(&command, core, Orphaned::Killed, log)
}
