//! nginx: one worker, connections to backends kept, no access log.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::{Result, anyhow};

use super::{ATTEMPT, CONNECT, Contestant, KEPT, Place};

pub(super) const ABOUT: &str = "\
    **nginx**: one worker, `keepalive 128` to the servers, HTTP/1.1, no end to requests on a connection, no access log. \
    In (c), (d) and the restarts also `proxy_connect_timeout 1s; proxy_read_timeout 1s; proxy_next_upstream error timeout \
    http_502 http_503 http_504; proxy_next_upstream_tries 4`. It has no active checks.";

#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) label: &'static str,
    /// The directive for the method, if not round robin.
    method: &'static str,
    /// After each server.
    server: &'static str,
    /// Whether an attempt has a time-out of its own, and is followed by another.
    careful: bool,
}

/// Round robin, and nothing that has to do with failures beyond the defaults.
pub(crate) const PLAIN: Contestant = plain("round robin", "");
pub(crate) const LEAST_CONN: Contestant = plain("least_conn", "least_conn;");
pub(crate) const RANDOM_TWO: Contestant = plain("random two", "random two least_conn;");

/// After one failure a server is left alone for a second, or for ten, nginx's default.
pub(crate) const ONE_SECOND: Contestant = careful(
    "least_conn, max_fails=1 fail_timeout=1s",
    "max_fails=1 fail_timeout=1s",
);
pub(crate) const TEN_SECONDS: Contestant = careful(
    "least_conn, max_fails=1 fail_timeout=10s",
    "max_fails=1 fail_timeout=10s",
);
/// None is ever left alone.
pub(crate) const NEVER: Contestant = careful("least_conn, max_fails=0", "max_fails=0");

const fn plain(label: &'static str, method: &'static str) -> Contestant {
    Contestant::Nginx(Setting {
        label,
        method,
        server: "",
        careful: false,
    })
}

const fn careful(label: &'static str, server: &'static str) -> Contestant {
    Contestant::Nginx(Setting {
        label,
        method: "least_conn;",
        server,
        careful: true,
    })
}

impl Setting {
    pub(super) fn command(self, place: &Place<'_>) -> Result<Command> {
        let nginx = place.tools.nginx.as_ref().map_err(|why| anyhow!("{why}"))?;
        let config = place.folder.join("nginx.conf");
        fs::write(&config, self.config(place))?;
        let mut command = Command::new(&nginx.path);
        command.args(["-e", "stderr", "-c"]).arg(&config);
        Ok(command)
    }

    fn config(self, place: &Place<'_>) -> String {
        let (listen, folder) = (place.listen, place.folder.display());
        let (method, files) = (self.method, crate::machine::Machine::files());
        let connections = place.connections + 1024;
        let mut servers = String::new();
        for backend in place.backends {
            let (address, weight) = (backend.address, backend.weight);
            let _ = writeln!(servers, "server {address} weight={weight} {};", self.server);
        }
        let careful = if self.careful {
            format!(
                "proxy_connect_timeout {}s; proxy_read_timeout {}s;
                 proxy_next_upstream error timeout http_502 http_503 http_504;
                 proxy_next_upstream_tries 4;",
                CONNECT.as_secs(),
                ATTEMPT.as_secs()
            )
        } else {
            String::new()
        };
        format!(
            r#"
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid "{folder}/nginx.pid";
error_log stderr error;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path "{folder}/client-body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    upstream servers {{
        {method}
        {servers}
        keepalive {KEPT};
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen} backlog=4096;
        location / {{
            proxy_pass http://servers;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            {careful}
        }}
    }}
}}
"#
        )
    }
}
