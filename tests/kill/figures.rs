//! What came of the requests, in numbers.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use super::load::{Outcome, Seen};
use super::phases::Phase;

/// How many failures a message shows.
const SHOWN: usize = 10;

/// All requests of one load.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    kills: usize,
    seen: Vec<Seen>,
}

impl Figures {
    pub(crate) fn new(kills: usize, seen: Vec<Seen>) -> Self {
        Self { kills, seen }
    }

    /// How many servers were killed.
    pub(crate) fn kills(&self) -> usize {
        self.kills
    }

    /// How many requests of a phase had a whole answer.
    pub(crate) fn served(&self, phase: Phase) -> usize {
        let of_phase = self.of(phase);
        of_phase
            .filter(|seen| seen.outcome == Outcome::Whole)
            .count()
    }

    /// When, how late and how each request failed; not those that were cut after the head.
    pub(crate) fn failures(&self, phase: Phase) -> Vec<String> {
        let failures = self.of(phase).filter_map(|seen| match &seen.outcome {
            Outcome::Failed(how) => Some(format!(
                "{} at {:.3?}, after {:.3?}: {how}",
                phase.name(),
                seen.at,
                seen.took
            )),
            Outcome::Whole | Outcome::Cut(_) => None,
        });
        failures.collect()
    }

    fn cut(&self, phase: Phase) -> usize {
        let of_phase = self.of(phase);
        of_phase
            .filter(|seen| matches!(seen.outcome, Outcome::Cut(_)))
            .count()
    }

    /// How long the requests of a phase took, failed ones too, shortest first.
    fn times(&self, phase: Phase) -> Vec<Duration> {
        let mut times: Vec<_> = self.of(phase).map(|seen| seen.took).collect();
        times.sort_unstable();
        times
    }

    fn of(&self, phase: Phase) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(move |seen| seen.phase == phase)
    }
}

/// Adds what a proxy did, and prints a table of all.
pub(crate) fn add(all: &mut Vec<(&str, Figures)>, name: &'static str, figures: Figures) {
    all.push((name, figures));
    // Not println!, whose lines nobody sees when the test passes.
    let _ = writeln!(io::stderr(), "\n{}", table(all));
}

/// The first failures, and how many there are.
pub(crate) fn excerpt(failures: &[String]) -> String {
    let first = &failures[..failures.len().min(SHOWN)];
    format!("{} failed:\n{}", failures.len(), first.join("\n"))
}

fn table(all: &[(&str, Figures)]) -> String {
    let mut table = format!(
        "{:11} {:8} {:>8} {:>7} {:>19} {:>7} {:>7} {:>7}",
        "", "", "requests", "failed", "cut after the head", "p50 ms", "p99 ms", "max ms"
    );
    for (name, figures) in all {
        let mut name = *name;
        for phase in Phase::ALL {
            let times = figures.times(phase);
            let _ = write!(
                table,
                "\n{name:11} {:8} {:>8} {:>7} {:>19} {:>7.1} {:>7.1} {:>7.1}",
                phase.name(),
                times.len(),
                figures.failures(phase).len(),
                figures.cut(phase),
                millis(&times, 0.5),
                millis(&times, 0.99),
                millis(&times, 1.0),
            );
            name = "";
        }
    }
    table
}

/// The time that such a share of the requests did not exceed: the nearest rank. 0 without requests.
fn millis(sorted: &[Duration], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let time = sorted.get(rank.saturating_sub(1));
    time.map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
