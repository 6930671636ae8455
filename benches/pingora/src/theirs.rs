//! The same picks through pingora.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;

use pingora_load_balancing::selection::{BackendIter, BackendSelection};
use pingora_load_balancing::{Backend, LoadBalancer};

use super::common::measure::Case;
use super::{What, address, keys};

/// How many backends are looked at before it gives up. All are healthy, so one will do.
const MOST: usize = 16;

pub(crate) fn case<S>(what: What, size: usize) -> Case
where
    S: BackendSelection<Iter: BackendIter> + 'static,
{
    match what {
        What::Select => select::<S>(size),
        What::PickAlone => pick_alone::<S>(size),
    }
}

fn select<S>(size: usize) -> Case
where
    S: BackendSelection<Iter: BackendIter> + 'static,
{
    let balancer = LoadBalancer::<S>::try_from_iter((0..size).map(address));
    let balancer = balancer.expect("addresses need no resolver");
    let mut keys = keys();
    Case::new(move |n| {
        for key in keys.by_ref().take(n as usize) {
            let selected = black_box(&balancer).select(black_box(&key), MOST);
            black_box(selected).expect("all are healthy");
        }
    })
}

fn pick_alone<S>(size: usize) -> Case
where
    S: BackendSelection<Iter: BackendIter> + 'static,
{
    let selection = Arc::new(S::build(&backends(size)));
    let mut keys = keys();
    Case::new(move |n| {
        for key in keys.by_ref().take(n as usize) {
            black_box(black_box(&selection).iter(black_box(&key)).next());
        }
    })
}

/// The addresses that the first keys belong to.
pub(crate) fn owners<S>(size: usize, count: usize) -> Vec<String>
where
    S: BackendSelection<Iter: BackendIter>,
{
    let selection = Arc::new(S::build(&backends(size)));
    let owner = |key: super::Bytes| {
        let mut choices = selection.iter(&key);
        let backend = choices.next().expect("there are some");
        backend.addr.to_string()
    };
    keys().take(count).map(owner).collect()
}

fn backends(size: usize) -> BTreeSet<Backend> {
    let backend = |n| Backend::new(&address(n)).expect("an address");
    (0..size).map(backend).collect()
}
