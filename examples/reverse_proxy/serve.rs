//! Serves until it is told to stop, and reads its configuration again when it is told to.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use evenkeel::Pool;
use evenkeel::config::Config;
use evenkeel::health::Watching;
use evenkeel::http::proxy::{Client, ClientBuilder, Server};
use evenkeel::http::{Address, BalanceLayer, recommended};
use evenkeel::observe::status::Status;
use http_body_util::Full;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use tokio::net::TcpListener;
use tower::Layer;

use crate::args::{Options, Source};
use crate::proxy::{Current, RequestBody, Stack, proxy};
use crate::signals::{Signal, Signals};
use crate::tls;

/// Runs the proxy.
pub(crate) async fn serve(options: Options) -> io::Result<()> {
    let pool = match &options.source {
        Source::Arguments { backends, .. } => Pool::from(backends.clone()),
        Source::File(_) => Pool::new(),
    };
    match &options.backend_ca {
        None => {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            connector.set_connect_timeout(Some(tls::CONNECT_TIMEOUT));
            serve_with(connector, pool, options).await
        }
        Some(ca) => serve_with(tls::connector(ca, &pool)?, pool, options).await,
    }
}

async fn serve_with<C>(connector: C, pool: Pool<Address>, options: Options) -> io::Result<()>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client = ClientBuilder::new().build_with(connector.clone());
    let probes: Client<Full<Bytes>, C> = ClientBuilder::new().build_with(connector);
    let mut watching = None;
    let tls = options.backend_ca.is_some();
    let (stack, file) = match options.source {
        Source::Arguments { picker, .. } => {
            let balance = BalanceLayer::new(pool.clone(), picker);
            (recommended(balance.layer(client.clone())), None)
        }
        Source::File(file) => {
            let config = read(&file, tls)?;
            let stack = put_into_use(&config, &pool, &client, &probes, &mut watching);
            (stack, Some(file))
        }
    };
    let current = Current::new(stack);
    let mut signals = Signals::new()?;

    let listener = listen(options.listen).await?;
    let mut told = Vec::new();
    writeln!(told, "listening on http://{}", listener.local_addr()?)?;
    if let Some(at) = options.status {
        let listener = listen(at).await?;
        writeln!(told, "status on http://{}", listener.local_addr()?)?;
        let status = Status::new().pool("backends", &pool);
        let forever = std::future::pending();
        tokio::spawn(async { Server::new().serve(listener, status, forever).await });
    }
    // At once: who reads only the first line may close the pipe.
    let mut stdout = io::stdout().lock();
    stdout.write_all(&told)?;
    stdout.flush()?;
    drop(stdout);

    let service = proxy(current.clone());
    let stop = async {
        loop {
            match (signals.next().await, &file) {
                (Signal::Stop, _) => return,
                (Signal::Reload, None) => {
                    eprintln!("nothing is read again: there is no --config");
                }
                (Signal::Reload, Some(file)) => match read(file, tls) {
                    Ok(config) => {
                        let stack = put_into_use(&config, &pool, &client, &probes, &mut watching);
                        current.set(stack);
                        eprintln!("{} is in use: {}", file.display(), pool.status());
                    }
                    Err(error) => eprintln!("{error}; all stays as it was"),
                },
            }
        }
    };
    Server::new().serve(listener, service, stop).await;
    Ok(())
}

/// Makes the pool what the configuration says, and a stack of it.
fn put_into_use<C>(
    config: &Config,
    pool: &Pool<Address>,
    client: &Client<RequestBody, C>,
    probes: &Client<Full<Bytes>, C>,
    watching: &mut Option<Watching>,
) -> Stack<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    config.apply(pool);
    // What the watch before knew, this one knows.
    *watching = Some(config.watch(pool, probes.clone()));
    config.service(pool, client.clone())
}

/// Reads a file that this program can serve by: one that is empty is more likely half written than
/// meant.
fn read(file: &Path, tls: bool) -> io::Result<Config> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let wrong =
        |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, named(error));
    let text =
        fs::read_to_string(file).map_err(|error| io::Error::new(error.kind(), named(&error)))?;
    let config: Config = toml::from_str(&text).map_err(|error| wrong(&error))?;
    if config.backends().next().is_none() {
        return Err(wrong(&"no backend: expected at least one [[backend]]"));
    }
    let mut backends = config.backends();
    let with_tls = backends.find(|backend| backend.value().scheme() == "https");
    if let (Some(backend), false) = (with_tls, tls) {
        let id = backend.id();
        let expected = format!("backend {id:?} has TLS: expected --backend-ca FILE");
        return Err(wrong(&expected));
    }
    drop(backends);
    Ok(config)
}

async fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(at).await.map_err(|error| {
        let message = format!("cannot listen on {at}: {error}");
        io::Error::new(error.kind(), message)
    })
}
