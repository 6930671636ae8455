//! The example `reverse_proxy` with its own settings; only the picker is chosen.

use std::process::Command;

use super::{Contestant, Place};

pub(super) const ABOUT: &str = "\
    **evenkeel**: the example `reverse_proxy`, `--picker` as the setting says, one worker thread \
    (`TOKIO_WORKER_THREADS=1`), all else as it is.";

#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) picker: &'static str,
}

pub(crate) const fn picker(picker: &'static str) -> Contestant {
    Contestant::Evenkeel(Setting { picker })
}

impl Setting {
    pub(super) fn command(self, place: &Place<'_>) -> Command {
        let mut command = Command::new(&place.tools.example);
        command
            .env("TOKIO_WORKER_THREADS", "1")
            .args(["--listen", &place.listen.to_string()])
            .args(["--picker", self.picker]);
        for backend in place.backends {
            command.arg(format!("{}={}", backend.address, backend.weight));
        }
        command
    }
}
