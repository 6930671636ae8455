//! (a) What a request costs in instructions of the program itself, which no other work disturbs.

use std::process::Command;

use anyhow::{Context, Result};

use crate::backends::fast::Fast;
use crate::bench::Bench;
use crate::contestants::{Backend, Contestant, Front, evenkeel, floor};
use crate::load::{closed, failed};
use crate::results::{Section, Unit};
use crate::statistics::Spread;

const CONTESTANTS: [Contestant; 2] = [evenkeel::picker("least-requests"), floor::BARE];
const CLIENTS: usize = 32;

pub(crate) async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut section = Section::new(
        "a",
        "instructions",
        &[
            ("user instructions a request", Unit::Count),
            ("evenkeel / it", Unit::Ratio),
        ],
    );
    section.drawn = Vec::new();
    let requests = if bench.options.quick { 200 } else { 4000 };
    section.how = format!(
        "Counted by valgrind, without the kernel's: the difference between {} requests and {requests}, of {CLIENTS} clients.",
        2 * requests
    );
    if let Err(why) = &bench.tools.valgrind {
        section.notes.push(format!("skipped, {why}"));
        return Ok(section);
    }
    let fast = Fast::start(bench, &[1; 4])?;
    let mut counts = Vec::new();
    for contestant in CONTESTANTS {
        let once = count(bench, contestant, &fast.backends, requests).await?;
        let twice = count(bench, contestant, &fast.backends, 2 * requests).await?;
        counts.push((twice - once) / requests as f64);
    }
    for (contestant, count) in CONTESTANTS.into_iter().zip(&counts) {
        let ratio = Spread::one(counts[0] / count);
        let ratio = (!contestant.is_ours()).then_some(ratio);
        section.row(contestant, vec![Some(Spread::one(*count)), ratio]);
    }
    Ok(section)
}

async fn count(
    bench: &mut Bench,
    contestant: Contestant,
    backends: &[Backend],
    requests: usize,
) -> Result<f64> {
    let valgrind = bench.tools.valgrind.as_ref();
    let valgrind = valgrind.ok().context("it is there")?.path.clone();
    let under = |proxy: Command| {
        let mut command = Command::new(valgrind);
        command
            .args([
                "--tool=cachegrind",
                "--cache-sim=no",
                "--cachegrind-out-file=/dev/null",
            ])
            .arg(proxy.get_program())
            .args(proxy.get_args());
        for (name, value) in proxy.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command
    };
    let front = Front::start_under(bench, contestant, backends, CLIENTS, under)?;
    let seen = closed::ask(front.address, CLIENTS, requests).await;
    anyhow::ensure!(failed(&seen) == 0, "requests failed under valgrind");
    let said = front.end()?;
    // ==PID== I refs:        123,456
    let refs = said.lines().find_map(|line| line.split_once("refs:"));
    let (_, number) = refs.with_context(|| format!("no count from valgrind: {said}"))?;
    let number: String = number.chars().filter(char::is_ascii_digit).collect();
    Ok(number.parse()?)
}
