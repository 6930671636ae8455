//! Picks through this crate.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;

use evenkeel::backend::Outcome;
use evenkeel::picker::hash::{Key, Keyed, Table, key_of};
use evenkeel::picker::{Context, Picker, Selector, Update};
use evenkeel::{Backend, Pool};

use super::common::measure::Case;
use super::common::pool::within;
use super::{Bytes, What, address, keys};

/// The bytes of the request, which pingora is given as they are.
pub(crate) fn key() -> impl Key<Bytes> + 'static {
    key_of(|bytes: &Bytes| Some(bytes.as_slice().into()))
}

pub(crate) fn case(what: What, size: usize, picker: impl Picker<Bytes> + 'static) -> Case {
    match what {
        What::Select => select(size, picker),
        What::PickAlone => pick_alone(size, picker),
    }
}

fn select(size: usize, picker: impl Picker<Bytes> + 'static) -> Case {
    let selector = Selector::new(pool(size), picker);
    let mut keys = keys();
    Case::new(move |n| {
        for key in keys.by_ref().take(n as usize) {
            let selected = black_box(&selector).select(black_box(&key));
            let (address, completion) = selected.expect("all can be picked");
            black_box(address);
            completion.finish(Outcome::Success);
        }
    })
}

fn pick_alone(size: usize, picker: impl Picker<Bytes> + 'static) -> Case {
    let pool = pool(size);
    let picker = prepared(&pool, picker);
    let mut keys = keys();
    Case::new(move |n| {
        within(&pool, |set| {
            for key in keys.by_ref().take(n as usize) {
                let set = black_box(set);
                let rank = picker.pick(set, black_box(&key), &mut Context::new());
                black_box(rank.map(|rank| set.id(rank)));
            }
        });
    })
}

/// The addresses that the first keys belong to.
pub(crate) fn owners(size: usize, table: impl Table, count: usize) -> Vec<String> {
    let pool = pool(size);
    let picker = prepared(&pool, Keyed::new(table, key()));
    let mut owners = Vec::new();
    within(&pool, |set| {
        let picks = keys().take(count).map(|key| {
            let rank = picker.pick(set, &key, &mut Context::new());
            set.id(rank.expect("all can be picked")).to_owned()
        });
        owners.extend(picks);
    });
    owners
}

fn prepared(
    pool: &Pool<SocketAddr>,
    picker: impl Picker<Bytes> + 'static,
) -> Arc<dyn Picker<Bytes>> {
    let mut prepared: Arc<dyn Picker<Bytes>> = Arc::new(picker);
    within(pool, |set| {
        if let Some(better) = prepared.prepare(&Update::new(set, set)) {
            prepared = better;
        }
    });
    prepared
}

fn pool(size: usize) -> Pool<SocketAddr> {
    let backend = |n| {
        let id = address(n);
        let address = id.parse().expect("an address");
        Backend::new(id, address)
    };
    (0..size).map(backend).collect()
}
