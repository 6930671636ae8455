//! The command line. Each complaint is one line that says what is wrong and what is expected.

use std::ffi::OsStr;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use evenkeel::picker::Algorithm;
use evenkeel::sim::Scenario;
use lexopt::Arg::{Long, Short, Value};
use lexopt::Parser;

use crate::contestant::Contestant;

/// What to compare.
pub(crate) struct Options {
    pub(crate) name: String,
    pub(crate) scenario: Scenario,
    pub(crate) contestants: Vec<Contestant>,
    pub(crate) seeds: u64,
    pub(crate) server: usize,
    pub(crate) svg: PathBuf,
}

/// Whatever ends the program early.
pub(crate) enum Stop {
    Help,
    BadArgument(String),
    Failed(String),
}

impl From<lexopt::Error> for Stop {
    fn from(error: lexopt::Error) -> Self {
        Self::BadArgument(error.to_string())
    }
}

const SCENARIO: &str = "w1";
const REQUESTS: u64 = 300_000;
const SEEDS: u64 = 3;

fn picture() -> PathBuf {
    std::env::temp_dir().join("evenkeel-simulate.svg")
}

/// Returns the text for `--help`.
pub(crate) fn usage() -> String {
    let pickers: Vec<_> = Algorithm::ALL.iter().map(ToString::to_string).collect();
    format!(
        "\
Compares pickers in virtual time: prints a table, and draws a picture.

Usage: simulate [OPTION]...

  --scenario NAME  what is simulated; {SCENARIO} unless given; one of
                   {}
  --picker NAME    can be given several times; all but ordered unless given; one of
                   {}
                   or central-queue, which is none, but what none can do better than
  --load SHARE     of what the servers can do; what the scenario says unless given
  --clients N      each with a picker of its own; what the scenario says unless given
  --requests N     in each run; {REQUESTS} unless given
  --seeds N        how often each picker runs; {SEEDS} unless given
  --server N       whose share over time is drawn; 0 unless given
  --svg PATH       where the picture goes; {} unless given
  -h, --help       prints this

Latencies are in mean service times.
",
        Scenario::NAMES.join(", "),
        pickers.join("\n                   "),
        picture().display(),
    )
}

pub(crate) fn parse(mut parser: Parser) -> Result<Options, Stop> {
    let mut name = SCENARIO.to_owned();
    let mut contestants = Vec::new();
    let (mut load, mut clients, mut requests) = (None, None, REQUESTS);
    let (mut seeds, mut server, mut svg) = (SEEDS, 0, picture());
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Err(Stop::Help),
            Long("scenario") => name = text(&parser.value()?),
            Long("picker") => {
                let found = Contestant::of_name(&text(&parser.value()?));
                let contestant = found.map_err(Stop::BadArgument)?;
                if !contestants.contains(&contestant) {
                    contestants.push(contestant);
                }
            }
            Long("load") => load = Some(number("--load", &parser.value()?)?),
            Long("clients") => clients = Some(number("--clients", &parser.value()?)?),
            Long("requests") => requests = number("--requests", &parser.value()?)?,
            Long("seeds") => seeds = number("--seeds", &parser.value()?)?,
            Long("server") => server = number("--server", &parser.value()?)?,
            Long("svg") => svg = parser.value()?.into(),
            Short(_) | Long(_) | Value(_) => return Err(arg.unexpected().into()),
        }
    }
    let Some(mut builder) = Scenario::named(&name) else {
        let names = Scenario::NAMES.join(", ");
        let message = format!("unknown scenario {name:?}, expected one of {names}");
        return Err(Stop::BadArgument(message));
    };
    builder = builder.requests(requests);
    if let Some(load) = load {
        builder = builder.load(load);
    }
    if let Some(clients) = clients {
        builder = builder.clients(clients);
    }
    let bad = |error: &dyn Display| Stop::BadArgument(error.to_string());
    let scenario = builder.build().map_err(|error| bad(&error))?;
    if seeds == 0 {
        return Err(bad(&"invalid --seeds 0: expected 1 or more"));
    }
    if server >= scenario.servers() {
        let last = scenario.servers() - 1;
        return Err(bad(&format!(
            "invalid --server {server}: expected 0 to {last}"
        )));
    }
    if contestants.is_empty() {
        contestants = Contestant::all();
    }
    Ok(Options {
        name,
        scenario,
        contestants,
        seeds,
        server,
        svg,
    })
}

fn text(value: &OsStr) -> String {
    value.to_string_lossy().into_owned()
}

fn number<N: FromStr>(option: &str, value: &OsStr) -> Result<N, Stop> {
    let value = text(value);
    value
        .parse()
        .map_err(|_| Stop::BadArgument(format!("invalid {option} {value:?}: expected a number")))
}
