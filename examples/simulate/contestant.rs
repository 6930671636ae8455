use std::fmt;

use evenkeel::picker::{Algorithm, C3};
use evenkeel::sim::{Report, Scenario};

/// Who is compared.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Contestant {
    Picker(Algorithm),
    /// No picker, but the bound for all that are.
    CentralQueue,
}

const CENTRAL_QUEUE: &str = "central-queue";

impl Contestant {
    /// Everyone who spreads load, which the algorithm that is called ordered does not mean to.
    pub(crate) fn all() -> Vec<Self> {
        let pickers = Algorithm::ALL.iter().copied();
        let spreading = pickers.filter(|&algorithm| algorithm != Algorithm::Ordered);
        let mut all: Vec<Self> = spreading.map(Self::Picker).collect();
        all.push(Self::CentralQueue);
        all
    }

    pub(crate) fn of_name(name: &str) -> Result<Self, String> {
        if name == CENTRAL_QUEUE {
            return Ok(Self::CentralQueue);
        }
        let algorithm = name.parse::<Algorithm>();
        algorithm
            .map(Self::Picker)
            .map_err(|error| format!("{error}, {CENTRAL_QUEUE}"))
    }

    pub(crate) fn run(self, scenario: &Scenario, seed: u64) -> Report {
        match self {
            // The one that has to be told.
            Self::Picker(Algorithm::C3) => {
                let clients = scenario.clients() as u32;
                scenario.run(seed, |_client| {
                    C3::new().clients(clients).unwrap_or_default()
                })
            }
            Self::Picker(algorithm) => scenario.run(seed, |_client| algorithm.picker::<()>()),
            Self::CentralQueue => scenario.run_central_queue(seed),
        }
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Picker(algorithm) => algorithm.fmt(f),
            Self::CentralQueue => f.pad(CENTRAL_QUEUE),
        }
    }
}
