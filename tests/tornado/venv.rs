//! A Python with Tornado in it, made once.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output, Stdio};
use std::sync::OnceLock;

const TORNADO: &str = "6.5.2";

const PYTHON: &str = if cfg!(windows) {
    "Scripts/python.exe"
} else {
    "bin/python"
};

/// Returns the Python to run servers with. Where there can be none, says that the test is skipped,
/// or fails it if `CI` is set.
pub(crate) fn python() -> Option<&'static Path> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match MADE.get_or_init(make) {
        Ok(python) => Some(python),
        Err(why) => {
            skip(why);
            None
        }
    }
}

/// Says that a test is skipped and why, or fails it if `CI` is set.
pub(crate) fn skip(why: &str) {
    assert!(
        env::var_os("CI").is_none(),
        "{why}; with CI set this is not skipped"
    );
    // Not eprintln!, whose lines nobody sees when the test passes.
    let _ = writeln!(io::stderr(), "skipped: {why}");
}

fn make() -> Result<PathBuf, String> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tornado-venv");
    let python = home.join(PYTHON);
    if has_tornado(&python) {
        return Ok(python);
    }
    // It gets its name when it is whole: another test run may be looking, or this one may be
    // killed.
    let unfinished = home.with_extension(process::id().to_string());
    let made = fill(&unfinished).and_then(|()| {
        let _ = fs::remove_dir_all(&home);
        match fs::rename(&unfinished, &home) {
            // Another test run was faster.
            Err(_) if has_tornado(&python) => Ok(()),
            renamed => renamed.map_err(|error| format!("{}: {error}", home.display())),
        }
    });
    let _ = fs::remove_dir_all(&unfinished);
    made.map(|()| python)
}

fn fill(home: &Path) -> Result<(), String> {
    let venv = |python: &str| Command::new(python).args(["-m", "venv"]).arg(home).output();
    let venv = venv("python3")
        .or_else(|_| venv("python"))
        .map_err(|error| format!("neither python3 nor python can be started: {error}"))?;
    succeeded("Python cannot make a virtual environment", &venv)?;

    let pip = Command::new(home.join(PYTHON))
        .args(["-m", "pip", "install", "--quiet", "--retries", "1"])
        .arg(format!("tornado=={TORNADO}"))
        .output()
        .map_err(|error| format!("no Python in the virtual environment: {error}"))?;
    succeeded("Tornado cannot be installed from the package index", &pip)
}

fn succeeded(problem: &str, output: &Output) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    Err(format!(
        "{problem}: {}",
        last.unwrap_or("it does not say why")
    ))
}

fn has_tornado(python: &Path) -> bool {
    let check = format!("import sys, tornado; sys.exit(tornado.version != '{TORNADO}')");
    let mut check_it = Command::new(python);
    check_it.args(["-c", &check]).stderr(Stdio::null());
    check_it.status().is_ok_and(|status| status.success())
}
