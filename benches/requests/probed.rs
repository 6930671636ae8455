//! `Prequal` with a full pool, which answers of 100 backends keep full: three for each pick.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel::backend::{Event, Observation};
use evenkeel::load::LoadReport;
use evenkeel::picker::{Context, Picker, Prequal, Update};

use super::Plan;
use super::common::measure::{Case, Samples, interleave};
use super::common::pool::{Weights, pool, within};
use super::common::report::{Table, Target, figure};
use super::common::services::NoOp;

const BACKENDS: usize = 100;
const ANSWERS: u64 = 3;

#[derive(Clone, Copy, PartialEq)]
enum Pick {
    No,
    AtOneTime,
    /// And names whom to probe.
    WithProbes,
}

pub(crate) fn alone(plan: &Plan, targets: &mut Vec<Target>) {
    let kinds = [Pick::No, Pick::AtOneTime, Pick::WithProbes];
    let mut cases = kinds.map(case);
    let samples = interleave(&mut cases, &plan.effort);
    let nanos = samples.iter().map(Samples::undisturbed);
    let nanos: Vec<f64> = nanos.collect();
    let mut table = Table::new(
        "Prequal, 100 backends, 3 answers for each pick: ns",
        ["ns".to_owned()],
    );
    table.row("one answer", [figure(nanos[0] / ANSWERS as f64)]);
    table.row("one pick", [figure(nanos[1] - nanos[0])]);
    table.row("and it names 3 to probe", [figure(nanos[2] - nanos[0])]);
    table.print();
    let pick = nanos[1] - nanos[0];
    targets.push(Target::at_most(120.0, pick, "ns", "prequal, the pick"));
}

fn case(pick: Pick) -> Case {
    let pool = pool(BACKENDS, Weights::Equal, &NoOp);
    let mut picker: Arc<dyn Picker<u64>> = Arc::new(Prequal::new());
    within(&pool, |set| {
        if let Some(prepared) = picker.prepare(&Update::new(set, set)) {
            picker = prepared;
        }
    });
    // All at one time, so that no answer grows old.
    let now = Instant::now();
    let mut random = fastrand::Rng::with_seed(1);
    let loads: Vec<_> = (0..1024)
        .map(|_| {
            let latency = Duration::from_micros(random.u64(100..9_000));
            let load = LoadReport::new()
                .with_in_flight(random.u32(..9))
                .with_latency(latency);
            (
                random.usize(..BACKENDS),
                Observation::new(now, Event::Probed(load)),
            )
        })
        .collect();
    let mut next = 0;
    Case::new(move |n| {
        within(&pool, |set| {
            for request in 0..n {
                for _ in 0..ANSWERS {
                    next = (next + 1) % loads.len();
                    let (rank, answer) = &loads[next];
                    picker.observe(set.handle(*rank), black_box(answer));
                }
                let mut cx = match pick {
                    Pick::No => continue,
                    Pick::AtOneTime => Context::new().at(now),
                    Pick::WithProbes => Context::new().at(now).with_probes(),
                };
                black_box(picker.pick(black_box(set), &black_box(request), &mut cx));
                black_box(&cx);
            }
        });
    })
}
