//! A reverse proxy: what `http::proxy`, the recommended stack, `config` and the status page make
//! together.
//!
//! Without arguments it shows what the algorithms do. It starts three small backends of its own,
//! one of them slow, sends itself traffic under each algorithm, and prints a table:
//!
//! ```text
//! cargo run --release --example reverse_proxy --all-features
//! ```
//!
//! With backends, or a file that lists them, it is a proxy in front of them, for HTTP/1.1 and HTTP/2,
//! with WebSocket:
//!
//! ```text
//! cargo run --release --example reverse_proxy --all-features -- \
//!     --listen 127.0.0.1:8080 --picker least-requests 127.0.0.1:8001=3 127.0.0.1:8002
//! cargo run --release --example reverse_proxy --all-features -- \
//!     --picker maglev --key cookie:session,client-address 127.0.0.1:8001 127.0.0.1:8002
//! cargo run --release --example reverse_proxy --all-features -- \
//!     --config docs/reverse_proxy.toml --status 127.0.0.1:9090
//! ```
//!
//! SIGHUP makes it read the file again, while requests run. SIGTERM, or ctrl-c, makes it stop: it
//! listens no more, and ends when the requests have that are running, or after 30 s.

mod args;
mod demo;
mod key;
mod proxy;
mod serve;
mod signals;
mod table;
mod tls;

use std::io::{self, Write};
use std::process::ExitCode;

use self::args::Command;

#[tokio::main]
async fn main() -> ExitCode {
    let done = match args::parse(lexopt::Parser::from_env()) {
        Ok(Command::Help) => io::stdout().write_all(args::usage().as_bytes()),
        Ok(Command::Demo) => demo::run().await,
        Ok(Command::Serve(options)) => serve::serve(options).await,
        Err(problem) => {
            eprintln!("reverse_proxy: {problem}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reverse_proxy: {error}");
            ExitCode::FAILURE
        }
    }
}
