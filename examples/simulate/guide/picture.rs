use super::column::{CLIENTS, LOADS};
use super::row::Row;
use super::{FIRST_SEED, Measured};
use crate::chart::{Chart, page};
use crate::options::GuideOptions;
use crate::scale::Axis;

/// Higher ones are left out, so that the others can be told apart.
const HIGHEST: f64 = 200.0;

/// p99 by the number of clients, and by load. An SVG.
pub(super) fn of(options: &GuideOptions, all: &[&Measured]) -> String {
    let names = Row::ALL.map(Row::name);
    let loads = LOADS.len();
    let at_high_load = |client: usize| all[client * loads + 2];
    let with_many_clients = |load: usize| all[2 * loads + load];
    let of_two_speeds = |client: usize| all[CLIENTS.len() * loads + client];
    let by_clients = || {
        let ticks = CLIENTS
            .iter()
            .map(|&clients| (along_clients(clients), clients.to_string()));
        Axis::labelled("clients", ticks)
    };
    let p99 = || Axis::logarithmic("p99 in mean service times");
    let charts = [
        Chart {
            title: "Alike servers at load 0.9, by clients".to_owned(),
            x: by_clients(),
            y: p99(),
            lines: lines(&CLIENTS.map(along_clients), at_high_load),
        },
        Chart {
            title: "Alike servers with 100 clients, by load".to_owned(),
            x: Axis::labelled("load", LOADS.iter().map(|&load| (load, load.to_string()))),
            y: p99(),
            lines: lines(&LOADS, with_many_clients),
        },
        Chart {
            title:
                "Every second server twice as fast, at load 0.9, by clients (random: beyond 200)"
                    .to_owned(),
            x: by_clients(),
            y: p99(),
            lines: lines(&CLIENTS.map(along_clients), of_two_speeds),
        },
    ];
    let (requests, last) = (options.requests, FIRST_SEED + options.seeds - 1);
    page(
        "p99 of 100 servers, simulated",
        &format!("{requests} requests with each of the seeds {FIRST_SEED} to {last}: the means"),
        &names,
        &charts,
    )
}

/// Each ten times takes as much room.
fn along_clients(clients: usize) -> f64 {
    (clients as f64).log10()
}

fn lines<'a>(along: &[f64], column: impl Fn(usize) -> &'a Measured) -> Vec<Vec<(f64, f64)>> {
    let line = |row: Row| {
        let points = along.iter().enumerate();
        points
            .map(|(at, &along)| (along, column(at).mean(row)))
            .filter(|&(_, p99)| p99 < HIGHEST)
            .collect()
    };
    Row::ALL.into_iter().map(line).collect()
}
