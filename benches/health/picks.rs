//! Picks without what comes after them.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel::Pool;
use evenkeel::picker::{Context, Selector, Update};

use super::Plan;
use super::common::measure::Case;
use super::common::pool::{Weights, pool, within};
use super::common::report::{Table, Target, figure, ratio, thousands};
use super::pickers::{Row, USUAL};
use super::variants::{Measured, Watch, measure};

pub(crate) fn compare(plan: &Plan, targets: &mut Vec<Target>) {
    let title = "The pick alone, from the pool's set: ns if health is not watched, and times as long if it is";
    let worst = table(plan, title, alone);
    let what = "the pick alone, health watched over not, most of all";
    targets.push(Target::at_most(1.05, worst, "x", what));
    let title = "Selector::select: the pick, and the request counted in, without its end";
    let worst = table(plan, title, select);
    let what = "Selector::select, health watched over not, most of all";
    targets.push(Target::at_most(1.05, worst, "x", what));
}

/// Returns the greatest ratio of the watch by default.
fn table(plan: &Plan, title: &str, case: fn(&Row, Pool<()>) -> Case) -> f64 {
    let mut table = Table::new(title, plan.sizes.map(thousands));
    let mut worst = f64::NAN;
    for row in &USUAL {
        let measured = plan.sizes.map(|size| {
            measure(plan, size, |variant| {
                let pool = pool(size, Weights::Equal, &());
                let watcher = Watch::ALL[variant].over(&pool);
                case(row, pool).keep(watcher)
            })
        });
        let over = |variant: usize| {
            let over = |one: &Measured<3>| one.samples[variant].over(&one.samples[0]);
            measured.each_ref().map(over)
        };
        let off = measured.iter().map(|one| one.samples[0].undisturbed());
        table.row(row.name, off.map(figure));
        table.row("    watched", over(1).map(ratio));
        table.row("    with latency", over(2).map(ratio));
        worst = over(1).into_iter().fold(worst, f64::max);
    }
    table.print();
    worst
}

fn alone(row: &Row, pool: Pool<()>) -> Case {
    let mut picker = (row.picker)();
    within(&pool, |set| {
        if let Some(prepared) = picker.prepare(&Update::new(set, set)) {
            picker = prepared;
        }
    });
    Case::new(move |n| {
        within(&pool, |set| {
            for request in 0..n {
                let mut cx = Context::new();
                black_box(picker.pick(black_box(set), &black_box(request), &mut cx));
            }
        });
    })
}

fn select(row: &Row, pool: Pool<()>) -> Case {
    const MANY: usize = 1 << 16;
    let selector = Selector::new(pool, Arc::clone(&(row.picker)()));
    let running = Rc::new(RefCell::new(Vec::with_capacity(MANY)));
    let started = Rc::clone(&running);
    let select = Case::new(move |n| {
        let mut started = started.borrow_mut();
        for request in 0..n {
            let selected = selector.select(&black_box(request));
            let ((), completion) = selected.expect("all are eligible");
            started.push(completion);
        }
    });
    select.clear(move || running.borrow_mut().clear())
}
