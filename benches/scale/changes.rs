//! How long changes take, from the call until every picker has what follows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel::picker::{LeastRequests, Selector};
use evenkeel::{Backend, Picker, Pool};

use super::common::report::Table;
use super::{Plan, ids, pool};

type Change = fn(&Pool<()>, &[Arc<str>], usize);

const CHANGES: [(&str, Change); 7] = [
    ("all, and nothing is another", |pool, ids, _| {
        pool.replace_all(ids.iter().map(|id| Backend::new(Arc::clone(id), ())));
    }),
    ("all, each with another weight", |pool, ids, time| {
        let weight = 1 + time as u32 % 2;
        let backend = |id| Backend::new(Arc::clone(id), ()).weight(weight);
        pool.replace_all(ids.iter().map(backend));
    }),
    ("all, by half as many others", |pool, ids, time| {
        let half = ids.chunks(ids.len().div_ceil(2)).nth(time % 2);
        let half = half.unwrap_or(ids).iter();
        pool.replace_all(half.map(|id| Backend::new(Arc::clone(id), ())));
    }),
    ("a hundred leave, or come back", |pool, ids, time| {
        let some = hundred(ids, time / 2);
        pool.edit(|edit| {
            for id in some {
                if time.is_multiple_of(2) {
                    edit.remove(id);
                } else {
                    edit.insert(Backend::new(Arc::clone(id), ()));
                }
            }
        });
    }),
    ("a hundred have other weights", |pool, ids, time| {
        let some = hundred(ids, time);
        pool.edit(|edit| some.for_each(|id| edit.set_weight(id, 2 + time as u32 % 2)));
    }),
    ("one has another weight", |pool, ids, time| {
        pool.set_weight(&ids[at(ids, time)], 2 + time as u32 % 2);
    }),
    ("one is drained", |pool, ids, time| {
        pool.drain(&ids[at(ids, time)]);
    }),
];

/// All over the pool.
pub(super) fn at(ids: &[Arc<str>], number: usize) -> usize {
    number * 7919 % ids.len()
}

pub(super) fn hundred(ids: &[Arc<str>], time: usize) -> impl Iterator<Item = &Arc<str>> {
    (0..100).map(move |number| &ids[at(ids, time * 100 + number)])
}

pub(crate) fn measure(plan: &Plan) {
    let ids = ids(plan.backends);
    let title =
        "Milliseconds for a change of the pool, with least_requests over it: median, greatest";
    let mut table = Table::new(title, ["median", "greatest"].map(str::to_owned));
    for (name, change) in CHANGES {
        let pool = pool(&ids, false);
        let selector = Selector::<_, str>::new(pool.clone(), LeastRequests::new());
        let mut times: Vec<Duration> = (0..plan.times)
            .map(|time| {
                let start = Instant::now();
                change(&pool, &ids, time);
                start.elapsed()
            })
            .collect();
        assert!(selector.select("").is_ok());
        times.sort_unstable();
        let figures = [times[times.len() / 2], times[times.len() - 1]];
        let milliseconds = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e3);
        table.row(name, figures.map(milliseconds));
    }
    table.print();
}

/// A picker by its name, for those who compare some.
pub(super) fn over(pool: &Pool<()>, picker: impl Picker<str> + 'static) -> Selector<(), str> {
    Selector::new(pool.clone(), picker)
}
