//! Builds the example and runs it.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use evenkeel::picker::Algorithm;
use evenkeel::picker::hash::HashAlgorithm;

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Which backend was picked for each number or key.
    pub(crate) fn picks(&self) -> Vec<(&str, &str)> {
        let split = |line| str::split_once(line, '\t').expect("a tab on each line");
        self.stdout.lines().map(split).collect()
    }

    /// How often each backend was picked.
    pub(crate) fn counts(&self) -> HashMap<&str, usize> {
        let mut counts = HashMap::new();
        for (_, id) in self.picks() {
            *counts.entry(id).or_default() += 1;
        }
        counts
    }
}

/// Runs the example with arguments that have no space in them.
pub(crate) fn pick(args: &str) -> Run {
    pick_with_input(args.split_whitespace(), "")
}

pub(crate) fn pick_with_input<'a>(args: impl IntoIterator<Item = &'a str>, input: &str) -> Run {
    let mut child = Command::new(example())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    // From a thread of its own, so that neither side waits for the other with a full pipe. That the
    // example does not read it is no error here.
    let (mut stdin, input) = (child.stdin.take().expect("piped"), input.to_owned());
    let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("the example ends");
    writer.join().expect("the writer does not panic");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Builds the example once, with the features that this test has, and returns where it is.
pub(crate) fn example() -> &'static Path {
    static EXAMPLE: OnceLock<PathBuf> = OnceLock::new();
    EXAMPLE.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args([
            "build",
            "--example",
            "pick",
            "--message-format=json",
        ]);
        if !cfg!(feature = "http") {
            cargo.arg("--no-default-features");
        }
        let output = cargo.output().expect("cargo starts");
        let messages = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // The last artifact is what was asked for.
        let path = messages
            .rsplit_once(r#""executable":""#)
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(path, _)| path.replace(r"\\", r"\"))
            .expect("cargo names the executable");
        path.into()
    })
}

/// The names of all pickers.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let plain = Algorithm::ALL.iter().map(|algorithm| algorithm.name());
    plain.chain(HashAlgorithm::ALL.iter().map(|algorithm| algorithm.name()))
}
