//! SRV records, and what they become.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::rdata::SRV;

use super::entries::{Entries, Entry};
use super::name::{is_host, text};

/// The SRV records of a service that are good for something.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// In an order that does not depend on that of the answer.
    list: Vec<Service>,
    pub(super) skipped: Vec<(String, String)>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Service {
    priority: u16,
    target: Name,
    port: u16,
    weight: u32,
}

/// Where some records of a priority weigh 0 and others do not, what the others weigh is multiplied by
/// this. 0 becomes 1.
const ABOVE_ZERO: u32 = 100;

impl Services {
    pub(super) fn of<'r>(records: impl Iterator<Item = &'r SRV>) -> Self {
        let records: Vec<&SRV> = records.collect();
        let mut services = Self::default();
        // One that points at the root says that there is no such service here: RFC 2782.
        if let [only] = records[..]
            && only.target.is_root()
        {
            return services;
        }
        for record in records {
            match fault(record) {
                None => services.list.push(Service {
                    priority: record.priority,
                    target: record.target.to_lowercase(),
                    port: record.port,
                    weight: record.weight.into(),
                }),
                Some(fault) => {
                    let entry = format!("{}:{}", text(&record.target), record.port);
                    services.skipped.push((entry, fault.into()));
                }
            }
        }
        services.list.sort_unstable();
        services.list.dedup();
        services.weigh();
        services
    }

    /// The names that they point at.
    pub(super) fn targets(&self) -> BTreeSet<Name> {
        let targets = self.list.iter().map(|service| service.target.clone());
        targets.collect()
    }

    /// What they are with the addresses of their targets.
    pub(super) fn entries(&self, addresses: &BTreeMap<Name, Vec<IpAddr>>) -> Entries {
        let mut entries = Entries::default();
        for service in &self.list {
            for &ip in addresses.get(&service.target).into_iter().flatten() {
                entries.add(Entry {
                    address: SocketAddr::new(ip, service.port),
                    priority: service.priority.into(),
                    weight: service.weight,
                    target: text(&service.target),
                });
            }
        }
        entries
    }

    /// Makes weights of those of RFC 2782, where 0 is not nothing: equal ones if all are 0, and a
    /// very small one beside others.
    fn weigh(&mut self) {
        for tier in self
            .list
            .chunk_by_mut(|one, next| one.priority == next.priority)
        {
            let zeros = tier.iter().filter(|service| service.weight == 0).count();
            if zeros == 0 {
                continue;
            }
            for service in tier {
                service.weight = (service.weight * ABOVE_ZERO).max(1);
            }
        }
    }
}

fn fault(record: &SRV) -> Option<&'static str> {
    if record.target.is_root() {
        return Some("it says that there is no such service, beside others that say where it is");
    }
    if record.port == 0 {
        return Some("its port is 0");
    }
    (!is_host(&record.target)).then_some("its target is no host name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, port: u16, target: &str) -> SRV {
        SRV::new(priority, weight, port, Name::from_ascii(target).unwrap())
    }

    fn weights(records: &[SRV]) -> Vec<(u16, u32)> {
        let services = Services::of(records.iter());
        let list = services.list.iter();
        list.map(|service| (service.port, service.weight)).collect()
    }

    #[test]
    fn a_weight_of_zero_is_the_smallest_share_and_not_none() {
        let zeros = [record(0, 0, 1, "a."), record(0, 0, 2, "b.")];
        assert_eq!(weights(&zeros), [(1, 1), (2, 1)]);
        let mixed = [
            record(0, 0, 1, "a."),
            record(0, 1, 2, "b."),
            record(0, u16::MAX, 3, "c."),
            record(1, 7, 4, "a."),
        ];
        assert_eq!(weights(&mixed), [(1, 1), (2, 100), (3, 6_553_500), (4, 7)]);
    }

    #[test]
    fn bad_records_are_skipped_and_named_and_hide_no_others() {
        let records = [
            record(0, 1, 0, "a."),
            record(0, 1, 80, "good."),
            record(0, 1, 80, "."),
            SRV::new(0, 1, 80, Name::from_labels([&b"a b"[..]]).unwrap()),
        ];
        let services = Services::of(records.iter());
        assert_eq!(services.targets().len(), 1);
        let skipped = &services.skipped;
        let entries: Vec<&str> = skipped.iter().map(|(entry, _)| &**entry).collect();
        assert_eq!(entries, ["a:0", ".:80", "a\\040b:80"]);
    }

    #[test]
    fn a_lone_root_is_an_empty_set() {
        let services = Services::of([record(0, 0, 0, ".")].iter());
        assert!(services.list.is_empty() && services.skipped.is_empty());
    }

    #[test]
    fn the_order_of_the_records_and_the_case_of_their_targets_do_not_matter() {
        let one = [
            record(1, 1, 1, "b."),
            record(0, 2, 1, "A."),
            record(0, 2, 1, "a."),
        ];
        let other = [record(0, 2, 1, "a."), record(1, 1, 1, "B.")];
        assert_eq!(
            Services::of(one.iter()).list,
            Services::of(other.iter()).list
        );
    }

    #[test]
    fn one_address_of_two_targets_is_one_entry_of_the_first_priority_with_the_sum_of_weights() {
        let records = [
            record(10, 5, 80, "a."),
            record(10, 7, 80, "b."),
            record(20, 9, 80, "c."),
            record(20, 9, 81, "c."),
        ];
        let ip = IpAddr::from([10, 0, 0, 1]);
        let addresses = ["a.", "b.", "c."].map(|name| (name.parse().unwrap(), vec![ip]));
        let entries = Services::of(records.iter()).entries(&addresses.into());
        let list: Vec<_> = entries.take(10).0;
        let list: Vec<_> = list
            .iter()
            .map(|entry| {
                (
                    entry.address.port(),
                    entry.priority,
                    entry.weight,
                    &*entry.target,
                )
            })
            .collect();
        assert_eq!(list, [(80, 10, 12, "a"), (81, 20, 9, "c")]);
    }
}
