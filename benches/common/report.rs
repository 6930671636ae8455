//! Tables and verdicts.

use std::fmt;

/// Rows of figures under the same columns.
pub(crate) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
}

/// A figure that has to be reached, or that is aimed at.
pub(crate) struct Target {
    what: String,
    figure: f64,
    unit: &'static str,
    bound: Bound,
    goal: bool,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Table {
    pub(crate) fn new(title: &str, columns: impl IntoIterator<Item = String>) -> Self {
        Self {
            title: title.to_owned(),
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, name: &str, figures: impl IntoIterator<Item = String>) {
        let figures = figures.into_iter().collect();
        self.rows.push((name.to_owned(), figures));
    }

    pub(crate) fn print(&self) {
        println!("\n{}\n\n{self}", self.title);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:36}", "")?;
        for column in &self.columns {
            write!(f, " {column:>11}")?;
        }
        for (name, figures) in &self.rows {
            write!(f, "\n{name:36}")?;
            for figure in figures {
                write!(f, " {figure:>11}")?;
            }
        }
        writeln!(f)
    }
}

impl Target {
    pub(crate) fn at_most(most: f64, figure: f64, unit: &'static str, what: &str) -> Self {
        Self {
            what: what.to_owned(),
            figure,
            unit,
            bound: Bound::AtMost(most),
            goal: false,
        }
    }

    pub(crate) fn at_least(least: f64, figure: f64, unit: &'static str, what: &str) -> Self {
        Self {
            bound: Bound::AtLeast(least),
            ..Self::at_most(0.0, figure, unit, what)
        }
    }

    /// What is aimed at, beyond what has to be reached.
    pub(crate) fn goal(self) -> Self {
        Self { goal: true, ..self }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (most, bound, misses_by) = match self.bound {
            Bound::AtMost(bound) => ("most", bound, self.figure - bound),
            Bound::AtLeast(bound) => ("least", bound, bound - self.figure),
        };
        let kind = if self.goal { "goal" } else { "target" };
        let verdict = match misses_by {
            by if by.is_nan() => "not measured".to_owned(),
            by if by > 0.0 => format!("missed by {}", ratio(by)),
            _ => "met".to_owned(),
        };
        write!(f, "{:66} {:>9.2} {:2}", self.what, self.figure, self.unit)?;
        write!(f, "  {kind:>6}: at {most:5} {bound:>5}  {verdict}")
    }
}

/// Writes 10000 as 10,000.
pub(crate) fn thousands(n: usize) -> String {
    match n {
        0..1_000 => n.to_string(),
        _ => format!("{},{:03}", n / 1_000, n % 1_000),
    }
}

/// Writes a duration in nanoseconds, or another figure of that size.
pub(crate) fn figure(nanos: f64) -> String {
    rounded(nanos, usize::from(nanos < 100.0))
}

/// Writes a ratio, or another small figure.
pub(crate) fn ratio(ratio: f64) -> String {
    rounded(ratio, 2)
}

/// Writes a figure; `-` if there is none.
pub(crate) fn rounded(figure: f64, decimals: usize) -> String {
    if figure.is_nan() {
        return "-".to_owned();
    }
    format!("{figure:.decimals$}")
}
