use std::borrow::Cow;

use serde_json::{Map, Value};

use super::MAX_ENTRIES;
use super::invalid::Problem;
use super::parts::{Part, Parts, Refused};
use crate::load::LoadReport;

/// Parses an `OrcaLoadReport` as protobuf writes it in JSON.
pub(super) fn parse(text: &str) -> Result<LoadReport, Problem<'_>> {
    let value = serde_json::from_str(text);
    let Value::Object(entries) = value.map_err(|error| Problem::NoJson(error.to_string()))? else {
        return Err(Problem::NoObject("JSON of something else"));
    };
    let mut parts = Parts::default();
    let mut named = 0;
    put_all(&mut parts, &entries, top_level)?;
    for metrics in ["named_metrics", "namedMetrics"] {
        match entries.get(metrics) {
            None => {}
            Some(Value::Object(metrics)) => {
                named += metrics.len();
                put_all(&mut parts, metrics, metric)?;
            }
            Some(_) => return Err(Problem::NoObject("named_metrics of something else")),
        }
    }
    if entries.len() + named > MAX_ENTRIES {
        return Err(Problem::TooMany);
    }
    Ok(parts.report())
}

fn put_all(
    parts: &mut Parts,
    entries: &Map<String, Value>,
    part_of: fn(&str) -> Option<Part>,
) -> Result<(), Problem<'static>> {
    for (name, value) in entries {
        let Some(part) = part_of(name) else {
            continue;
        };
        let put = match value.as_f64() {
            Some(number) => parts.put(part, number),
            None => Err(Refused::NoLoad),
        };
        put.map_err(|refused| match refused {
            Refused::Twice => Problem::Twice(part.name()),
            Refused::NoLoad => {
                let given = value.to_string();
                let given = given.chars().take(40).collect();
                let given = Cow::Owned(given);
                let name = part.name();
                Problem::NoLoad { name, given }
            }
        })?;
    }
    Ok(())
}

fn top_level(name: &str) -> Option<Part> {
    let name = match name {
        "applicationUtilization" => "application_utilization",
        "cpuUtilization" => "cpu_utilization",
        "memUtilization" => "mem_utilization",
        "rpsFractional" => "rps_fractional",
        name => name,
    };
    let mut parts = Part::ALL.into_iter();
    parts.find(|part| part.metric().is_none() && part.name() == name)
}

fn metric(name: &str) -> Option<Part> {
    Part::ALL
        .into_iter()
        .find(|part| part.metric() == Some(name))
}
