//! (d) One of four backends hangs: it accepts connections, and never answers.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::rounds::interleave;
use super::{count, present};
use crate::backends::tornado::{Tornado, backends};
use crate::bench::Bench;
use crate::contestants::{Contestant, Front, envoy, evenkeel, haproxy, nginx};
use crate::load::open::Open;
use crate::results::{Section, Unit, Verdict};

const CONTESTANTS: [Contestant; 9] = [
    evenkeel::picker("least-requests"),
    evenkeel::picker("least-response-time"),
    evenkeel::picker("adaptive"),
    evenkeel::HEDGED,
    nginx::TEN_SECONDS,
    haproxy::CAREFUL_ROUNDROBIN,
    haproxy::CAREFUL_LEASTCONN,
    envoy::CAREFUL,
    envoy::HEDGED,
];

const TAKES: Duration = Duration::from_millis(5);
const PER_SECOND: f64 = 200.0;
const BEFORE: Duration = Duration::from_secs(1);
const FAILED: usize = 0;
const P99: usize = 1;

pub(crate) async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut section = Section::new(
        "d",
        "a backend hangs",
        &[
            ("failed", Unit::Count),
            ("p99", Unit::Millis),
            ("p99.9", Unit::Millis),
            ("slowest", Unit::Millis),
            ("requests", Unit::Count),
        ],
    );
    section.drawn = vec![P99];
    let rounds = count(bench);
    let hangs = Duration::from_secs(if bench.options.quick { 1 } else { 5 });
    section.how = format!(
        "Four Tornado servers that answer after {} ms; after {} s one of them is stopped (SIGSTOP) for {} s. {PER_SECOND} requests a \
         second; those count that are due while it is stopped. {rounds} rounds. Where a proxy has a time-out for one attempt, it \
         is 1 s unless the setting says another.",
        TAKES.as_millis(),
        BEFORE.as_secs(),
        hangs.as_secs()
    );
    if let Err(why) = &bench.tools.tornado {
        section.notes.push(format!("skipped, {why}"));
        return Ok(section);
    }
    let contestants = present(bench, &mut section, &CONTESTANTS);
    let servers = Tornado::several(bench, &[TAKES; 4])?;
    let backends = backends(&servers);
    let all = interleave(
        bench,
        &contestants,
        rounds,
        async |bench, contestant, seed| {
            let front = Front::start(bench, contestant, &backends, 1024)?;
            let load = Open {
                proxy: front.address,
                per_second: PER_SECOND,
                lasts: BEFORE + hangs,
                seed,
            };
            let mut hung = Ok(());
            let seen = load.run(async {
                sleep(BEFORE).await;
                hung = servers[0].hang();
                sleep(hangs).await;
            });
            let mut seen = seen.await;
            servers[0].go_on()?;
            hung?;
            seen.retain(|request| request.at >= BEFORE);
            Ok(seen)
        },
    )
    .await?;
    for (&contestant, rounds) in contestants.iter().zip(&all) {
        let figures = vec![
            Some(rounds.failed()),
            rounds.percentile(99.0),
            rounds.percentile(99.9),
            rounds.percentile(100.0),
            Some(rounds.requests()),
        ];
        section.row(contestant, figures);
        rounds.explain(contestant, &mut section);
    }
    judge(&mut section);
    Ok(section)
}

fn judge(section: &mut Section) {
    let ours = section.best(P99, |row| row.ours);
    let p99 = ours.map(|(row, measured)| Verdict {
        what: format!("p99, evenkeel {},", row.setting),
        measured,
        at_most: 50.0,
        unit: Unit::Millis,
        goal: false,
    });
    let worst = ours.and_then(|(row, _)| {
        Some(Verdict {
            what: format!("p99 in the worst round, evenkeel {},", row.setting),
            measured: row.figures[P99]?.high,
            at_most: 50.0,
            unit: Unit::Millis,
            goal: true,
        })
    });
    let failed = Verdict::none_failed(section, FAILED);
    let verdicts = [failed, p99, worst];
    section.verdicts.extend(verdicts.into_iter().flatten());
}
