//! Prints what a picker picks, without a server, to try one out or to compare it with another
//! load balancer:
//!
//! ```text
//! cargo run --example pick -- --picker weighted-round-robin \
//!     --backend a=5 --backend b=1 --backend c=1 --count 7
//! ```
//!
//! `cargo run --example pick -- --help` tells the rest.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;

use evenkeel::backend::State;
use evenkeel::picker::hash::{HashAlgorithm, Keyed, WholeRequest};
use evenkeel::picker::{
    Algorithm, Context, ReportedWeightedRoundRobin, RoundRobin, Update, WeightedRoundRobin,
};
use evenkeel::set::Masked;
use evenkeel::{Backend, BackendSet, Picker, Pool};
use lexopt::{Arg, Parser};

const USAGE: &str = "\
Prints what a picker picks: for each pick its number or key, a tab, and the backend's id.

Usage: pick --picker NAME --backend ID[=WEIGHT]... [--down ID]... (--count N | --keys FILE) [--seed N]

      --picker NAME          one of the pickers below
      --backend ID[=WEIGHT]  a backend, weight 1 unless given; what follows the last '=' is the weight.
                             An ID that is given twice is one backend, and the last one counts
      --down ID              drains that backend: it is not picked
      --count N              picks N times, numbered from 1; the request is the number
      --keys FILE            picks once for each line of a file, or of standard input if FILE is -;
                             the request is the line
      --seed N               repeats the picks that are left to chance. Without it a seed is chosen;
                             it is told on standard error in any case
  -h, --help                 prints this

Round robins begin at the first backend. Each pick is finished before the next one, and takes no
time: to pickers that look at load or latency, all backends are idle and were never measured.

Pickers that hash go by the request: the line of the file, without its end, or the number as text.
Those that are named for another load balancer place keys as that one does, given the same
backends in the same order: an ID is then the server's HOST:PORT as its configuration has it, and
for nginx-ip-hash a line is a client's address.

Exit code: 0 when all was picked, 1 when nothing can be picked, 2 when an argument is wrong.

Pickers:
";

/// Whatever ends the program early, each with its exit code.
enum Stop {
    Help,
    BadArgument(String),
    NothingToPick(String),
    Output(io::Error),
}

struct Args {
    picker: Arc<dyn Picker<str>>,
    pool: Pool<()>,
    requests: Requests,
    seed: Option<u64>,
}

/// The text of each request.
type Requests = Box<dyn Iterator<Item = Result<String, Stop>>>;

fn main() -> ExitCode {
    let Err(stop) = parse(Parser::from_env()).and_then(run) else {
        return ExitCode::SUCCESS;
    };
    let (message, code) = match stop {
        Stop::Help => return print_help(),
        // Whoever reads has seen enough, as in `pick … | head`.
        Stop::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Stop::Output(error) => (format!("cannot write to standard output: {error}"), 1),
        Stop::NothingToPick(message) => (message, 1),
        Stop::BadArgument(message) => (message, 2),
    };
    eprintln!("error: {message}");
    ExitCode::from(code)
}

fn run(args: Args) -> Result<(), Stop> {
    let backends = args.pool.list();
    let members: Vec<(String, u32)> = backends
        .iter()
        .map(|backend| (backend.id().to_owned(), backend.weight()))
        .collect();
    let mut eligible = Masked::new(&members);
    for (rank, backend) in backends.iter().enumerate() {
        if backend.state() != State::Healthy {
            eligible.mask_original(rank);
        }
    }
    if eligible.is_empty() {
        let states = backends
            .iter()
            .map(|backend| format!("{}: {}", backend.id(), backend.state()));
        let states = states.collect::<Vec<_>>().join(", ");
        return Err(Stop::NothingToPick(format!(
            "no backend can be picked ({states})"
        )));
    }

    let seed = args.seed.unwrap_or_else(|| Context::new().random());
    eprintln!("seed: {seed}");
    let mut cx = Context::new().seed(seed);

    let prepared = args.picker.prepare(&Update::new(&members, &eligible));
    let picker = prepared.unwrap_or(args.picker);

    let mut out = BufWriter::new(io::stdout().lock());
    for request in args.requests {
        let request = request?;
        let rank = picker
            .pick(&eligible, &request, &mut cx)
            .ok_or_else(|| Stop::NothingToPick(format!("no backend was picked for {request:?}")))?;
        writeln!(out, "{request}\t{}", eligible.id(rank)).map_err(Stop::Output)?;
    }
    out.flush().map_err(Stop::Output)
}

