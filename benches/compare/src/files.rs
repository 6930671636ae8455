//! Results as Markdown, and as a line of JSON for each figure.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::contestants;
use crate::picture;
use crate::results::{Results, Section};

/// Writes `results.md`, `results.svg` and `results.jsonl` into a folder.
///
/// # Errors
///
/// Where that is not possible.
pub(crate) fn write(results: &Results, folder: &Path) -> Result<()> {
    let files = [
        ("results.md", markdown(results)),
        ("results.svg", picture::draw(results)),
        ("results.jsonl", lines(results)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    }
    Ok(())
}

fn markdown(results: &Results) -> String {
    let mut text = String::from("# evenkeel beside nginx, HAProxy and Envoy\n\n");
    for line in &results.about {
        let _ = writeln!(text, "- {line}");
    }
    text.push_str(
        "\nFigures are medians over rounds, with their 95 % interval where there are six rounds or more\n\
         and from the smallest to the largest where there are fewer.\n\n![the same as bars](results.svg)\n",
    );
    for section in &results.sections {
        let _ = write!(text, "\n{}", self::section(section));
    }
    text.push_str("\n## Settings\n\n");
    for about in contestants::ABOUT {
        let _ = writeln!(text, "- {about}");
    }
    text
}

/// A section as Markdown; it also reads well in a terminal.
pub(crate) fn section(section: &Section) -> String {
    let mut text = format!("## ({}) {}\n\n", section.id, section.title);
    if !section.rows.is_empty() {
        let _ = writeln!(text, "{}\n\n{}", section.how, table(section));
    }
    for verdict in &section.verdicts {
        let _ = writeln!(text, "- {verdict}");
    }
    for note in &section.notes {
        let _ = writeln!(text, "- {note}");
    }
    text
}

fn table(section: &Section) -> String {
    let mut head = vec!["proxy".to_owned(), "setting".to_owned()];
    head.extend(section.columns.iter().map(|column| column.head()));
    let mut lines = vec![head];
    for row in &section.rows {
        let mut line = vec![row.name.to_owned(), row.setting.to_owned()];
        for (figure, column) in row.figures.iter().zip(&section.columns) {
            line.push(figure.map_or_else(|| "-".into(), |spread| column.unit.spread(spread)));
        }
        lines.push(line);
    }
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|at| {
            lines
                .iter()
                .map(|line| line[at].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();

    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        for (cell, &width) in line.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if at == 0 {
            for (column, &width) in widths.iter().enumerate() {
                let right = if column > 1 { ":" } else { "-" };
                let _ = write!(text, "| {}{right} ", "-".repeat(width - 1));
            }
            text.push_str("|\n");
        }
    }
    text
}

fn lines(results: &Results) -> String {
    let mut text = String::new();
    for section in &results.sections {
        for row in &section.rows {
            for (figure, column) in row.figures.iter().zip(&section.columns) {
                let Some(spread) = figure else { continue };
                let line = json!({
                    "part": section.id, "title": section.title, "proxy": row.name, "setting": row.setting,
                    "what": column.name, "unit": column.unit.symbol(),
                    "median": spread.median, "low": spread.low, "high": spread.high,
                });
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}
