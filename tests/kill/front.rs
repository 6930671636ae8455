//! The proxies, each a process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::time::Duration;
use std::{env, io};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::client::within;
use super::server::Server;
use super::venv::skip;

/// A running proxy. It is terminated when this is dropped.
pub(crate) struct Front {
    /// Its `127.0.0.1:PORT`.
    address: String,
    child: Child,
    /// Its configuration and what it complains of.
    folder: PathBuf,
}

/// What a proxy complains of, in its folder.
const LOG: &str = "complaints.log";

impl Front {
    /// Starts a proxy that prints `listening on http://ADDRESS` when it does.
    pub(crate) async fn start(name: &str, mut command: Command) -> Self {
        let folder = folder(name);
        // Not a pipe: the proxy would wait for its reader.
        let log = File::create(folder.join(LOG)).expect("a file for its complaints");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the proxy starts");
        let stdout = child.stdout.take().expect("it is piped");
        let line = within("its address", BufReader::new(stdout).lines().next_line()).await;
        let line = line.expect("readable").expect("the proxy started");
        let address = line.strip_prefix("listening on http://");
        Self {
            address: address.expect("its address").to_owned(),
            child,
            folder,
        }
    }

    /// Starts nginx, with these parameters for each server and otherwise its defaults. `None` where
    /// there is none; that was said already.
    pub(crate) async fn nginx(servers: &[Server], parameters: &str) -> Option<Self> {
        let Some(nginx) = find("nginx") else {
            skip("there is no nginx");
            return None;
        };
        let folder = folder("nginx");
        let address = free_address().await.expect("a free port");
        let config = folder.join("nginx.conf");
        fs::write(
            &config,
            nginx_config(&folder, &address, servers, parameters),
        )
        .expect("its configuration");
        let child = Command::new(nginx)
            .arg("-e")
            .arg(folder.join(LOG))
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let mut front = Self {
            address,
            child,
            folder,
        };
        within("nginx to listen", front.listens()).await;
        Some(front)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Stops it, and returns the first lines that it complained with.
    pub(crate) async fn end(mut self) -> String {
        let ended = self.child.try_wait().expect("it was started");
        assert_eq!(ended, None, "it has to run until now");
        self.terminate();
        let ended = within("the proxy's end", self.child.wait()).await;
        ended.expect("it was started");
        let complaints = fs::read(self.folder.join(LOG)).expect("its complaints");
        let _ = fs::remove_dir_all(&self.folder);
        let complaints = String::from_utf8_lossy(&complaints);
        let first: Vec<_> = complaints.lines().take(10).collect();
        first.join("\n")
    }

    async fn listens(&mut self) {
        while TcpStream::connect(&self.address).await.is_err() {
            let ended = self.child.try_wait().expect("it was started");
            assert_eq!(ended, None, "what it said: {}", self.folder.display());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Not by SIGKILL, which would leave nginx's worker running.
    fn terminate(&self) {
        if let Some(pid) = self.child.id() {
            let mut kill = process::Command::new("kill");
            let _ = kill.args(["-TERM", &pid.to_string()]).status();
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.terminate();
    }
}

fn nginx_config(folder: &Path, address: &str, servers: &[Server], parameters: &str) -> String {
    let folder = folder.display();
    let servers = servers
        .iter()
        .map(|server| format!("server {} {parameters};", server.address));
    let servers = servers.collect::<Vec<_>>().join(" ");
    format!(
        r#"
daemon off;
worker_processes 1;
pid "{folder}/nginx.pid";
error_log "{folder}/{LOG}";
events {{ }}
http {{
    access_log off;
    client_body_temp_path "{folder}/client-body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    upstream servers {{ {servers} keepalive 64; }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://servers;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"#
    )
}

/// A new folder for a proxy's files.
fn folder(name: &str) -> PathBuf {
    let folder = format!("kill-{name}-{}", process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// An address that nobody listens on, for those who cannot choose one themselves.
async fn free_address() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    Ok(listener.local_addr()?.to_string())
}

/// Looks for a program where the shell would, and where programs for administrators are.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let programs = folders.map(|folder| folder.join(program));
    let mut programs = programs.filter(|program| program.is_file());
    programs.next()
}
