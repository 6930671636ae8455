use std::time::Duration;

use evenkeel::sim::{Report, Scenario, ScenarioBuilder};

use crate::options::Stop;
use crate::table::percentile;

/// A table of the page.
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) columns: Vec<Column>,
}

pub(super) struct Column {
    /// Above it, in its table.
    pub(super) head: String,
    /// Of it, anywhere.
    pub(super) name: String,
    pub(super) scenario: Scenario,
    /// Whether requests get lost, of which there is a column more.
    pub(super) loses: bool,
}

pub(super) const LOADS: [f64; 4] = [0.5, 0.7, 0.9, 0.95];
pub(super) const CLIENTS: [usize; 3] = [1, 10, 100];

/// All tables of the page, in their order: the first three are W1 with one of [`CLIENTS`] each, at
/// each of [`LOADS`]; the first columns of the fourth are W2 with each of [`CLIENTS`].
pub(super) fn tables(requests: u64) -> Result<Vec<Table>, Stop> {
    let column = |name: &str, head: String, change: &dyn Fn(ScenarioBuilder) -> ScenarioBuilder| {
        let builder = Scenario::named(name).expect("it has a name");
        let scenario = change(builder).requests(requests).build();
        let scenario = scenario.map_err(|error| Stop::BadArgument(error.to_string()))?;
        Ok::<_, Stop>(Column {
            name: format!("`{name}`"),
            head,
            scenario,
            loses: matches!(name, "failing" | "hanging"),
        })
    };
    let mut tables = Vec::new();
    for (clients, title) in CLIENTS.into_iter().zip([
        "`w1`, alike servers, **1 client**, by load",
        "`w1`, alike servers, **10 clients**, by load",
        "`w1`, alike servers, **100 clients**, by load",
    ]) {
        let columns = LOADS.map(|load| {
            let change = |w1: ScenarioBuilder| w1.load(load).clients(clients);
            let mut column = column("w1", load.to_string(), &change)?;
            column.name = format!("`w1`, {}, load {load}", count(clients));
            Ok(column)
        });
        let columns = columns.into_iter().collect::<Result<_, Stop>>()?;
        tables.push(Table { title, columns });
    }
    let mut columns = Vec::new();
    for clients in CLIENTS {
        let head = format!("`w2`, {}", count(clients));
        columns.push(column("w2", head, &|w2| w2.clients(clients))?);
    }
    for load in [0.7, 0.9] {
        let head = format!("`w6`, load {load}");
        columns.push(column("w6", head, &|w6| w6.load(load))?);
    }
    tables.push(Table {
        title: "`w2`, every second server twice as fast, at load 0.9; `w6`, Prequal's testbed, 100 clients",
        columns,
    });
    let mut columns = Vec::new();
    for delay in [1, 5, 20] {
        let head = format!("`w7`, {delay} ms");
        let delay = Duration::from_millis(delay);
        columns.push(column("w7", head, &|w7| w7.network_delay(delay))?);
    }
    for name in ["disturbed", "bursts", "heavy-tail"] {
        columns.push(column(name, format!("`{name}`"), &|same| same)?);
    }
    tables.push(Table {
        title: "`w7`, 100 clients behind a network, at load 0.9, by its delay one way; servers that are slow now and then; bursts; a heavy tail",
        columns,
    });
    let mut columns = Vec::new();
    for name in ["step", "rolling", "failing"] {
        columns.push(column(name, format!("`{name}`"), &|same| same)?);
    }
    // A 50th of so short a run is less than the timeout.
    let longer = |hanging: ScenarioBuilder| hanging.hanging(0.52, 0.6, [0]);
    let head = "`hanging`, for a tenth of the time".to_owned();
    columns.push(column("hanging", head, &longer)?);
    tables.push(Table {
        title: "One server becomes slow; servers restart; five fail half of their requests; one hangs",
        columns,
    });
    for column in tables[3..].iter_mut().flat_map(|table| &mut table.columns) {
        column.name.clone_from(&column.head);
    }
    Ok(tables)
}

fn count(clients: usize) -> String {
    match clients {
        1 => "1 client".to_owned(),
        clients => format!("{clients} clients"),
    }
}

/// In mean service times.
pub(super) fn p99(scenario: &Scenario, report: &Report) -> f64 {
    percentile(scenario, report, 99.0)
}

/// The requests that failed or timed out, in percent.
pub(super) fn lost(report: &Report) -> f64 {
    let lost = report.failures() + report.timeouts() + report.unserved();
    100.0 * lost as f64 / report.requests() as f64
}
