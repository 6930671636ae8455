use super::MAX_ENTRIES;
use super::invalid::Problem;
use super::parts::{Part, Parts, Refused};
use crate::load::LoadReport;

/// Parses `NAME=NUMBER, NAME=NUMBER`; an empty list is an empty report.
pub(super) fn parse(list: &str) -> Result<LoadReport, Problem<'_>> {
    let mut parts = Parts::default();
    if list.trim_ascii().is_empty() {
        return Ok(parts.report());
    }
    for (at, entry) in list.split(',').enumerate() {
        if at == MAX_ENTRIES {
            return Err(Problem::TooMany);
        }
        let pair = entry.split_once(['=', ':']);
        let pair = pair.map(|(name, value)| (name.trim_ascii(), value.trim_ascii()));
        let Some((name, value)) =
            pair.filter(|(name, value)| !name.is_empty() && !value.is_empty())
        else {
            return Err(Problem::no_entry(entry.trim_ascii()));
        };
        let Some(part) = Part::ALL.into_iter().find(|part| part.name() == name) else {
            continue;
        };
        let put = match value.parse() {
            Ok(number) => parts.put(part, number),
            Err(_) => Err(Refused::NoLoad),
        };
        put.map_err(|refused| match refused {
            Refused::Twice => Problem::Twice(part.name()),
            Refused::NoLoad => Problem::no_load(part.name(), value),
        })?;
    }
    Ok(parts.report())
}
