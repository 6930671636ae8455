//! (f) All four backends are restarted, one after the other.

use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use tokio::time::sleep;

use super::rounds::interleave;
use super::{count, present};
use crate::backends::tornado::{Tornado, backends};
use crate::bench::Bench;
use crate::contestants::{Contestant, Front, envoy, evenkeel, haproxy, nginx};
use crate::load::open::Open;
use crate::results::{Section, Unit, Verdict};

const CONTESTANTS: [Contestant; 5] = [
    evenkeel::picker("least-requests"),
    evenkeel::picker("adaptive"),
    nginx::ONE_SECOND,
    haproxy::CAREFUL_LEASTCONN,
    envoy::CAREFUL,
];

const TAKES: Duration = Duration::from_millis(20);
const PER_SECOND: f64 = 200.0;
const BETWEEN: Duration = Duration::from_millis(1200);
const FAILED: usize = 0;

pub(crate) async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut section = Section::new(
        "f",
        "a rolling restart",
        &[
            ("failed", Unit::Count),
            ("requests", Unit::Count),
            ("p50", Unit::Millis),
            ("p99", Unit::Millis),
        ],
    );
    section.drawn = vec![FAILED];
    let rounds = count(bench);
    section.how = format!(
        "Four Tornado servers that answer after {} ms. Each {} ms one ends by SIGTERM, which it does at once, with all that it was \
         answering, and another takes its port. {PER_SECOND} requests a second. {rounds} rounds of all four; failed are those of \
         all rounds.",
        TAKES.as_millis(),
        BETWEEN.as_millis()
    );
    if let Err(why) = &bench.tools.tornado {
        section.notes.push(format!("skipped, {why}"));
        return Ok(section);
    }
    let contestants = present(bench, &mut section, &CONTESTANTS);
    let mut servers = Tornado::several(bench, &[TAKES; 4])?;
    let backends = backends(&servers);
    let all = interleave(
        bench,
        &contestants,
        rounds,
        async |bench, contestant, seed| {
            Tornado::listen(&mut servers)?;
            let front = Front::start(bench, contestant, &backends, 1024)?;
            let load = Open {
                proxy: front.address,
                per_second: PER_SECOND,
                lasts: BETWEEN * 5,
                seed,
            };
            let mut restarted = Ok(());
            let seen = load.run(async {
                restarted = restart(&mut servers).await;
            });
            let seen = seen.await;
            restarted?;
            Ok(seen)
        },
    )
    .await?;
    for (&contestant, rounds) in contestants.iter().zip(&all) {
        let figures = vec![
            Some(rounds.failed()),
            Some(rounds.requests()),
            rounds.percentile(50.0),
            rounds.percentile(99.0),
        ];
        section.row(contestant, figures);
        rounds.explain(contestant, &mut section);
    }
    section
        .verdicts
        .extend(Verdict::none_failed(&section, FAILED));
    Ok(section)
}

async fn restart(servers: &mut [Tornado]) -> Result<()> {
    for server in servers {
        sleep(BETWEEN).await;
        server.replace(Signal::TERM).await?;
    }
    Ok(())
}
