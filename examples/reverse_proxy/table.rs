//! What the demonstration prints: a block of lines for each algorithm, as soon as it is measured.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use evenkeel::picker::Algorithm;

use crate::demo::{CLIENTS, MEMBERS, Member};

/// One request of a client.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Which of [`MEMBERS`] answered or failed, if it was one of them.
    pub(crate) backend: Option<usize>,
    pub(crate) latency: Duration,
    pub(crate) failed: bool,
}

/// What one algorithm did.
pub(crate) struct Run {
    algorithm: Algorithm,
    duration: Duration,
    all: Figures,
    members: Vec<Figures>,
}

struct Figures {
    /// Sorted, of answered requests only: a failure is often fast.
    latencies: Vec<Duration>,
    errors: usize,
}

/// The table as far as it is printed.
pub(crate) struct Table {
    runs: Vec<Run>,
}

const BAR: usize = 16;
const LINE: usize = 80;

impl Run {
    pub(crate) fn new(algorithm: Algorithm, duration: Duration, samples: &[Sample]) -> Self {
        let of = |member| {
            samples
                .iter()
                .filter(move |sample| sample.backend == Some(member))
        };
        Self {
            algorithm,
            duration,
            all: Figures::of(samples.iter()),
            members: (0..MEMBERS.len())
                .map(|member| Figures::of(of(member)))
                .collect(),
        }
    }

    fn share(&self, member: usize) -> f64 {
        self.members[member].requests() as f64 / self.all.requests().max(1) as f64
    }

    fn per_second(&self) -> f64 {
        self.all.latencies.len() as f64 / self.duration.as_secs_f64()
    }
}

impl Figures {
    fn of<'a>(samples: impl Iterator<Item = &'a Sample>) -> Self {
        let (failed, answered): (Vec<Sample>, Vec<Sample>) =
            samples.copied().partition(|sample| sample.failed);
        let mut latencies: Vec<_> = answered.iter().map(|sample| sample.latency).collect();
        latencies.sort_unstable();
        Self {
            latencies,
            errors: failed.len(),
        }
    }

    fn requests(&self) -> usize {
        self.latencies.len() + self.errors
    }

    fn percentile(&self, percent: usize) -> Millis {
        let at = self.latencies.len() * percent / 100;
        Millis(self.latencies.get(at).copied())
    }
}

/// Milliseconds, or a dash where there was no answer.
struct Millis(Option<Duration>);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(latency) => f.pad(&format!("{:.1} ms", latency.as_secs_f64() * 1e3)),
            None => f.pad("-"),
        }
    }
}

impl Table {
    /// Prints what this is and the head of the table.
    pub(crate) fn begin(proxy: SocketAddr) -> io::Result<Self> {
        let members = MEMBERS.map(|member| {
            let Member { name, weight, .. } = member;
            format!("{name} (answers after {:?}, weight {weight})", member.takes)
        });
        let mut out = io::stdout().lock();
        writeln!(out, "backends  {}", members.join("\n          "))?;
        writeln!(out, "proxy     http://{proxy}")?;
        writeln!(
            out,
            "clients   {CLIENTS}, which send their next request as soon as the last is answered\n"
        )?;
        writeln!(
            out,
            "{:22}{:8}{:22}{:>10}  {:>8}  {:>6}",
            "algorithm", "backend", "share", "p50", "p99", "errors"
        )?;
        writeln!(out, "{}", "━".repeat(LINE))?;
        Ok(Self { runs: Vec::new() })
    }

    /// Prints one algorithm's lines.
    pub(crate) fn add(&mut self, run: Run) -> io::Result<()> {
        let mut left = [
            run.algorithm.to_string(),
            format!("  {:.0} answers/s", run.per_second()),
            format!("  90 % in {}", run.all.percentile(90)),
        ]
        .into_iter();
        let mut out = io::stdout().lock();
        for (at, member) in MEMBERS.iter().enumerate() {
            let figures = &run.members[at];
            let share = run.share(at);
            writeln!(
                out,
                "{:22}{:8}{:BAR$}{:>4.0} %{:>10}  {:>8}  {:>6}",
                left.next().unwrap_or_default(),
                member.name,
                bar(share),
                share * 100.0,
                figures.percentile(50),
                figures.percentile(99),
                figures.errors,
            )?;
        }
        let unnamed = run.all.errors
            - run
                .members
                .iter()
                .map(|figures| figures.errors)
                .sum::<usize>();
        if unnamed > 0 {
            writeln!(
                out,
                "{unnamed} more requests failed before a backend had them"
            )?;
        }
        writeln!(out, "{}", "─".repeat(LINE))?;
        self.runs.push(run);
        Ok(())
    }

    /// Prints what the figures mean.
    pub(crate) fn end(&self) -> io::Result<()> {
        let slow = MEMBERS.len() - 1;
        let run = |algorithm| self.runs.iter().find(|run| run.algorithm == algorithm);
        let (Some(blind), Some(load), Some(time)) = (
            run(Algorithm::RoundRobin),
            run(Algorithm::LeastRequests),
            run(Algorithm::LeastResponseTime),
        ) else {
            return Ok(());
        };
        let gain = time.per_second() / blind.per_second();
        writeln!(
            io::stdout(),
            "
What one sees: nobody told the proxy that one backend is slow. Turns, chance and
weights never find out: under round-robin it got {:.0} % of the requests, and the
clients spent most of their time waiting for it. Pickers that look at what their
backends do find out: it got {:.0} % under least-requests and {:.0} % under
least-response-time, where the same clients had {gain:.1} times as many answers.
ordered keeps the others in reserve, which is fine as long as the first has room.",
            blind.share(slow) * 100.0,
            load.share(slow) * 100.0,
            time.share(slow) * 100.0,
        )
    }
}

fn bar(share: f64) -> String {
    "█".repeat((share * BAR as f64).round() as usize)
}
