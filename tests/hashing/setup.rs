//! Every table as a picker of texts, keys that all of them take, and short ways to ask.

use std::net::Ipv4Addr;
use std::sync::Arc;

use evenkeel::picker::hash::{
    EnvoyMaglev, EnvoyRingHash, HashAlgorithm, Keyed, Maglev, Table, WholeRequest,
};
use evenkeel::picker::{Context, Selector, Update};
use evenkeel::set::Candidate;
use evenkeel::{Backend, BackendSet, Picker, Pool};
use proptest::prelude::*;

pub(crate) type TextPicker = Arc<dyn Picker<str>>;

/// The tables whose keys stay where they are when another backend comes or goes, to the last one.
pub(crate) const STEADY: [HashAlgorithm; 2] = [HashAlgorithm::RingHash, HashAlgorithm::Rendezvous];

/// The tables that do not depend on the order of the members.
pub(crate) const UNORDERED: [HashAlgorithm; 3] = [
    HashAlgorithm::Maglev,
    HashAlgorithm::RingHash,
    HashAlgorithm::Rendezvous,
];

pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

pub(crate) fn keyed(table: impl Table, bound: Option<f64>) -> TextPicker {
    let keyed = Keyed::new(table, WholeRequest);
    match bound {
        None => Arc::new(keyed),
        Some(factor) => Arc::new(keyed.bounded_load(factor).expect("a factor in range")),
    }
}

/// A table that is small, where it can be, so that a debug build makes it fast.
pub(crate) fn small(algorithm: HashAlgorithm, bound: Option<f64>) -> TextPicker {
    match algorithm {
        HashAlgorithm::Maglev => keyed(Maglev::with_size(1_021).unwrap(), bound),
        HashAlgorithm::EnvoyMaglev => keyed(EnvoyMaglev::with_size(1_021).unwrap(), bound),
        HashAlgorithm::EnvoyRingHash => {
            keyed(EnvoyRingHash::with_ring_size(512, 8_192).unwrap(), bound)
        }
        other => keyed(other, bound),
    }
}

pub(crate) fn prepared(picker: &TextPicker, set: &dyn BackendSet) -> TextPicker {
    let prepared = (**picker).prepare(&Update::new(set, set));
    prepared.expect("a hash picker has a table")
}

pub(crate) fn pick(picker: &TextPicker, set: &dyn BackendSet, key: &str) -> Option<usize> {
    (**picker).pick(set, key, &mut Context::new().seed(1))
}

/// One of 2^24 different keys: the text of an address, which NGINX's `ip_hash` needs, and of which
/// it reads the first three bytes.
pub(crate) fn key(number: u32) -> String {
    let scattered = number.wrapping_mul(0x9e37_79b1) << 8;
    Ipv4Addr::from(scattered | 7).to_string()
}

pub(crate) fn keys(count: u32) -> Vec<String> {
    (0..count).map(key).collect()
}

/// As many ids as one likes, such as `10.0.0.7:8080`.
pub(crate) fn id(number: usize) -> String {
    format!("10.0.{}.{}:8080", number / 250, number % 250)
}

pub(crate) fn set(weights: &[u32]) -> Vec<(String, u32)> {
    let ids = (0..weights.len()).map(id);
    ids.zip(weights.iter().copied()).collect()
}

pub(crate) fn backend(number: usize, weight: u32) -> Backend<usize> {
    Backend::new(id(number), number).weight(weight)
}

pub(crate) fn pool(weights: &[u32]) -> Pool<usize> {
    let members = weights.iter().enumerate();
    members.map(|(at, &weight)| backend(at, weight)).collect()
}

/// To which value each key goes.
pub(crate) fn places(selector: &Selector<usize, str>, keys: &[String]) -> Vec<usize> {
    let place = |key: &String| selector.select(key).expect("one is eligible").0;
    keys.iter().map(place).collect()
}

pub(crate) fn counts(places: &[usize], backends: usize) -> Vec<usize> {
    let mut counts = vec![0; backends];
    for &at in places {
        counts[at] += 1;
    }
    counts
}

/// Six standard deviations of the count of keys that go to a backend by pure chance.
pub(crate) fn chance(keys: usize, share: f64) -> f64 {
    6.0 * (keys as f64 * share * (1.0 - share)).sqrt() + 1.0
}

/// A member of a slice that says everything that hash pickers read.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) weight: u32,
    pub(crate) in_flight: usize,
}

impl Candidate for Member {
    fn id(&self) -> &str {
        &self.id
    }

    fn weight(&self) -> u32 {
        self.weight
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }
}
