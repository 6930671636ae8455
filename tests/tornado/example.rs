//! The example `reverse_proxy` as a process.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use super::client::within;

/// A running proxy. It is killed when this is dropped.
pub(crate) struct Proxy {
    /// Its `127.0.0.1:PORT`.
    address: String,
    pub(crate) child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Proxy {
    pub(crate) async fn start<B: AsRef<OsStr>>(picker: &str, backends: &[B]) -> Self {
        Self::start_with(&["--picker", picker], backends).await
    }

    pub(crate) async fn start_with<B: AsRef<OsStr>>(options: &[&str], backends: &[B]) -> Self {
        let mut child = Command::new(binary())
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .args(backends)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the proxy starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let stderr = BufReader::new(child.stderr.take().expect("it is piped")).lines();

        let line = within("the proxy's address", stdout.next_line()).await;
        let line = line.expect("readable").expect("the proxy started");
        let address = line.strip_prefix("listening on http://");
        Self {
            address: address.expect("its address").to_owned(),
            child,
            stderr,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the next line that the proxy complains with.
    pub(crate) async fn complaint(&mut self) -> String {
        let line = within("a line on stderr", self.stderr.next_line()).await;
        line.expect("readable").expect("the proxy still runs")
    }
}

/// Runs the example to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    let run = std::process::Command::new(binary()).args(args).output();
    run.expect("the example starts")
}

/// Builds the example, once, where and how this test was built.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let mut build = std::process::Command::new(env!("CARGO"));
        build
            .args(["build", "--example", "reverse_proxy", "--all-features"])
            .args(["--message-format", "json-render-diagnostics"])
            .arg("--target-dir")
            .arg(target.expect("the target directory"))
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let output = build.output().expect("cargo starts");
        if !output.status.success() {
            let _ = std::io::stderr().write_all(&output.stderr);
            panic!("the example does not build");
        }
        let messages = String::from_utf8(output.stdout).expect("text");
        let path = messages.lines().find_map(|message| {
            let (_, path) = message.split_once("\"executable\":\"")?;
            Some(PathBuf::from(path.split_once('"')?.0))
        });
        path.expect("cargo says where the example is")
    })
}
