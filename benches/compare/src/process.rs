//! A process on a core of its own, which ends when this program does.

use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::machine::Core;
use crate::usage::{self, Usage};

/// A running process. It is terminated when this is dropped, or when this program is killed.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

/// What a process gets where this program is killed.
#[derive(Clone, Copy)]
pub(crate) enum Orphaned {
    /// SIGTERM, for who has processes of its own to end.
    Terminated,
    /// SIGKILL, which also ends what is stopped.
    Killed,
}

/// How long a process may take to listen: Envoy under load takes a second.
const START: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(5);

impl Process {
    /// Starts a program. What it prints goes to a file.
    ///
    /// # Errors
    ///
    /// Where it cannot be started.
    pub(crate) fn start(
        command: &Command,
        core: Core,
        orphaned: Orphaned,
        log: &Path,
    ) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("{}", log.display()))?;
        let mut pinned = Command::new("setpriv");
        pinned
            .args(["--pdeathsig", orphaned.signal()])
            .args(["taskset", "-c", &core.0.to_string()])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file);
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                pinned.env(name, value);
            }
        }
        let child = pinned
            .spawn()
            .with_context(|| format!("cannot start {pinned:?}"))?;
        let log = log.to_owned();
        Ok(Self { child, log })
    }

    /// Waits until connections to these addresses are accepted.
    ///
    /// # Errors
    ///
    /// Where the process ends before, or takes too long; with what it printed.
    pub(crate) fn listens(&mut self, addresses: &[SocketAddr]) -> Result<()> {
        let begun = Instant::now();
        for address in addresses {
            while TcpStream::connect(address).is_err() {
                if let Some(status) = self.child.try_wait()? {
                    bail!("{status} instead of listening: {}", self.complaints());
                }
                if begun.elapsed() > START {
                    bail!("not listening after {START:?}: {}", self.complaints());
                }
                sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// CPU time and memory of it and its children.
    pub(crate) fn usage(&self) -> Result<Usage> {
        usage::of(self.child.id())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid(), signal).with_context(|| format!("{signal:?}"))
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Terminates it and returns what it printed.
    pub(crate) fn end(mut self) -> Result<String> {
        self.terminate();
        Ok(fs::read_to_string(&self.log)?)
    }

    /// The last lines that it printed.
    pub(crate) fn complaints(&self) -> String {
        let said = fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<_> = said.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    fn terminate(&mut self) {
        // A stopped process would not hear of its end.
        let _ = self.signal(Signal::CONT);
        let _ = self.signal(Signal::TERM);
        let begun = Instant::now();
        while !self.ended() {
            if begun.elapsed() > END {
                let _ = self.child.kill();
                let _ = self.child.wait();
                let _ = writeln!(std::io::stderr(), "killed: {}", self.log.display());
                return;
            }
            sleep(Duration::from_millis(2));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Orphaned {
    fn signal(self) -> &'static str {
        match self {
            Self::Terminated => "TERM",
            Self::Killed => "KILL",
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended() {
            self.terminate();
        }
    }
}
