//! The command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use lexopt::Arg::{Long, Short, Value};
use lexopt::ValueExt;

use crate::parts::Part;

/// What the program is asked to do.
pub(crate) enum Command {
    Help,
    Measure(Options),
    /// To be the backend behind the proxies.
    Backend(Vec<SocketAddr>),
    /// To be the clients, for a profiler beside the proxy.
    Load {
        proxy: SocketAddr,
        clients: usize,
        requests: usize,
    },
    /// To be the bare proxy.
    Floor {
        listen: SocketAddr,
        backends: Vec<SocketAddr>,
        timeouts: bool,
    },
}

#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) parts: Vec<Part>,
    /// Of throughput; the others have fewer.
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) seed: u64,
    /// For `results.md`, `results.svg` and `results.jsonl`.
    pub(crate) out: PathBuf,
}

pub(crate) const USAGE: &str = "\
evenkeel's example reverse_proxy beside nginx, HAProxy and Envoy, in front of the same backends.

Usage: compare [--parts a,b,...] [--rounds N] [--quick] [--seed N] [--out FOLDER]

  --parts LIST   which parts; all unless given
                   a  throughput, latency and CPU time for each request, on one core
                   b  one of four backends is 20 times slower
                   c  a backend is killed each second
                   d  a backend hangs
                   e  memory with 10,000 connections
                   f  weights, and all backends restarted in turn
  --rounds N     of part a, 15 unless given; b, c, d and f have a fifth as many, at least one
  --quick        one short round of each: only shows that everything runs, measures nothing
  --seed N       of the order of contestants and the times of requests; by chance unless given
  --out FOLDER   for results.md, results.svg and results.jsonl; this package's unless given
  -h, --help     prints this

The roles in which it starts itself, for a profiler:

  compare backend ADDR...                          answers 1 KiB at each address
  compare floor --listen ADDR [--timeouts] ADDR... the bare proxy in front of these
  compare load ADDR CLIENTS REQUESTS               asks a proxy so many times
";

const ROUNDS: usize = 15;
const MOST_ROUNDS: usize = 1000;

impl Command {
    pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Self> {
        let mut options = Options {
            parts: Part::ALL.to_vec(),
            rounds: ROUNDS,
            quick: false,
            seed: fastrand::u64(..1 << 32),
            out: Path::new(env!("CARGO_MANIFEST_DIR")).to_owned(),
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(Self::Help),
                Long("parts") => options.parts = parts(&parser.value()?.string()?)?,
                Long("rounds") => {
                    options.rounds = parser.value()?.parse()?;
                    let rounds = options.rounds;
                    let fits = (1..=MOST_ROUNDS).contains(&rounds);
                    ensure!(fits, "--rounds {rounds}: expected 1 to {MOST_ROUNDS}");
                }
                Long("quick") => options.quick = true,
                Long("seed") => options.seed = parser.value()?.parse()?,
                Long("out") => options.out = parser.value()?.into(),
                Value(role) if role == "backend" => return backend(parser),
                Value(role) if role == "floor" => return floor(parser),
                Value(role) if role == "load" => return load(parser),
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(Self::Measure(options))
    }
}

fn parts(text: &str) -> Result<Vec<Part>> {
    let part = |name: &str| {
        let known = Part::ALL.into_iter().find(|part| part.letter() == name);
        known.with_context(|| format!("--parts {text:?}: {name:?} is none, expected a to f"))
    };
    text.split(',').map(part).collect()
}

fn backend(mut parser: lexopt::Parser) -> Result<Command> {
    let mut addresses = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(address) => addresses.push(address.parse()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Command::Backend(addresses))
}

fn load(mut parser: lexopt::Parser) -> Result<Command> {
    Ok(Command::Load {
        proxy: parser.value()?.parse()?,
        clients: parser.value()?.parse()?,
        requests: parser.value()?.parse()?,
    })
}

fn floor(mut parser: lexopt::Parser) -> Result<Command> {
    let (mut listen, mut timeouts, mut backends) = (None, false, Vec::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => listen = Some(parser.value()?.parse()?),
            Long("timeouts") => timeouts = true,
            Value(address) => backends.push(address.parse()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if backends.is_empty() {
        bail!("floor: expected --listen ADDR and at least one backend's ADDR");
    }
    Ok(Command::Floor {
        listen: listen.context("floor: expected --listen ADDR")?,
        backends,
        timeouts,
    })
}
