//! Charts of lines, below each other, as an SVG.

use std::fmt::Write;

use crate::scale::{Axis, Scale};

/// Points, from left to right.
pub(crate) type Line = Vec<(f64, f64)>;

pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

const WIDTH: f64 = 1100.0;
const HEAD: f64 = 70.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 790.0;
const CHART: f64 = 330.0;
/// Of a chart, below its title, and above what stands below.
const TOP: f64 = 30.0;
const BOTTOM: f64 = 270.0;

/// Colours that are told apart with any eyes (Okabe and Ito).
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8b5a2b",
];
/// Every second line has gaps, through which another can be seen that is the same. When the colours
/// come again, no line looks like the one that had its colour before.
const DASHES: [[&str; 2]; 2] = [["none", "8 5"], ["2 3", "none"]];

fn stroke(line: usize) -> String {
    let dashes = DASHES[line / COLOURS.len() % 2][line % 2];
    let colour = COLOURS[line % COLOURS.len()];
    format!(r#"stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}" fill="none""#)
}

/// All of it, with one legend.
pub(crate) fn page(heading: &str, about: &str, names: &[String], charts: &[Chart]) -> String {
    let legend = HEAD + TOP + 22.0 * names.len() as f64 + 40.0;
    let height = (HEAD + CHART * charts.len() as f64 + 10.0).max(legend);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#222" style="max-width:100%;height:auto">
<rect width="100%" height="100%" fill="white"/>
<text x="{LEFT}" y="30" font-size="19" font-weight="bold">{heading}</text>
<text x="{LEFT}" y="52" fill="#555">{about}</text>
"##
    );
    for (line, name) in names.iter().enumerate() {
        let y = HEAD + TOP + 10.0 + 22.0 * line as f64;
        let (from, to, text) = (RIGHT + 24.0, RIGHT + 58.0, RIGHT + 66.0);
        let stroke = stroke(line);
        let _ = writeln!(
            svg,
            r#"<path d="M{from} {y}H{to}" {stroke}/><text x="{text}" y="{}">{name}</text>"#,
            y + 4.5
        );
    }
    for (at, chart) in charts.iter().enumerate() {
        let top = HEAD + CHART * at as f64;
        let _ = writeln!(svg, r#"<g transform="translate(0 {top})">"#);
        chart.draw(&mut svg);
        svg += "</g>\n";
    }
    svg += "</svg>\n";
    svg
}

impl Chart {
    fn draw(&self, svg: &mut String) {
        let points = || self.lines.iter().flatten();
        let x = Scale::new(&self.x, points().map(|point| point.0), LEFT, RIGHT);
        let y = Scale::new(&self.y, points().map(|point| point.1), BOTTOM, TOP);
        let middle = f64::midpoint(LEFT, RIGHT);
        let _ = writeln!(
            svg,
            r##"<text x="{LEFT}" y="18" font-size="15" font-weight="bold">{}</text>
<text x="{middle}" y="{}" text-anchor="middle" fill="#555">{}</text>
<text transform="translate(24 {}) rotate(-90)" text-anchor="middle" fill="#555">{}</text>"##,
            self.title,
            BOTTOM + 38.0,
            self.x.label,
            f64::midpoint(TOP, BOTTOM),
            self.y.label,
        );
        for (at, label) in &y.ticks {
            let _ = writeln!(
                svg,
                r##"<path d="M{LEFT} {at:.1}H{RIGHT}" stroke="#ddd"/><text x="{}" y="{:.1}" text-anchor="end">{label}</text>"##,
                LEFT - 8.0,
                at + 4.5
            );
        }
        for (at, label) in &x.ticks {
            let _ = writeln!(
                svg,
                r##"<path d="M{at:.1} {BOTTOM}v5" stroke="#555"/><text x="{at:.1}" y="{}" text-anchor="middle">{label}</text>"##,
                BOTTOM + 19.0
            );
        }
        let _ = writeln!(
            svg,
            r##"<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" stroke="#555" fill="none"/>"##
        );
        for (number, line) in self.lines.iter().enumerate() {
            let mut path = String::new();
            for (at, &(along, up)) in line.iter().enumerate() {
                let step = if at == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{step}{:.1} {:.1}", x.place(along), y.place(up));
            }
            let _ = writeln!(svg, r#"<path d="{path}" {}/>"#, stroke(number));
        }
    }
}
