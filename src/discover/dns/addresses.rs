use std::net::IpAddr;

use hickory_resolver::Hosts;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::answer::Answer;
use super::failure::Failure;
use super::family::IpFamily;
use super::servers::Servers;
use super::ttl::{least, valid};

/// What came of asking for the addresses of a name, for each family.
pub(super) struct Addresses {
    pub(super) name: Name,
    pub(super) families: Vec<(RecordType, Result<Answer, Failure>)>,
}

impl Addresses {
    /// Asks for both families at once. What the hosts file says of a name is all that there is, as
    /// everywhere on the system. What came along with another answer is not asked for again.
    pub(super) async fn of(
        name: Name,
        family: IpFamily,
        servers: &Servers,
        hosts: Option<&Hosts>,
        additional: Vec<(RecordType, Answer)>,
    ) -> Self {
        if let Some(families) = hosts.and_then(|hosts| in_hosts(hosts, &name, family)) {
            return Self { name, families };
        }
        let ask = |kind| {
            let known = additional.iter().find(|(of, _)| *of == kind);
            let known = known.map(|(_, answer)| answer.clone());
            let name = name.clone();
            async move {
                let answer = match known {
                    Some(answer) => Ok(answer),
                    None => servers.ask(name, kind).await,
                };
                (kind, answer)
            }
        };
        let families = family.records().iter().copied().map(ask);
        let families = futures_util::future::join_all(families).await;
        Self { name, families }
    }

    /// Nothing, and not even somebody to ask.
    pub(super) fn none(name: &Name) -> Self {
        Self {
            name: name.clone(),
            families: Vec::new(),
        }
    }

    /// Whether it is certain that there are none.
    pub(super) fn is_nothing(&self) -> bool {
        let mut families = self.families.iter();
        families.all(|(_, answer)| answer.as_ref().is_ok_and(Answer::is_empty))
    }

    /// Why there was no answer at all from anybody, if it was so.
    pub(super) fn silence(&self) -> Option<&Failure> {
        let mut silences = self.families.iter().map(|(_, answer)| {
            let failure = answer.as_ref().err();
            failure.filter(|failure| failure.is_silence())
        });
        let first = silences.next()?;
        silences.fold(first, |first, next| first.filter(|_| next.is_some()))
    }
}

fn in_hosts(
    hosts: &Hosts,
    name: &Name,
    family: IpFamily,
) -> Option<Vec<(RecordType, Result<Answer, Failure>)>> {
    let find = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
    // One that is there with an address of the other family is still there.
    IpFamily::Any
        .records()
        .iter()
        .find_map(|&kind| find(kind))?;
    let answer = |&kind: &RecordType| {
        let records = find(kind).map(|found| {
            let records = found.answers().iter();
            records.map(|record| record.data.clone()).collect()
        });
        let answer = Answer {
            records: records.unwrap_or_default(),
            additional: Vec::new(),
            ttl: Some(i32::MAX as u32),
        };
        (kind, Ok(answer))
    };
    Some(family.records().iter().map(answer).collect())
}

/// The addresses of a name among the records that came along with another answer.
pub(super) fn among<'r>(
    records: impl Iterator<Item = &'r Record>,
    family: IpFamily,
) -> Vec<(RecordType, Answer)> {
    let mut families: Vec<(RecordType, Answer)> = Vec::new();
    for record in records {
        let kind = record.data.record_type();
        if !family.records().contains(&kind) {
            continue;
        }
        let at = families.iter().position(|(of, _)| *of == kind);
        let at = at.unwrap_or_else(|| {
            families.push((kind, Answer::default()));
            families.len() - 1
        });
        let answer = &mut families[at].1;
        answer.records.push(record.data.clone());
        answer.ttl = least(answer.ttl, Some(valid(record.ttl)));
    }
    families
}

pub(super) fn ip(record: &RData) -> Option<IpAddr> {
    match record {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_hosts_file_has_only_the_addresses_that_stand_there() {
        let mut hosts = Hosts::default();
        let text = "10.0.0.1 api.test\n10.0.0.2 api.test\n::1 six.test\n";
        hosts.read_hosts_conf(text.as_bytes()).unwrap();
        let find = |name: &str, family| {
            let mut name: Name = name.parse().unwrap();
            name.set_fqdn(true);
            let families = in_hosts(&hosts, &name, family)?;
            let counts = families.into_iter();
            Some(
                counts
                    .map(|(_, answer)| answer.unwrap().records.len())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(find("api.test", IpFamily::Any), Some(vec![2, 0]));
        assert_eq!(find("api.test", IpFamily::V6), Some(vec![0]));
        assert_eq!(find("six.test", IpFamily::Any), Some(vec![0, 1]));
        assert_eq!(find("other.test", IpFamily::Any), None);
    }
}
