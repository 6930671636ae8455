//! The command line. Each complaint is one line that says what is wrong and what is expected.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use evenkeel::Backend;
use evenkeel::http::{Address, InvalidAddress};
use evenkeel::picker::Algorithm;
use lexopt::Arg::{Long, Short, Value};

/// What the program is asked to do.
pub(crate) enum Command {
    Help,
    Demo,
    Serve(Options),
}

/// How to be a proxy.
pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) algorithm: Algorithm,
    pub(crate) backends: Vec<Backend<Address>>,
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ALGORITHM: Algorithm = Algorithm::LeastRequests;

/// Returns the text for `--help`.
pub(crate) fn usage() -> String {
    let pickers: Vec<String> = Algorithm::ALL.iter().map(ToString::to_string).collect();
    format!(
        "\
A reverse proxy for HTTP/1.1 that spreads requests over backends.

Usage: reverse_proxy                                        a demonstration, takes a few seconds
       reverse_proxy [--listen ADDR] [--picker NAME] BACKEND...

  BACKEND         ADDR[=WEIGHT], as in 127.0.0.1:8001=3; the weight is 1 unless given
  --listen ADDR   IP:PORT to listen on, port 0 for any that is free; {LISTEN} unless given
  --picker NAME   how to choose a backend; {ALGORITHM} unless given; one of
                  {}
  -h, --help      prints this

round-robin, random and ordered do not look at weights.
",
        pickers.join("\n                  ")
    )
}

/// Reads the command line.
pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Command, String> {
    let mut listen = None;
    let mut algorithm = None;
    let mut backends = Vec::new();

    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("listen") => listen = Some(address(&value(&mut parser))?),
            Long("picker") => {
                let name = value(&mut parser);
                algorithm = Some(name.parse().map_err(|error| format!("--picker: {error}"))?);
            }
            Value(text) => {
                let backend = backend(&text.to_string_lossy(), &backends)?;
                backends.push(backend);
            }
            Short(_) | Long(_) => {
                let unexpected = arg.unexpected();
                return Err(format!(
                    "{unexpected}: expected --listen ADDR, --picker NAME, --help or a BACKEND"
                ));
            }
        }
    }
    if backends.is_empty() {
        return if listen.is_none() && algorithm.is_none() {
            Ok(Command::Demo)
        } else {
            Err("no backend: expected at least one ADDR[=WEIGHT], as in 127.0.0.1:8001=3".into())
        };
    }
    Ok(Command::Serve(Options {
        listen: listen.unwrap_or(LISTEN),
        algorithm: algorithm.unwrap_or(ALGORITHM),
        backends,
    }))
}

/// The value of an option. A missing one is as wrong as an empty one.
fn value(parser: &mut lexopt::Parser) -> String {
    let value = parser.value().unwrap_or_default();
    value.to_string_lossy().into_owned()
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("--listen {text:?} is wrong: expected IP:PORT, as in {LISTEN}"))
}

fn backend(text: &str, others: &[Backend<Address>]) -> Result<Backend<Address>, String> {
    let (id, weight) = text.rsplit_once('=').unwrap_or((text, "1"));
    let wrong = |problem: String| format!("backend {text:?}: {problem}");

    let address: Address = id
        .parse()
        .map_err(|invalid: InvalidAddress| invalid.to_string())?;
    if address.scheme() != "http" {
        return Err(wrong("expected http, there is no TLS here".into()));
    }
    if others.iter().any(|other| *other.value() == address) {
        return Err(wrong("expected each address once, this is a second".into()));
    }
    let weight = weight.parse().map_err(|_| {
        let most = u32::MAX;
        wrong(format!(
            "weight {weight:?} is wrong, expected a number from 0 to {most}"
        ))
    })?;
    Ok(Backend::new(id, address).weight(weight))
}
