//! The command line. Each complaint is one line that says what is wrong and what is expected.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use evenkeel::http::{Address, InvalidAddress};
use evenkeel::picker::Algorithm;
use evenkeel::picker::hash::{HashAlgorithm, Keyed};
use evenkeel::{Backend, Picker};
use hyper::Request;
use lexopt::Arg::{Long, Short, Value};

use crate::key::{self, KEYS, RequestKey};
use crate::proxy::RequestBody;

/// What the program is asked to do.
pub(crate) enum Command {
    Help,
    Demo,
    Serve(Options),
}

/// How to be a proxy.
pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) source: Source,
    /// Where the status page is.
    pub(crate) status: Option<SocketAddr>,
    /// Who signs the certificates of backends.
    pub(crate) backend_ca: Option<PathBuf>,
}

/// What says where requests go.
pub(crate) enum Source {
    Arguments {
        picker: Arc<dyn Picker<Request<RequestBody>>>,
        backends: Vec<Backend<Address>>,
    },
    File(PathBuf),
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ALGORITHM: Algorithm = Algorithm::LeastRequests;

/// Returns the text for `--help`.
pub(crate) fn usage() -> String {
    let (plain, keyed) = (plain_names(), keyed_names());
    format!(
        "\
A reverse proxy for HTTP/1.1 and HTTP/2 that spreads requests over backends.

Usage: reverse_proxy                                        a demonstration, takes a few seconds
       reverse_proxy [OPTIONS] [--picker NAME] [--key KEY] BACKEND...
       reverse_proxy [OPTIONS] --config FILE

  BACKEND         ADDR[=WEIGHT], as in 127.0.0.1:8001=3; the weight is 1 unless given
  --config FILE   TOML with backends, picker, health, retries, limits: see docs/reverse_proxy.toml;
                  read again on SIGHUP
  --listen ADDR   IP:PORT to listen on, port 0 for any that is free; {LISTEN} unless given
  --status ADDR   IP:PORT of a page of how the backends are; none unless given
  --backend-ca FILE
                  PEM with who signs the certificates of backends whose address begins with https://
  --picker NAME   how to choose a backend; {ALGORITHM} unless given; one of
                  {}
                  or, by a key of the request, so that the same key goes to the same backend,
                  {}
  --key KEY       what the key is; client-address unless given; one of
                  {KEYS},
                  or several with commas between them: the first that is there counts
  -h, --help      prints this

round-robin, random and ordered do not look at weights.
",
        plain.join("\n                  "),
        keyed.join("\n                  ")
    )
}

/// Reads the command line.
pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Command, String> {
    let mut listen = None;
    let mut status = None;
    let mut config = None;
    let mut backend_ca = None;
    let mut name = None;
    let mut key = None;
    let mut backends = Vec::new();

    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("listen") => listen = Some(address("--listen", &value(&mut parser))?),
            Long("status") => status = Some(address("--status", &value(&mut parser))?),
            Long("config") => config = Some(file("--config", &value(&mut parser))?),
            Long("backend-ca") => backend_ca = Some(file("--backend-ca", &value(&mut parser))?),
            Long("picker") => {
                let given = value(&mut parser);
                known(&given)?;
                name = Some(given);
            }
            Long("key") => key = Some(key::parse(&value(&mut parser))?),
            Value(text) => {
                let backend = backend(&text.to_string_lossy(), &backends)?;
                backends.push(backend);
            }
            Short(_) | Long(_) => {
                let unexpected = arg.unexpected();
                return Err(format!(
                    "{unexpected}: expected --config FILE, --listen ADDR, --status ADDR, --backend-ca FILE, \
                     --picker NAME, --key KEY, --help or a BACKEND"
                ));
            }
        }
    }
    let source = match config {
        Some(_) if name.is_some() || key.is_some() || !backends.is_empty() => {
            return Err("--config says all of it: expected no --picker, --key or BACKEND".into());
        }
        Some(file) => Source::File(file),
        None if !backends.is_empty() => {
            let https = |backend: &Backend<Address>| backend.value().scheme() == "https";
            if let (Some(backend), None) = (backends.iter().find(|one| https(one)), &backend_ca) {
                let id = backend.id();
                return Err(format!(
                    "backend {id:?} has TLS: expected --backend-ca FILE"
                ));
            }
            let picker = picker(name.as_deref().unwrap_or(ALGORITHM.name()), key)?;
            Source::Arguments { picker, backends }
        }
        None => {
            let nothing = [listen, status].iter().all(Option::is_none) && backend_ca.is_none();
            return if nothing && name.is_none() && key.is_none() {
                Ok(Command::Demo)
            } else {
                Err("no backend: expected --config FILE, or at least one ADDR[=WEIGHT], as in 127.0.0.1:8001=3".into())
            };
        }
    };
    Ok(Command::Serve(Options {
        listen: listen.unwrap_or(LISTEN),
        source,
        status,
        backend_ca,
    }))
}

fn plain_names() -> Vec<&'static str> {
    Algorithm::ALL.iter().map(|known| known.name()).collect()
}

fn keyed_names() -> Vec<&'static str> {
    HashAlgorithm::ALL
        .iter()
        .map(|known| known.name())
        .collect()
}

fn known(name: &str) -> Result<(), String> {
    let all = [plain_names(), keyed_names()].concat();
    if all.contains(&name) {
        return Ok(());
    }
    let all = all.join(", ");
    Err(format!(
        "--picker: unknown algorithm {name:?}, expected one of {all}"
    ))
}

/// The picker with a name that is known.
fn picker(
    name: &str,
    key: Option<RequestKey>,
) -> Result<Arc<dyn Picker<Request<RequestBody>>>, String> {
    match (name.parse::<HashAlgorithm>(), name.parse::<Algorithm>()) {
        (Ok(algorithm), _) => {
            let key = key.unwrap_or_else(key::client_address);
            Ok(Arc::new(Keyed::new(algorithm, key)))
        }
        (_, Ok(_)) if key.is_some() => {
            let keyed = keyed_names().join(", ");
            Err(format!(
                "--key: {name} has none, expected --picker to be one of {keyed}"
            ))
        }
        (_, Ok(algorithm)) => Ok(algorithm.picker()),
        (_, Err(unknown)) => Err(unknown.to_string()),
    }
}

/// The value of an option. A missing one is as wrong as an empty one.
fn value(parser: &mut lexopt::Parser) -> String {
    let value = parser.value().unwrap_or_default();
    value.to_string_lossy().into_owned()
}

fn address(option: &str, text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{option} {text:?} is wrong: expected IP:PORT, as in {LISTEN}"))
}

fn file(option: &str, text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err(format!("{option} is empty: expected the name of a file"));
    }
    Ok(text.into())
}

fn backend(text: &str, others: &[Backend<Address>]) -> Result<Backend<Address>, String> {
    let (id, weight) = text.rsplit_once('=').unwrap_or((text, "1"));
    let wrong = |problem: String| format!("backend {text:?}: {problem}");

    let address: Address = id
        .parse()
        .map_err(|invalid: InvalidAddress| invalid.to_string())?;
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
