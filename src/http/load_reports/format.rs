use std::fmt::{self, Write};

use http::HeaderValue;

use super::parts::Part;
use crate::load::LoadReport;

/// How a report is written.
///
/// # Examples
///
/// ```
/// use evenkeel::http::load_reports::Format;
/// use evenkeel::load::LoadReport;
///
/// let report = LoadReport::new().with_in_flight(7).with_cpu_utilization(0.25);
/// assert_eq!(
///     Format::Text.header_value(&report),
///     "TEXT cpu_utilization=0.25, named_metrics.in_flight=7",
/// );
/// assert_eq!(
///     Format::Json.header_value(&report),
///     r#"JSON {"cpu_utilization": 0.25, "named_metrics": {"in_flight": 7}}"#,
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `TEXT NAME=NUMBER, NAME=NUMBER`: the default, since it is read without an allocation.
    #[default]
    Text,
    /// `JSON {"NAME": NUMBER}`.
    Json,
}

impl Format {
    /// Writes a report as the value of the [header](super::HEADER).
    ///
    /// # Panics
    ///
    /// Never: it is all ASCII.
    pub fn header_value(self, report: &LoadReport) -> HeaderValue {
        // Enough for all parts of the usual sizes.
        let mut text = String::with_capacity(256);
        let written = match self {
            Self::Text => write_text(&mut text, report),
            Self::Json => write_json(&mut text, report),
        };
        debug_assert!(written.is_ok(), "a string takes it all");
        HeaderValue::try_from(text).expect("names, digits and signs")
    }
}

fn write_text(text: &mut String, report: &LoadReport) -> fmt::Result {
    text.push_str("TEXT");
    let mut before = " ";
    for (part, value) in parts_of(report) {
        write!(text, "{before}{}={value}", part.name())?;
        before = ", ";
    }
    Ok(())
}

fn write_json(text: &mut String, report: &LoadReport) -> fmt::Result {
    text.push_str("JSON {");
    let mut before = "";
    let is_metric = |(part, _): &(Part, f64)| part.metric().is_some();
    for (part, value) in parts_of(report).filter(|part| !is_metric(part)) {
        write!(text, "{before}\"{}\": {value}", part.name())?;
        before = ", ";
    }
    let mut metrics = parts_of(report).filter(is_metric).peekable();
    if metrics.peek().is_some() {
        write!(text, "{before}\"named_metrics\": {{")?;
        before = "";
        for (part, value) in metrics {
            let name = part.metric().unwrap_or_default();
            write!(text, "{before}\"{name}\": {value}")?;
            before = ", ";
        }
        text.push('}');
    }
    text.push('}');
    Ok(())
}

/// The parts that it has. No number among them is written with an exponent, or as a word.
fn parts_of(report: &LoadReport) -> impl Iterator<Item = (Part, f64)> {
    let parts = Part::ALL.into_iter();
    parts.filter_map(|part| Some((part, Part::of(report, part)?)))
}
