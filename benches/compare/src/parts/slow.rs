//! (b) One of four backends is twenty times slower than the others.

use std::time::Duration;

use anyhow::Result;

use super::rounds::{Rounds, interleave};
use super::{count, present};
use crate::backends::tornado::{Tornado, backends};
use crate::bench::Bench;
use crate::contestants::{Contestant, Front, envoy, evenkeel, haproxy, nginx};
use crate::load::open::Open;
use crate::load::shares;
use crate::results::{Section, Unit, Verdict};
use crate::statistics::Spread;

const CONTESTANTS: [Contestant; 12] = [
    evenkeel::picker("round-robin"),
    evenkeel::picker("least-requests"),
    evenkeel::picker("least-response-time"),
    evenkeel::picker("adaptive"),
    nginx::PLAIN,
    nginx::LEAST_CONN,
    nginx::RANDOM_TWO,
    haproxy::ROUNDROBIN,
    haproxy::LEASTCONN,
    haproxy::RANDOM,
    envoy::ROUND_ROBIN,
    envoy::LEAST_REQUEST,
];

const FAST: Duration = Duration::from_millis(5);
const SLOW: Duration = Duration::from_millis(100);
const PER_SECOND: f64 = 200.0;
/// Not counted: nobody knows yet which backend is slow.
const WARM_UP: Duration = Duration::from_millis(500);
const P99: usize = 1;

pub(crate) async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut section = Section::new(
        "b",
        "one of four backends slow",
        &[
            ("p50", Unit::Millis),
            ("p99", Unit::Millis),
            ("at the slow one", Unit::Points),
            ("failed", Unit::Count),
            ("requests", Unit::Count),
        ],
    );
    section.drawn = vec![P99];
    let rounds = count(bench);
    let lasts = Duration::from_secs(if bench.options.quick { 1 } else { 4 });
    section.how = format!(
        "Four Tornado servers, three answer after {} ms and one after {} ms. {PER_SECOND} requests a second, independent of each \
         other, for {} s; the first {} ms are not counted. Rounds: {rounds}, each with all settings in an order of chance and a \
         proxy newly started.",
        FAST.as_millis(),
        SLOW.as_millis(),
        lasts.as_secs(),
        WARM_UP.as_millis()
    );
    if let Err(why) = &bench.tools.tornado {
        section.notes.push(format!("skipped, {why}"));
        return Ok(section);
    }
    let contestants = present(bench, &mut section, &CONTESTANTS);
    let servers = Tornado::several(bench, &[FAST, FAST, FAST, SLOW])?;
    let backends = backends(&servers);
    let slow = backends[3].address.port().to_string();
    let all = interleave(
        bench,
        &contestants,
        rounds,
        async |bench, contestant, seed| {
            let front = Front::start(bench, contestant, &backends, 1024)?;
            let load = Open {
                proxy: front.address,
                per_second: PER_SECOND,
                lasts,
                seed,
            };
            let mut seen = load.run(std::future::ready(())).await;
            seen.retain(|request| request.at >= WARM_UP);
            Ok(seen)
        },
    )
    .await?;
    for (&contestant, rounds) in contestants.iter().zip(&all) {
        let figures = vec![
            rounds.percentile(50.0),
            rounds.percentile(99.0),
            share(rounds, &slow),
            Some(rounds.failed()),
            Some(rounds.requests()),
        ];
        section.row(contestant, figures);
        rounds.explain(contestant, &mut section);
    }
    judge(&mut section);
    Ok(section)
}

fn share(rounds: &Rounds, slow: &str) -> Option<Spread> {
    Spread::of(rounds.0.iter().map(|seen| {
        let shares = shares(seen);
        let all: usize = shares.values().sum();
        let slow = shares.get(slow).copied().unwrap_or(0);
        100.0 * slow as f64 / all.max(1) as f64
    }))
}

fn judge(section: &mut Section) {
    let ours = section.best(P99, |row| row.ours);
    let mut verdicts = Vec::new();
    for name in ["nginx", "HAProxy", "Envoy"] {
        let theirs = section.best(P99, |row| row.name == name);
        if let (Some((our, ours)), Some((their, theirs))) = (ours, theirs) {
            verdicts.push(Verdict {
                what: format!("p99, evenkeel {} / {name} {}", our.setting, their.setting),
                measured: ours / theirs,
                at_most: 0.2,
                unit: Unit::Ratio,
                goal: false,
            });
        }
    }
    section.verdicts = verdicts;
}
