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
use crate::load::{failed, percentile};
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
const WARM_UP: Duration = Duration::from_millis(300);
const LASTS: Duration = Duration::from_millis(1000);

/// One contestant in one round.
#[derive(Clone, Copy)]
struct Round {
    /// Microseconds of CPU time for each request.
    cpu: f64,
    per_second: f64,
    p99: Duration,
    failed: usize,
}

pub(crate) async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut section = Section::new(
        "a",
        "one core",
        &[
            ("CPU a request", Unit::Micros),
            ("evenkeel / it", Unit::Ratio),
            ("requests", Unit::PerSecond),
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
         once. {rounds} rounds; in each, every proxy runs once, newly started, in an order of chance, for {} ms after \
         {} ms to warm up. CPU is the time of the proxy's processes in user mode and in the kernel. \
         `evenkeel / it` is the median of the ratios within each round.",
        LASTS.as_millis(),
        WARM_UP.as_millis()
    );

    let fast = Fast::start(bench, &[1; BACKENDS])?;
    let mut rng = Rng::with_seed(bench.options.seed);
    let mut all = vec![Vec::new(); contestants.len()];
    for _ in 0..rounds {
        let mut order: Vec<_> = (0..contestants.len()).collect();
        rng.shuffle(&mut order);
        for at in order {
            all[at].push(round(bench, contestants[at], &fast.backends).await?);
        }
    }

    for (&contestant, theirs) in contestants.iter().zip(&all) {
        let of = |value: fn(&Round) -> f64| Spread::of(theirs.iter().map(value));
        let ratios = all[OURS]
            .iter()
            .zip(theirs)
            .map(|(ours, it)| ours.cpu / it.cpu);
        let failed = theirs.iter().map(|round| round.failed).sum::<usize>();
        let figures = vec![
            of(|round| round.cpu),
            Spread::of(ratios).filter(|_| !contestant.is_ours()),
            of(|round| round.per_second),
            of(|round| round.p99.as_secs_f64() * 1e3),
            Some(Spread::one(failed as f64)),
        ];
        section.row(contestant, figures);
    }
    judge(&mut section);
    Ok(section)
}

async fn round(bench: &mut Bench, contestant: Contestant, backends: &[Backend]) -> Result<Round> {
    let front = Front::start(bench, contestant, backends, CLIENTS)?;
    let set = LocalSet::new();
    set.run_until(async {
        let load = Closed::begin(front.address, CLIENTS, usize::MAX);
        sleep(WARM_UP).await;
        load.forget();
        let (begun, before) = (Instant::now(), front.usage()?);
        sleep(LASTS).await;
        let (after, lasted, count) = (front.usage()?, begun.elapsed(), load.count());
        let seen = load.stop().await;
        Ok(Round {
            cpu: (after.cpu - before.cpu).as_secs_f64() * 1e6 / count as f64,
            per_second: count as f64 / lasted.as_secs_f64(),
            p99: percentile(&seen, 99.0),
            failed: failed(&seen),
        })
    })
    .await
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
