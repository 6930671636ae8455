//! A pool's status as a table for people.

use std::fmt::{self, Write};
use std::time::{Duration, Instant};

use super::PoolStatus;
use crate::backend::BackendInfo;

const HEAD: [&str; 10] = [
    "backend",
    "state",
    "weight",
    "in flight",
    "p50",
    "p90",
    "p99",
    "requests",
    "failed",
    "why",
];

/// These are words; numbers stand on the right.
const WORDS: [usize; 3] = [0, 1, 9];

/// Longer ids are cut, so that one does not push all others aside.
const LONGEST: usize = 40;

/// Writes a line for each backend, each after the end of the line before.
pub(super) fn write(f: &mut fmt::Formatter<'_>, status: &PoolStatus) -> fmt::Result {
    let rows: Vec<[String; HEAD.len()]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(
            status
                .backends()
                .iter()
                .map(|backend| row(backend, status.at)),
        )
        .collect();
    let widths: [usize; HEAD.len()] = std::array::from_fn(|column| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    });
    for source in status.sources() {
        write!(f, "\nsource {source}")?;
    }
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            if WORDS.contains(&column) {
                write!(line, "{gap}{cell:<width$}")?;
            } else {
                write!(line, "{gap}{cell:>width$}")?;
            }
        }
        write!(f, "\n{}", line.trim_end())?;
    }
    Ok(())
}

fn row(backend: &BackendInfo, now: Instant) -> [String; HEAD.len()] {
    let counts = backend.counts();
    let percentile = |part| {
        let latency = backend.latency_percentile(part);
        latency.map_or_else(|| "-".to_owned(), short)
    };
    let mut state = backend.state().to_string();
    if let Some(until) = backend.until() {
        let left = until.saturating_duration_since(now).as_secs_f64();
        let _ = write!(state, " {left:.0} s");
    } else if backend.is_eligible() && backend.share() < 1.0 {
        let _ = write!(state, " {:.0} %", backend.share() * 100.0);
    }
    let mut in_flight = backend.in_flight().to_string();
    if let Some(max) = backend.max_in_flight() {
        let _ = write!(in_flight, "/{max}");
    }
    [
        clean(backend.id()),
        state,
        backend.weight().to_string(),
        in_flight,
        percentile(0.5),
        percentile(0.9),
        percentile(0.99),
        counts.total().to_string(),
        counts.failures().to_string(),
        backend
            .why()
            .map(|why| clean_why(&why.to_string()))
            .unwrap_or_default(),
    ]
}

/// In three or so digits: what is measured is no more exact.
fn short(latency: Duration) -> String {
    let seconds = latency.as_secs_f64();
    let (number, unit) = match seconds {
        ..1e-3 => (seconds * 1e6, "us"),
        1e-3..1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let digits = usize::from(number < 9.95);
    format!("{number:.digits$} {unit}")
}

/// Ids come from elsewhere, and must not move a terminal's cursor.
fn clean(text: &str) -> String {
    let mut clean = clean_why(text);
    if let Some((at, _)) = clean.char_indices().nth(LONGEST) {
        clean.truncate(at);
        clean.push('…');
    }
    clean
}

fn clean_why(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;
    use crate::{Backend, Pool};

    #[test]
    fn a_latency_is_short_and_has_its_unit() {
        for (nanos, expected) in [
            (500, "0.5 us"),
            (12_345, "12 us"),
            (1_500_000, "1.5 ms"),
            (250_000_000, "250 ms"),
            (1_250_000_000, "1.2 s"),
            (61_000_000_000, "61 s"),
        ] {
            assert_eq!(short(Duration::from_nanos(nanos)), expected);
        }
    }

    #[test]
    fn columns_are_aligned_and_no_id_breaks_them() {
        let long = "long".repeat(20);
        let ids = ["a", "tab\tnewline\n\u{1b}[2J", &long];
        let pool: Pool<()> = ids.iter().map(|&id| Backend::new(id, ())).collect();
        pool.drain("a");
        let table = format!("{:#}", pool.status());
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 5, "{table}");
        assert_eq!(lines[0], "3 backends: 2 healthy, 1 draining");
        let at = |line: &str, word: &str| {
            let at = line.find(word).expect(line);
            line[..at].chars().count()
        };
        let state = at(lines[1], "state");
        assert_eq!(at(lines[2], "draining"), state, "{table}");
        assert_eq!(at(lines[3], "healthy"), state, "{table}");
        assert_eq!(at(lines[4], "healthy"), state, "{table}");
        assert!(!table.contains('\u{1b}') && !table.contains('\t'));
    }
}
