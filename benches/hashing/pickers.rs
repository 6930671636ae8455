//! The pickers, each at its defaults.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use evenkeel::picker::hash::{
    EnvoyMaglev, EnvoyRingHash, HashAlgorithm, Key, Keyed, Libketama, Maglev, Modulo,
    NginxConsistent, NginxHash, NginxIpHash, Rendezvous, RingHash, Table, WholeRequest, key_of,
};
use evenkeel::picker::{Picker, Update};
use evenkeel::{BackendSet, Pool};

use super::common::pool::within;

pub(crate) type Keys = Arc<dyn Picker<u64>>;

/// What is measured: the row's name, and the picker, with a bound or without.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) picker: fn(Option<f64>) -> Keys,
}

/// One for each algorithm.
pub(crate) const ROWS: [Row; 10] = [
    row("maglev", |bound| keyed(Maglev::new(), WholeRequest, bound)),
    row("ring-hash", |bound| {
        keyed(RingHash::new(), WholeRequest, bound)
    }),
    row("rendezvous", |bound| {
        keyed(Rendezvous::new(), WholeRequest, bound)
    }),
    row("modulo", |bound| keyed(Modulo::new(), WholeRequest, bound)),
    row("nginx-hash", |bound| {
        keyed(NginxHash::new(), WholeRequest, bound)
    }),
    row("nginx-consistent", |bound| {
        keyed(NginxConsistent::new(), WholeRequest, bound)
    }),
    row("nginx-ip-hash (of addresses)", |bound| {
        // It goes by the first three bytes.
        let address = |&number: &u64| IpAddr::from(Ipv4Addr::from((number >> 32) as u32));
        let key = key_of(move |number: &u64| Some(address(number).into()));
        keyed(NginxIpHash::new(), key, bound)
    }),
    row("libketama", |bound| {
        keyed(Libketama::new(), WholeRequest, bound)
    }),
    row("envoy-ring-hash", |bound| {
        keyed(EnvoyRingHash::new(), WholeRequest, bound)
    }),
    row("envoy-maglev", |bound| {
        keyed(EnvoyMaglev::new(), WholeRequest, bound)
    }),
];

/// As a program has it that is told the algorithm when it starts.
pub(crate) const BY_NAME: Row = row("maglev, by its name", |bound| {
    keyed(HashAlgorithm::Maglev, WholeRequest, bound)
});

const fn row(name: &'static str, picker: fn(Option<f64>) -> Keys) -> Row {
    Row { name, picker }
}

fn keyed(table: impl Table, key: impl Key<u64> + 'static, bound: Option<f64>) -> Keys {
    let picker = Keyed::new(table, key);
    match bound {
        None => Arc::new(picker),
        Some(factor) => Arc::new(picker.bounded_load(factor).expect("a valid factor")),
    }
}

/// What a pool makes of a picker at each change.
pub(crate) fn prepared(picker: &Keys, set: &dyn BackendSet) -> Keys {
    let prepared = picker.prepare(&Update::new(set, set));
    prepared.expect("all of them are prepared")
}

pub(crate) fn prepared_for<T: Clone>(picker: &Keys, pool: &Pool<T>) -> Keys {
    let mut ready = Arc::clone(picker);
    within(pool, |set| ready = prepared(picker, set));
    ready
}

/// Keys all over the range, none of them twice.
pub(crate) fn keys() -> impl Iterator<Item = u64> {
    // Odd, so that it goes through all numbers before it returns.
    const STEP: u64 = 0xd134_2543_de82_ef95;
    let mut key = 0_u64;
    std::iter::repeat_with(move || {
        key = key.wrapping_add(STEP);
        key
    })
}
