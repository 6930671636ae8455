//! (a) How many requests one core carries, and what each of them costs.

use std::time::{Duration, Instant};

use anyhow::Result;
use fastrand::Rng;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::present;
use crate::backends::fast::Fast;
use crate::bench::Bench;
use crate::contestants::{Backend, Contestant, Front, envoy, evenkeel, floor, haproxy, nginx};
use crate::load::closed::Closed;
use crate::load::{Seen, failed, percentile};
use crate::results::{Section, Unit, Verdict};
use crate::statistics::Spread;

/// Where ours is among them.
const OURS: usize = 0;
const CONTESTANTS: [Contestant; 6] = [
    evenkeel::picker("least-requests"),
    floor::BARE,
    floor::WITH_TIMEOUTS,
    nginx::PLAIN,
    haproxy::ROUNDROBIN,
    envoy::ROUND_ROBIN,
];

const CLIENTS: usize = 32;
const BACKENDS: usize = 4;
/// Each proxy has its turn so many times in a round: what disturbs a few turns disturbs all proxies.
const TURNS: usize = 5;
const WARM_UP: Duration = Duration::from_millis(50);
const LASTS: Duration = Duration::from_millis(200);

/// One contestant in one round.
#[derive(Default)]
struct Round {
    cpu: Duration,
    lasted: Duration,
    seen: Vec<Seen>,
}

pub(crate) async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut section = Section::new(
        "a",
        "one core",
        &[
            ("CPU a request", Unit::Micros),
            ("evenkeel / it", Unit::Ratio),
            ("requests", Unit::PerSecond),
            ("core busy", Unit::Points),
            ("p99", Unit::Millis),
            ("failed", Unit::Count),
        ],
    );
    section.drawn = vec![0, 2];
    let contestants = present(bench, &mut section, &CONTESTANTS);
    let rounds = if bench.options.quick {
        1
    } else {
        bench.options.rounds
    };
    section.how = format!(
        "The proxy on a core of its own, {CLIENTS} clients that never rest, {BACKENDS} backends that answer 1 KiB at \
         once. {rounds} rounds; in each, all proxies are newly started and have {TURNS} turns each, in an order of \
         chance, of {} ms after {} ms to warm up. CPU is the time of the proxy's processes in user mode and in the \
         kernel. `evenkeel / it` is the median of the ratios within each round. Where the core is not busy, clients \
         and backends, which share the other one, were the limit.",
        LASTS.as_millis(),
        WARM_UP.as_millis()
    );

    let fast = Fast::start(bench, &[1; BACKENDS])?;
    let mut rng = Rng::with_seed(bench.options.seed);
    let mut all: Vec<Vec<Round>> = contestants.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        let of_round = round(bench, &contestants, &fast.backends, &mut rng).await?;
        for (theirs, round) in all.iter_mut().zip(of_round) {
            theirs.push(round);
        }
    }

    for (&contestant, theirs) in contestants.iter().zip(&all) {
        let of = |value: fn(&Round) -> f64| Spread::of(theirs.iter().map(value));
        let pairs = all[OURS].iter().zip(theirs);
        let ratios = pairs.map(|(ours, it)| ours.micros() / it.micros());
        let failed: usize = theirs.iter().map(|round| failed(&round.seen)).sum();
        let figures = vec![
            of(Round::micros),
            Spread::of(ratios).filter(|_| !contestant.is_ours()),
            of(Round::per_second),
            of(Round::busy),
            of(|round| percentile(&round.seen, 99.0).as_secs_f64() * 1e3),
            Some(Spread::one(failed as f64)),
        ];
        section.row(contestant, figures);
    }
    judge(&mut section);
    Ok(section)
}

async fn round(
    bench: &mut Bench,
    contestants: &[Contestant],
    backends: &[Backend],
    rng: &mut Rng,
) -> Result<Vec<Round>> {
    let mut fronts = Vec::new();
    for &contestant in contestants {
        fronts.push(Front::start(bench, contestant, backends, CLIENTS)?);
    }
    let mut rounds: Vec<_> = fronts.iter().map(|_| Round::default()).collect();
    for _ in 0..TURNS {
        let mut order: Vec<_> = (0..fronts.len()).collect();
        rng.shuffle(&mut order);
        for at in order {
            let set = LocalSet::new();
            set.run_until(rounds[at].turn(&fronts[at])).await?;
        }
    }
    Ok(rounds)
}

impl Round {
    async fn turn(&mut self, front: &Front) -> Result<()> {
        let load = Closed::begin(front.address, CLIENTS, usize::MAX);
        sleep(WARM_UP).await;
        load.forget();
        let (begun, before) = (Instant::now(), front.usage()?.cpu);
        sleep(LASTS).await;
        self.cpu += front.usage()?.cpu.saturating_sub(before);
        self.lasted += begun.elapsed();
        self.seen.extend(load.stop().await);
        Ok(())
    }

    /// CPU time for each request.
    fn micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.seen.len().max(1) as f64
    }

    fn per_second(&self) -> f64 {
        self.seen.len() as f64 / self.lasted.as_secs_f64()
    }

    /// How much of its core the proxy has used, in percent.
    fn busy(&self) -> f64 {
        100.0 * self.cpu.div_duration_f64(self.lasted)
    }
}

fn judge(section: &mut Section) {
    let targets = [
        ("floor", 1.06, false),
        ("Envoy", 1.0 / 3.0, false),
        ("nginx", 1.0, true),
        ("HAProxy", 1.0, true),
    ];
    for (name, at_most, goal) in targets {
        // The first of that name: the floor without time-outs.
        let row = section.rows.iter().find(|row| row.name == name);
        if let Some(ratio) = row.and_then(|row| row.figures[1]) {
            section.verdicts.push(Verdict {
                what: format!("CPU a request, evenkeel / {name}"),
                measured: ratio.median,
                at_most,
                unit: Unit::Ratio,
                goal,
            });
        }
    }
}
