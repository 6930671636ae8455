//! The bare proxy, this program in another role.

use std::env;
use std::process::Command;

use anyhow::Result;

use super::{Contestant, Place};

pub(super) const ABOUT: &str = "\
    **floor**: hyper's server and hyper-util's client in the same build profile, allocator and runtime as the example, \
    backends in turn, `X-Forwarded-For` added; no health, retries or counting. With time-outs: hyper's on a request's \
    head, the pool's, and one for connecting, as the example has them.";

#[derive(Clone, Copy)]
pub(crate) struct Setting {
    /// Whether it has the example's time-outs.
    timeouts: bool,
}

pub(crate) const BARE: Contestant = Contestant::Floor(Setting { timeouts: false });
pub(crate) const WITH_TIMEOUTS: Contestant = Contestant::Floor(Setting { timeouts: true });

impl Setting {
    pub(super) fn label(self) -> &'static str {
        if self.timeouts {
            "bare hyper, with time-outs"
        } else {
            "bare hyper"
        }
    }

    pub(super) fn command(self, place: &Place<'_>) -> Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        command
            .env("TOKIO_WORKER_THREADS", "1")
            .arg("floor")
            .args(["--listen", &place.listen.to_string()]);
        if self.timeouts {
            command.arg("--timeouts");
        }
        for backend in place.backends {
            command.arg(backend.address.to_string());
        }
        Ok(command)
    }
}
