//! A reverse proxy for HTTP/1.1: hyper's server in front, `BalanceLayer` around hyper-util's client
//! behind, and around that the recommended stack: retries, limits, time-outs.
//!
//! Without arguments it shows what the algorithms do. It starts three small backends of its own,
//! one of them slow, sends itself traffic under each algorithm, and prints a table:
//!
//! ```text
//! cargo run --release --example reverse_proxy
//! ```
//!
//! With backends it is a proxy in front of them. Bodies stream both ways, `Host` is kept, and
//! `X-Real-IP` and `X-Forwarded-For` say who asked. What it does not do: TLS, HTTP/2, and upgrades
//! such as WebSocket.
//!
//! ```text
//! cargo run --release --example reverse_proxy -- \
//!     --listen 127.0.0.1:8080 --picker least-requests 127.0.0.1:8001=3 127.0.0.1:8002
//! cargo run --release --example reverse_proxy -- \
//!     --picker maglev --key cookie:session,client-address 127.0.0.1:8001 127.0.0.1:8002
//! ```

mod args;
mod demo;
mod key;
mod proxy;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use evenkeel::Pool;
use evenkeel::http::BalanceLayer;
use evenkeel::http::proxy::Server;
use tokio::net::TcpListener;

use self::args::{Command, Options};

#[tokio::main]
async fn main() -> ExitCode {
    let done = match args::parse(lexopt::Parser::from_env()) {
        Ok(Command::Help) => io::stdout().write_all(args::usage().as_bytes()),
        Ok(Command::Demo) => demo::run().await,
        Ok(Command::Serve(options)) => serve(options).await,
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

async fn serve(options: Options) -> io::Result<()> {
    let listener = TcpListener::bind(options.listen).await.map_err(|error| {
        let message = format!("cannot listen on {}: {error}", options.listen);
        io::Error::new(error.kind(), message)
    })?;
    let balance = BalanceLayer::new(Pool::from(options.backends), options.picker);

    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on http://{}", listener.local_addr()?)?;
    stdout.flush()?;
    drop(stdout);

    let stop = async {
        // Without a handler for it, ctrl-c ends the program by itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let service = proxy::service(&balance);
    Server::new().serve(listener, service, stop).await;
    Ok(())
}