fn new_picker(name: &str) -> Result<Arc<dyn Picker<str>>, Stop> {
    if let Ok(algorithm) = name.parse::<HashAlgorithm>() {
        return Ok(Arc::new(Keyed::new(algorithm, WholeRequest)));
    }
    match name.parse() {
        // Not at a random place, so that runs can be compared.
        Ok(Algorithm::RoundRobin) => Ok(Arc::new(RoundRobin::starting_at(0))),
        Ok(Algorithm::WeightedRoundRobin) => Ok(Arc::new(WeightedRoundRobin::starting_at(0))),
        Ok(Algorithm::ReportedWeightedRoundRobin) => {
            Ok(Arc::new(ReportedWeightedRoundRobin::starting_at(0)))
        }
        Ok(algorithm) => Ok(algorithm.picker()),
        Err(_) => {
            let names: Vec<_> = names().collect();
            let names = names.join(", ");
            Err(bad(format!(
                "--picker: unknown algorithm {name:?}, expected one of {names}"
            )))
        }
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    let plain = Algorithm::ALL.iter().map(|algorithm| algorithm.name());
    plain.chain(HashAlgorithm::ALL.iter().map(|algorithm| algorithm.name()))
}

fn print_help() -> ExitCode {
    let names: String = names().flat_map(|name| ["  ", name, "\n"]).collect();
    // A reader who has gone does not miss the rest.
    let _ = write!(io::stdout(), "{USAGE}{names}");
    ExitCode::SUCCESS
}

fn parse(mut parser: Parser) -> Result<Args, Stop> {
    let (mut picker, mut requests, mut seed) = (None, None, None);
    let (mut backends, mut down) = (Vec::new(), Vec::new());

    while let Some(arg) = parser.next().map_err(|error| bad(error.to_string()))? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Err(Stop::Help),
            Arg::Long("picker") => {
                let name = text(&mut parser, "--picker", "a NAME")?;
                picker = Some(new_picker(&name)?);
            }
            Arg::Long("backend") => {
                let given = text(&mut parser, "--backend", "ID[=WEIGHT]")?;
                backends.push(backend(&given)?);
            }
            Arg::Long("down") => down.push(text(&mut parser, "--down", "an ID")?),
            Arg::Long("count") => {
                let count = number(&mut parser, "--count")?;
                let numbers: Requests = Box::new((1..=count).map(|number| Ok(number.to_string())));
                set_once(&mut requests, numbers)?;
            }
            Arg::Long("keys") => {
                let path = value(&mut parser, "--keys", "a FILE, or - for standard input")?;
                set_once(&mut requests, keys(&path)?)?;
            }
            Arg::Long("seed") => seed = Some(number(&mut parser, "--seed")?),
            Arg::Long(name) => return Err(unknown(&format!("--{name}"))),
            Arg::Short(letter) => return Err(unknown(&format!("-{letter}"))),
            Arg::Value(value) => return Err(unknown(&value.to_string_lossy())),
        }
    }

    let picker = picker.ok_or_else(|| bad("no --picker, expected --picker NAME"))?;
    if backends.is_empty() {
        return Err(bad(
            "no --backend, expected at least one --backend ID[=WEIGHT]",
        ));
    }
    let pool = Pool::from(backends);
    for id in down {
        if !pool.drain(&id) {
            return Err(bad(format!(
                "--down {id:?}: no such backend, expected the ID of a --backend"
            )));
        }
    }
    Ok(Args {
        picker,
        pool,
        requests: requests.ok_or_else(|| {
            bad("neither --count nor --keys, expected one of --count N and --keys FILE")
        })?,
        seed,
    })
}

fn backend(given: &str) -> Result<Backend<()>, Stop> {
    let wrong = || {
        bad(format!(
            "--backend {given:?}: expected ID or ID=WEIGHT, with a WEIGHT from 0 to {}",
            u32::MAX
        ))
    };
    let (id, weight) = match given.rsplit_once('=') {
        None => (given, 1),
        Some((id, weight)) => (id, weight.parse().map_err(|_| wrong())?),
    };
    if id.is_empty() {
        return Err(wrong());
    }
    Ok(Backend::new(id, ()).weight(weight))
}

fn keys(path: &OsStr) -> Result<Requests, Stop> {
    let name = path.to_string_lossy().into_owned();
    let unreadable = move |error: io::Error| {
        bad(format!(
            "--keys {name:?}: {error}, expected a file with a key on each line, or - for standard input"
        ))
    };
    let input: Box<dyn BufRead> = if path == "-" {
        Box::new(io::stdin().lock())
    } else {
        let mut file = BufReader::new(File::open(path).map_err(&unreadable)?);
        // A directory can be opened, but not read.
        file.fill_buf().map_err(&unreadable)?;
        Box::new(file)
    };
    Ok(Box::new(
        input.lines().map(move |line| line.map_err(&unreadable)),
    ))
}

fn set_once(requests: &mut Option<Requests>, given: Requests) -> Result<(), Stop> {
    match requests.replace(given) {
        None => Ok(()),
        Some(_) => Err(bad(
            "more than one --count or --keys, expected one of --count N and --keys FILE",
        )),
    }
}

fn number(parser: &mut Parser, option: &str) -> Result<u64, Stop> {
    let expected = format!("a number from 0 to {}", u64::MAX);
    let given = text(parser, option, &expected)?;
    given
        .parse()
        .map_err(|_| bad(format!("{option} {given:?}: expected {expected}")))
}

fn text(parser: &mut Parser, option: &str, expected: &str) -> Result<String, Stop> {
    let given = value(parser, option, expected)?;
    given.into_string().map_err(|given| {
        let given = given.to_string_lossy().into_owned();
        bad(format!(
            "{option} {given:?}: not UTF-8, expected {expected}"
        ))
    })
}

fn value(parser: &mut Parser, option: &str, expected: &str) -> Result<OsString, Stop> {
    parser
        .value()
        .map_err(|_| bad(format!("{option}: no value, expected {expected}")))
}

fn unknown(argument: &str) -> Stop {
    bad(format!(
        "unknown argument {argument:?}, expected \
         --picker, --backend, --down, --count, --keys, --seed or --help"
    ))
}

fn bad(message: impl Into<String>) -> Stop {
    Stop::BadArgument(message.into())
}
