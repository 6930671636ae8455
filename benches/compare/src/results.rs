//! What was measured, in a form that table, picture and files are made of.

use std::fmt;

use crate::contestants::Contestant;
use crate::statistics::Spread;

/// All of one run.
pub(crate) struct Results {
    /// Lines on when, where and how.
    pub(crate) about: Vec<String>,
    pub(crate) sections: Vec<Section>,
}

/// One part, or a piece of one.
pub(crate) struct Section {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) how: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    pub(crate) verdicts: Vec<Verdict>,
    /// What is missing and why, and what is to be kept in mind.
    pub(crate) notes: Vec<String>,
    /// Whether it could not be measured, which a note explains.
    pub(crate) failed: bool,
    /// The columns that have a place in the picture.
    pub(crate) drawn: Vec<usize>,
}

#[derive(Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    Count,
    PerSecond,
    Micros,
    Millis,
    Ratio,
    Mib,
    Kib,
    /// Of a hundred.
    Points,
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) setting: &'static str,
    pub(crate) ours: bool,
    /// One for each column; `None` where it means nothing.
    pub(crate) figures: Vec<Option<Spread>>,
}

/// A target, and whether it is met.
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) at_most: f64,
    pub(crate) unit: Unit,
    /// Aimed at, but not promised.
    pub(crate) goal: bool,
}

impl Section {
    pub(crate) fn new(
        id: &'static str,
        title: &'static str,
        columns: &[(&'static str, Unit)],
    ) -> Self {
        let columns = columns.iter().map(|&(name, unit)| Column { name, unit });
        Self {
            id,
            title,
            how: String::new(),
            columns: columns.collect(),
            rows: Vec::new(),
            verdicts: Vec::new(),
            notes: Vec::new(),
            failed: false,
            drawn: vec![0],
        }
    }

    pub(crate) fn row(&mut self, contestant: Contestant, figures: Vec<Option<Spread>>) {
        self.rows.push(Row {
            name: contestant.name(),
            setting: contestant.setting(),
            ours: contestant.is_ours(),
            figures,
        });
    }

    pub(crate) fn skipped(&mut self, contestant: Contestant, why: &str) {
        let (name, setting) = (contestant.name(), contestant.setting());
        self.notes
            .push(format!("{name} ({setting}): skipped, {why}"));
    }

    /// The row with the smallest median in a column, of those that `like` accepts.
    pub(crate) fn best(&self, column: usize, like: impl Fn(&Row) -> bool) -> Option<(&Row, f64)> {
        let rows = self.rows.iter().filter(|row| like(row));
        let medians = rows.filter_map(|row| Some((row, row.figures[column]?.median)));
        medians.min_by(|(_, one), (_, other)| one.total_cmp(other))
    }
}

impl Verdict {
    /// That no request fails under any of our pickers.
    pub(crate) fn none_failed(section: &Section, column: usize) -> Option<Self> {
        let ours = section.rows.iter().filter(|row| row.ours);
        let failed = ours.filter_map(|row| Some(row.figures[column]?.median));
        let worst = failed.max_by(f64::total_cmp)?;
        Some(Self {
            what: "failed requests, evenkeel's worst picker,".to_owned(),
            measured: worst,
            at_most: 0.0,
            unit: Unit::Count,
            goal: false,
        })
    }

    pub(crate) fn met(&self) -> bool {
        self.measured <= self.at_most
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match (self.goal, self.met()) {
            (false, true) => "target met",
            (false, false) => "TARGET MISSED",
            (true, true) => "goal met",
            (true, false) => "goal missed",
        };
        let (measured, most) = (self.unit.show(self.measured), self.unit.show(self.at_most));
        write!(f, "{kind}: {} {measured}, at most {most}", self.what)
    }
}

impl Unit {
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Count | Self::PerSecond => thousands(value),
            Self::Ratio => format!("{value:.3}"),
            Self::Points => format!("{value:.2}"),
            _ if value < 10.0 => format!("{value:.2}"),
            _ if value < 100.0 => format!("{value:.1}"),
            _ => thousands(value),
        }
    }

    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Count | Self::Ratio => "",
            Self::PerSecond => "1/s",
            Self::Micros => "µs",
            Self::Millis => "ms",
            Self::Mib => "MiB",
            Self::Kib => "KiB",
            Self::Points => "%",
        }
    }

    /// A median, with what is around it where that shows.
    pub(crate) fn spread(self, spread: Spread) -> String {
        let [median, low, high] = [spread.median, spread.low, spread.high].map(|x| self.show(x));
        if low == high {
            median
        } else {
            format!("{median} [{low}, {high}]")
        }
    }
}

impl Column {
    pub(crate) fn head(self) -> String {
        match self.unit.symbol() {
            "" => self.name.to_owned(),
            symbol => format!("{}, {symbol}", self.name),
        }
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
