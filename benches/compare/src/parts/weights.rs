//! (f) Backends with the weights 5, 3 and 2, and what each of them gets.

use anyhow::Result;

use super::rounds::interleave;
use super::{count, present};
use crate::backends::fast::Fast;
use crate::bench::Bench;
use crate::contestants::{Backend, Contestant, Front, envoy, evenkeel, haproxy, nginx};
use crate::load::{Seen, closed, shares};
use crate::results::{Section, Unit};
use crate::statistics::Spread;

const CONTESTANTS: [Contestant; 7] = [
    evenkeel::picker("weighted-round-robin"),
    evenkeel::picker("weighted-random"),
    evenkeel::picker("least-requests"),
    nginx::PLAIN,
    haproxy::ROUNDROBIN,
    envoy::ROUND_ROBIN,
    envoy::LEAST_REQUEST,
];

const WEIGHTS: [u32; 3] = [5, 3, 2];
const CLIENTS: usize = 16;

pub(crate) async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut section = Section::new(
        "f",
        "weights 5, 3 and 2",
        &[
            ("first", Unit::Points),
            ("second", Unit::Points),
            ("third", Unit::Points),
            ("furthest off", Unit::Points),
        ],
    );
    section.drawn = vec![3];
    let requests = if bench.options.quick { 300 } else { 10_000 };
    let rounds = count(bench);
    section.how = format!(
        "{requests} requests of {CLIENTS} clients that never rest, to three backends that answer at once; shares in percent, and \
         the largest difference between a share and what its weight says, in points. {rounds} rounds."
    );
    let contestants = present(bench, &mut section, &CONTESTANTS);
    let fast = Fast::start(bench, &WEIGHTS)?;
    let all = interleave(
        bench,
        &contestants,
        rounds,
        async |bench, contestant, _seed| {
            let front = Front::start(bench, contestant, &fast.backends, 1024)?;
            Ok(closed::ask(front.address, CLIENTS, requests).await)
        },
    )
    .await?;
    for (&contestant, rounds) in contestants.iter().zip(&all) {
        let share = |at: usize| {
            let of_round = |seen: &Vec<Seen>| percent(seen, &fast.backends[at]);
            Spread::of(rounds.0.iter().map(of_round))
        };
        let off = |seen: &Vec<Seen>| {
            let backends = fast.backends.iter();
            let off = backends.map(|backend| (percent(seen, backend) - expected(backend)).abs());
            off.fold(0.0, f64::max)
        };
        let off = Spread::of(rounds.0.iter().map(off));
        section.row(contestant, vec![share(0), share(1), share(2), off]);
        rounds.explain(contestant, &mut section);
    }
    Ok(section)
}

fn expected(backend: &Backend) -> f64 {
    100.0 * f64::from(backend.weight) / f64::from(WEIGHTS.iter().sum::<u32>())
}

fn percent(seen: &[Seen], backend: &Backend) -> f64 {
    let count = shares(seen).get(&*backend.address.to_string()).copied();
    100.0 * count.unwrap_or(0) as f64 / seen.len().max(1) as f64
}
