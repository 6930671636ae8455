//! (e) What a proxy takes of memory for clients that are connected and say little.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::present;
use crate::backends::fast::Fast;
use crate::bench::Bench;
use crate::contestants::{Contestant, Front, envoy, evenkeel, floor, haproxy, nginx};
use crate::load::PATIENCE;
use crate::load::connection::Connection;
use crate::machine::Machine;
use crate::results::{Section, Unit};
use crate::statistics::Spread;

const CONTESTANTS: [Contestant; 5] = [
    evenkeel::picker("least-requests"),
    floor::BARE,
    nginx::PLAIN,
    haproxy::ROUNDROBIN,
    envoy::ROUND_ROBIN,
];

const CONNECTIONS: usize = 10_000;
/// How many connect at once.
const CONNECTING: usize = 64;
/// What a process has open beside connections.
const OTHER_FILES: usize = 500;

pub(crate) async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut section = Section::new(
        "e",
        "memory",
        &[
            ("resident", Unit::Mib),
            ("before", Unit::Mib),
            ("a connection", Unit::Kib),
            ("open at the end", Unit::Count),
        ],
    );
    let wanted = if bench.options.quick {
        500
    } else {
        CONNECTIONS
    };
    let files = usize::try_from(Machine::files()).unwrap_or(usize::MAX);
    let connections = wanted.min(files.saturating_sub(OTHER_FILES));
    if connections < wanted {
        let note = format!("only {connections} connections: a process may have {files} files open");
        section.notes.push(note);
    }
    section.how = format!(
        "Resident memory of the proxy's processes with {connections} clients connected, each of which has asked once, {CONNECTING} \
         at a time. `a connection` is the difference to before, for each."
    );
    let contestants = present(bench, &mut section, &CONTESTANTS);
    let fast = Fast::start(bench, &[1; 4])?;
    for contestant in contestants {
        let front = Front::start(bench, contestant, &fast.backends, connections)?;
        let before = front.usage()?.memory;
        let clients = connect(front.address, connections).await;
        let after = front.usage()?.memory;
        let open = clients.iter().filter(|client| client.is_open()).count();
        let each = after.saturating_sub(before) as f64 / open.max(1) as f64;
        let mib = |bytes: u64| Some(Spread::one(bytes as f64 / f64::from(1 << 20)));
        let each = Some(Spread::one(each / 1024.0));
        let open = Some(Spread::one(open as f64));
        section.row(contestant, vec![mib(after), mib(before), each, open]);
    }
    Ok(section)
}

/// Those that were answered.
async fn connect(proxy: SocketAddr, count: usize) -> Vec<Connection> {
    let mut clients = Vec::with_capacity(count);
    let mut connecting = JoinSet::new();
    let mut left = count;
    loop {
        while left > 0 && connecting.len() < CONNECTING {
            left -= 1;
            connecting.spawn(timeout(PATIENCE, asked(proxy)));
        }
        match connecting.join_next().await {
            Some(Ok(Ok(Ok(client)))) => clients.push(client),
            Some(_) => {}
            None => return clients,
        }
    }
}

async fn asked(proxy: SocketAddr) -> Result<Connection, String> {
    let mut connection = Connection::open(proxy).await?;
    connection.ask().await?;
    Ok(connection)
}
