//! What is measured.

mod hung;
mod instructions;
mod killed;
mod memory;
mod restarts;
mod rounds;
mod slow;
mod throughput;
mod weights;

use anyhow::Result;

use crate::bench::Bench;
use crate::contestants::Contestant;
use crate::results::Section;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Part {
    Throughput,
    Slow,
    Killed,
    Hung,
    Memory,
    Changes,
}

impl Part {
    pub(crate) const ALL: [Self; 6] = [
        Self::Throughput,
        Self::Slow,
        Self::Killed,
        Self::Hung,
        Self::Memory,
        Self::Changes,
    ];

    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::Throughput => "a",
            Self::Slow => "b",
            Self::Killed => "c",
            Self::Hung => "d",
            Self::Memory => "e",
            Self::Changes => "f",
        }
    }

    /// What stands in the place of results where there are none.
    pub(crate) fn failed(self, error: &anyhow::Error) -> Section {
        let mut section = Section::new(self.letter(), "could not be measured", &[]);
        section.notes.push(format!("{error:#}"));
        section.drawn = Vec::new();
        section.failed = true;
        section
    }

    pub(crate) async fn run(self, bench: &mut Bench) -> Result<Vec<Section>> {
        Ok(match self {
            Self::Throughput => vec![
                throughput::measure(bench).await?,
                instructions::measure(bench).await?,
            ],
            Self::Slow => vec![slow::measure(bench).await?],
            Self::Killed => vec![killed::measure(bench).await?],
            Self::Hung => vec![hung::measure(bench).await?],
            Self::Memory => vec![memory::measure(bench).await?],
            Self::Changes => vec![
                weights::measure(bench).await?,
                restarts::measure(bench).await?,
            ],
        })
    }
}

/// Those that can be measured here; the section says why the others cannot.
fn present(bench: &Bench, section: &mut Section, all: &[Contestant]) -> Vec<Contestant> {
    let mut present = Vec::new();
    for &contestant in all {
        match contestant.missing(&bench.tools) {
            None => present.push(contestant),
            Some(why) => section.skipped(contestant, why),
        }
    }
    present
}

/// How many rounds a part other than throughput has.
fn count(bench: &Bench) -> usize {
    if bench.options.quick {
        1
    } else {
        (bench.options.rounds / 5).max(1)
    }
}
