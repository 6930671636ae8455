use std::collections::BTreeMap;
use std::collections::btree_map;
use std::net::SocketAddr;

use crate::backend::Backend;

/// Key of the metadata that says by which name a backend was found.
pub(super) const TARGET: &str = "dns.target";

/// Backends to be, each address once.
#[derive(Debug, Default)]
pub(super) struct Entries(BTreeMap<SocketAddr, Entry>);

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) address: SocketAddr,
    pub(super) priority: u32,
    pub(super) weight: u32,
    pub(super) target: String,
}

impl Entries {
    /// Adds one. Of an address that is there already the first priority counts, with the weights of
    /// that one added up.
    pub(super) fn add(&mut self, entry: Entry) {
        match self.0.entry(entry.address) {
            btree_map::Entry::Vacant(free) => {
                free.insert(entry);
            }
            btree_map::Entry::Occupied(mut there) => {
                let there = there.get_mut();
                if entry.priority < there.priority {
                    *there = entry;
                } else if entry.priority == there.priority {
                    there.weight = there.weight.saturating_add(entry.weight);
                }
            }
        }
    }

    /// The first ones, by their priorities and addresses, and how many are left out.
    pub(super) fn take(self, most: usize) -> (Vec<Entry>, usize) {
        let mut entries: Vec<Entry> = self.0.into_values().collect();
        // Stable: those of one priority stay in the order of their addresses.
        entries.sort_by_key(|entry| entry.priority);
        let surplus = entries.len().saturating_sub(most);
        entries.truncate(most);
        (entries, surplus)
    }
}

impl Entry {
    pub(super) fn into_backend(self) -> Backend<SocketAddr> {
        Backend::new(self.address.to_string(), self.address)
            .priority(self.priority)
            .weight(self.weight)
            .metadata(TARGET, self.target)
    }
}
