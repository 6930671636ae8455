//! Contestants in turn, several times through.

use anyhow::Result;
use fastrand::Rng;

use crate::bench::Bench;
use crate::contestants::Contestant;
use crate::load::{Seen, failed, percentile, reasons};
use crate::results::Section;
use crate::statistics::Spread;

/// What one contestant's clients have seen, round by round.
pub(super) struct Rounds(pub(super) Vec<Vec<Seen>>);

/// Lets each contestant run once in each round, in an order of chance. What it is given beside the
/// contestant is the seed of the round, the same for all.
pub(super) async fn interleave(
    bench: &mut Bench,
    contestants: &[Contestant],
    rounds: usize,
    mut run: impl AsyncFnMut(&mut Bench, Contestant, u64) -> Result<Vec<Seen>>,
) -> Result<Vec<Rounds>> {
    let mut rng = Rng::with_seed(bench.options.seed);
    let mut all: Vec<_> = contestants.iter().map(|_| Rounds(Vec::new())).collect();
    for _ in 0..rounds {
        let mut order: Vec<_> = (0..contestants.len()).collect();
        rng.shuffle(&mut order);
        let times = rng.u64(..);
        for at in order {
            let seen = run(bench, contestants[at], times).await?;
            all[at].0.push(seen);
        }
    }
    Ok(all)
}

impl Rounds {
    pub(super) fn requests(&self) -> Spread {
        Spread::one(self.0.iter().map(Vec::len).sum::<usize>() as f64)
    }

    /// Of all rounds together.
    pub(super) fn failed(&self) -> Spread {
        let failed = self.0.iter().map(|seen| failed(seen)).sum::<usize>();
        Spread::one(failed as f64)
    }

    /// Milliseconds.
    pub(super) fn percentile(&self, percent: f64) -> Option<Spread> {
        let of = |seen: &Vec<Seen>| percentile(seen, percent).as_secs_f64() * 1e3;
        Spread::of(self.0.iter().map(of))
    }

    /// Says in a note why requests have failed, if any have.
    pub(super) fn explain(&self, contestant: Contestant, section: &mut Section) {
        let all = self.0.concat();
        let reasons = reasons(&all);
        if !reasons.is_empty() {
            let reasons: Vec<_> = reasons
                .iter()
                .map(|(why, count)| format!("{count} {why}"))
                .collect();
            let (name, setting) = (contestant.name(), contestant.setting());
            section
                .notes
                .push(format!("{name} ({setting}) failed: {}", reasons.join("; ")));
        }
    }
}
