//! Results as bars.

use std::fmt::Write;

use crate::results::{Results, Row, Section, Unit};

const WIDTH: usize = 860;
const LABELS: usize = 380;
const BARS: usize = 360;
const LINE: usize = 20;
const HEAD: usize = 40;

/// Draws a block of bars for each column that has a place in the picture. Shorter is better
/// everywhere but where the title says a rate.
pub(crate) fn draw(results: &Results) -> String {
    let mut bars = String::new();
    let mut y = 10;
    for section in &results.sections {
        for &column in &section.drawn {
            y = block(&mut bars, y, section, column);
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
         viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{bars}</svg>\n"
    )
}

/// Returns where the next one begins.
fn block(bars: &mut String, y: usize, section: &Section, at: usize) -> usize {
    let column = section.columns[at];
    let title = format!("({}) {}: {}", section.id, section.title, column.head());
    text(bars, 10, y + 22, "start", "font-weight=\"bold\"", &title);
    let medians = section.rows.iter().filter_map(|row| row.figures[at]);
    let most = medians.map(|spread| spread.median).fold(0.0, f64::max);
    let mut y = y + HEAD;
    for row in &section.rows {
        if let Some(spread) = row.figures[at] {
            bar(bars, y, row, (spread.median, most), column.unit);
            y += LINE;
        }
    }
    y + 10
}

fn bar(bars: &mut String, y: usize, row: &Row, (value, most): (f64, f64), unit: Unit) {
    let share = if most > 0.0 { value / most } else { 0.0 };
    let width = (share * BARS as f64).max(1.0);
    let color = match row.name {
        "evenkeel" => "#0b6e99",
        "floor" => "#b8c4cc",
        _ => "#8a8f98",
    };
    let _ = writeln!(
        bars,
        "<rect x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{color}\"/>",
        LINE - 5
    );
    let label = format!("{}, {}", row.name, row.setting);
    text(bars, LABELS - 8, y + 12, "end", "", &label);
    let shown = format!("{} {}", unit.show(value), unit.symbol());
    text(
        bars,
        LABELS + width as usize + 6,
        y + 12,
        "start",
        "",
        &shown,
    );
}

fn text(bars: &mut String, x: usize, y: usize, anchor: &str, more: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        bars,
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" {more}>{}</text>",
        words.trim()
    );
}
