//! The example `reverse_proxy` with its own settings; only the picker is chosen, or a file is given.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::Result;

use super::{ATTEMPT, Contestant, Place};

pub(super) const ABOUT: &str = "\
    **evenkeel**: the example `reverse_proxy`, `--picker` as the setting says, one worker thread \
    (`TOKIO_WORKER_THREADS=1`), all else as it is. Hedged: `--config` with `[retry.hedge]` after 100 ms and an \
    `attempt_timeout` of 1 s beside it.";

#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(super) label: &'static str,
    picker: &'static str,
    hedged: bool,
}

pub(crate) const fn picker(picker: &'static str) -> Contestant {
    Contestant::Evenkeel(Setting {
        label: picker,
        picker,
        hedged: false,
    })
}

/// Another attempt beside one that takes long, and the time-out that the others have here.
pub(crate) const HEDGED: Contestant = Contestant::Evenkeel(Setting {
    label: "adaptive, hedged after 0.1 s",
    picker: "adaptive",
    hedged: true,
});

impl Setting {
    pub(super) fn command(self, place: &Place<'_>) -> Result<Command> {
        let mut command = Command::new(&place.tools.example);
        command
            .env("TOKIO_WORKER_THREADS", "1")
            .args(["--listen", &place.listen.to_string()]);
        if self.hedged {
            let file = place.folder.join("evenkeel.toml");
            fs::write(&file, self.file(place)?)?;
            command.arg("--config").arg(file);
            return Ok(command);
        }
        command.args(["--picker", self.picker]);
        for backend in place.backends {
            command.arg(format!("{}={}", backend.address, backend.weight));
        }
        Ok(command)
    }

    fn file(self, place: &Place<'_>) -> Result<String> {
        let mut file = String::new();
        for backend in place.backends {
            let (address, weight) = (backend.address, backend.weight);
            writeln!(
                file,
                "[[backend]]\naddress = \"{address}\"\nweight = {weight}"
            )?;
        }
        writeln!(file, "[picker]\nalgorithm = \"{}\"", self.picker)?;
        writeln!(file, "[retry.hedge]\nafter = \"100ms\"")?;
        writeln!(
            file,
            "[timeouts]\nattempt_timeout = \"{}s\"",
            ATTEMPT.as_secs()
        )?;
        Ok(file)
    }
}
