//! (c) Each second one of four backends is killed and started again.

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

const CONTESTANTS: [Contestant; 8] = [
    evenkeel::picker("least-requests"),
    evenkeel::picker("least-response-time"),
    evenkeel::picker("adaptive"),
    nginx::ONE_SECOND,
    nginx::NEVER,
    haproxy::CAREFUL_ROUNDROBIN,
    haproxy::CAREFUL_LEASTCONN,
    envoy::CAREFUL,
];

/// Long enough that each kill meets requests that wait for their answer.
const TAKES: Duration = Duration::from_millis(20);
const PER_SECOND: f64 = 200.0;
const FAILED: usize = 0;

pub(crate) async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut section = Section::new(
        "c",
        "a backend killed each second",
        &[
            ("failed", Unit::Count),
            ("requests", Unit::Count),
            ("p50", Unit::Millis),
            ("p99", Unit::Millis),
        ],
    );
    section.drawn = vec![FAILED];
    let rounds = count(bench);
    let kills = if bench.options.quick { 2 } else { 5 };
    section.how = format!(
        "Four Tornado servers that answer after {} ms. Each second one of them is killed (SIGKILL), the next in turn, and started \
         again at once. {PER_SECOND} requests a second. {rounds} rounds of {kills} kills each; failed are those of all rounds.",
        TAKES.as_millis()
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
                lasts: Duration::from_secs(kills as u64 + 1),
                seed,
            };
            let mut killed = Ok(());
            let seen = load.run(async {
                killed = kill(&mut servers, kills).await;
            });
            let seen = seen.await;
            killed?;
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

async fn kill(servers: &mut [Tornado], kills: usize) -> Result<()> {
    let count = servers.len();
    for turn in 0..kills {
        sleep(Duration::from_secs(1)).await;
        servers[turn % count].replace(Signal::KILL).await?;
    }
    Ok(())
}
