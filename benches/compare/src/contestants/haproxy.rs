//! HAProxy: one thread, connections to backends kept and shared between clients, no log.
//!
//! Without `no strict-limits` it would not start unless it may open two files for each connection, which
//! is more than it needs here.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::{Result, anyhow};

use super::{ATTEMPT, CONNECT, Contestant, Place};

pub(super) const ABOUT: &str = "\
    **HAProxy**: `nbthread 1`, `http-reuse always`, `option forwardfor`, no log. Checked is: `option httpchk GET /`, \
    `check inter 500ms fall 2 rise 1`, `option redispatch 1`, `retries 3`, `retry-on all-retryable-errors`, `timeout \
    connect 1s`, `timeout server 1s`.";

#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) label: &'static str,
    balance: &'static str,
    careful: bool,
}

pub(crate) const ROUNDROBIN: Contestant = plain("roundrobin", "roundrobin");
pub(crate) const LEASTCONN: Contestant = plain("leastconn", "leastconn");
pub(crate) const RANDOM: Contestant = plain("random(2)", "random(2)");
/// Checked each half second, and attempts repeated at another server.
pub(crate) const CAREFUL_ROUNDROBIN: Contestant = careful("roundrobin, checked", "roundrobin");
pub(crate) const CAREFUL_LEASTCONN: Contestant = careful("leastconn, checked", "leastconn");

const fn plain(label: &'static str, balance: &'static str) -> Contestant {
    Contestant::Haproxy(Setting {
        label,
        balance,
        careful: false,
    })
}

const fn careful(label: &'static str, balance: &'static str) -> Contestant {
    Contestant::Haproxy(Setting {
        label,
        balance,
        careful: true,
    })
}

impl Setting {
    pub(super) fn command(self, place: &Place<'_>) -> Result<Command> {
        let haproxy = place
            .tools
            .haproxy
            .as_ref()
            .map_err(|why| anyhow!("{why}"))?;
        let config = place.folder.join("haproxy.cfg");
        fs::write(&config, self.config(place))?;
        let mut command = Command::new(&haproxy.path);
        command.args(["-db", "-f"]).arg(&config);
        Ok(command)
    }

    fn config(self, place: &Place<'_>) -> String {
        let (listen, balance) = (place.listen, self.balance);
        let connections = place.connections + 1024;
        let connect = CONNECT.as_millis();
        let (server_timeout, careful, check) = if self.careful {
            (
                ATTEMPT.as_millis(),
                "    option httpchk GET /\n    option redispatch 1\n    retries 3\n    \
                 retry-on all-retryable-errors\n",
                "check inter 500ms fall 2 rise 1",
            )
        } else {
            (60_000, "", "")
        };
        let mut servers = String::new();
        for (at, backend) in place.backends.iter().enumerate() {
            let (address, weight) = (backend.address, backend.weight);
            let _ = writeln!(
                servers,
                "    server s{at} {address} weight {weight} {check}"
            );
        }
        format!(
            "
global
    nbthread 1
    maxconn {connections}
    no strict-limits
defaults
    mode http
    timeout connect {connect}ms
    timeout client 1h
    timeout http-keep-alive 1h
    timeout server {server_timeout}ms
    option forwardfor
    http-reuse always
frontend clients
    bind {listen} backlog 4096
    default_backend servers
backend servers
    balance {balance}
{careful}{servers}"
        )
    }
}
