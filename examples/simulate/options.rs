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

/// What to do.
pub(crate) enum Task {
    Compare(Box<Options>),
    Guide(GuideOptions),
}

/// The figures of the guide's page.
pub(crate) struct GuideOptions {
    /// Where the page and its picture are.
    pub(crate) docs: PathBuf,
    pub(crate) requests: u64,
    pub(crate) seeds: u64,
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
const GUIDE_REQUESTS: u64 = 200_000;
const GUIDE_SEEDS: u64 = 10;

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
  --guide DIR      instead of all that, the figures of the page DIR/choosing.md, which are replaced,
                   and DIR/choosing.svg; {GUIDE_REQUESTS} requests and {GUIDE_SEEDS} seeds unless
                   --requests and --seeds are given; takes some ten minutes
  -h, --help       prints this

Latencies are in mean service times.
",
        Scenario::NAMES.join(", "),
        pickers.join("\n                   "),
        picture().display(),
    )
}

/// As they were given.
#[derive(Default)]
struct Given {
    name: Option<String>,
    contestants: Vec<Contestant>,
    load: Option<f64>,
    clients: Option<usize>,
    requests: Option<u64>,
    seeds: Option<u64>,
    server: Option<usize>,
    svg: Option<PathBuf>,
    guide: Option<PathBuf>,
}

pub(crate) fn parse(mut parser: Parser) -> Result<Task, Stop> {
    let mut given = Given::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Err(Stop::Help),
            Long("scenario") => given.name = Some(text(&parser.value()?)),
            Long("picker") => {
                let found = Contestant::of_name(&text(&parser.value()?));
                let contestant = found.map_err(Stop::BadArgument)?;
                if !given.contestants.contains(&contestant) {
                    given.contestants.push(contestant);
                }
            }
            Long("load") => given.load = Some(number("--load", &parser.value()?)?),
            Long("clients") => given.clients = Some(number("--clients", &parser.value()?)?),
            Long("requests") => given.requests = Some(number("--requests", &parser.value()?)?),
            Long("seeds") => given.seeds = Some(number("--seeds", &parser.value()?)?),
            Long("server") => given.server = Some(number("--server", &parser.value()?)?),
            Long("svg") => given.svg = Some(parser.value()?.into()),
            Long("guide") => given.guide = Some(parser.value()?.into()),
            Short(_) | Long(_) | Value(_) => return Err(arg.unexpected().into()),
        }
    }
    if given.seeds == Some(0) {
        let message = "invalid --seeds 0: expected 1 or more";
        return Err(Stop::BadArgument(message.to_owned()));
    }
    match given.guide.take() {
        Some(docs) => guide(&given, docs).map(Task::Guide),
        None => comparison(given).map(|options| Task::Compare(Box::new(options))),
    }
}

fn guide(given: &Given, docs: PathBuf) -> Result<GuideOptions, Stop> {
    let one_scenario = given.name.is_some() || given.load.is_some() || given.clients.is_some();
    let one_picture = given.server.is_some() || given.svg.is_some();
    if one_scenario || one_picture || !given.contestants.is_empty() {
        let message = "with --guide there is nothing to choose but --requests and --seeds";
        return Err(Stop::BadArgument(message.to_owned()));
    }
    Ok(GuideOptions {
        docs,
        requests: given.requests.unwrap_or(GUIDE_REQUESTS),
        seeds: given.seeds.unwrap_or(GUIDE_SEEDS),
    })
}

fn comparison(given: Given) -> Result<Options, Stop> {
    let name = given.name.unwrap_or_else(|| SCENARIO.to_owned());
    let Some(mut builder) = Scenario::named(&name) else {
        let names = Scenario::NAMES.join(", ");
        let message = format!("unknown scenario {name:?}, expected one of {names}");
        return Err(Stop::BadArgument(message));
    };
    builder = builder.requests(given.requests.unwrap_or(REQUESTS));
    if let Some(load) = given.load {
        builder = builder.load(load);
    }
    if let Some(clients) = given.clients {
        builder = builder.clients(clients);
    }
    let bad = |error: &dyn Display| Stop::BadArgument(error.to_string());
    let scenario = builder.build().map_err(|error| bad(&error))?;
    let server = given.server.unwrap_or(0);
    if server >= scenario.servers() {
        let last = scenario.servers() - 1;
        return Err(bad(&format!(
            "invalid --server {server}: expected 0 to {last}"
        )));
    }
    let contestants = if given.contestants.is_empty() {
        Contestant::all()
    } else {
        given.contestants
    };
    Ok(Options {
        name,
        scenario,
        contestants,
        seeds: given.seeds.unwrap_or(SEEDS),
        server,
        svg: given.svg.unwrap_or_else(picture),
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
