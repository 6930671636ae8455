//! What a message says of a name.

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::failure::Failure;
use super::name::text;
use super::ttl::{least, valid};

/// More aliases than that in a row are a mistake of somebody.
const MOST_ALIASES: usize = 16;

/// What is said of a name: its records of one type. None of them: there is nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) records: Vec<RData>,
    /// Records that nobody has asked for, and that may save a question.
    pub(super) additional: Vec<Record>,
    /// For so many seconds it may be used.
    pub(super) ttl: Option<u32>,
}

/// The aliases that lead from the name that was asked for to another.
pub(super) struct Trail {
    kind: RecordType,
    passed: Vec<Name>,
    /// Where it has come to.
    pub(super) name: Name,
    ttl: Option<u32>,
}

impl Trail {
    pub(super) fn new(name: Name, kind: RecordType) -> Self {
        Self {
            kind,
            passed: Vec::new(),
            name,
            ttl: None,
        }
    }

    /// Goes on through a message. `None`: the name where it has come to must be asked for.
    pub(super) fn follow(&mut self, message: Message) -> Result<Option<Answer>, Failure> {
        let asked = self.passed.len();
        loop {
            let mut records = Vec::new();
            let mut ttl = self.ttl;
            let own = |record: &&Record| {
                record.name == self.name && record.data.record_type() == self.kind
            };
            for record in message.answers.iter().filter(own) {
                records.push(record.data.clone());
                ttl = least(ttl, Some(valid(record.ttl)));
            }
            if !records.is_empty() {
                return Ok(Some(Answer {
                    records,
                    additional: message.additionals,
                    ttl,
                }));
            }
            let alias = message
                .answers
                .iter()
                .find_map(|record| match &record.data {
                    RData::CNAME(to) if record.name == self.name => {
                        Some((to.0.clone(), record.ttl))
                    }
                    _ => None,
                });
            match alias {
                Some((to, ttl)) => self.pass(to, ttl)?,
                None if message.metadata.response_code == ResponseCode::NXDomain => {
                    return Ok(Some(self.nothing(negative(&message))));
                }
                // The message says nothing of where the aliases lead.
                None if self.passed.len() > asked => return Ok(None),
                None => return Ok(Some(self.nothing(negative(&message)))),
            }
        }
    }

    /// It leads nowhere, and this may be believed for so many seconds.
    pub(super) fn nothing(&self, ttl: Option<u32>) -> Answer {
        Answer {
            ttl: least(self.ttl, ttl),
            ..Answer::default()
        }
    }

    fn pass(&mut self, mut to: Name, ttl: u32) -> Result<(), Failure> {
        to.set_fqdn(true);
        self.ttl = least(self.ttl, Some(valid(ttl)));
        self.passed.push(std::mem::replace(&mut self.name, to));
        let name = || text(&self.passed[0]);
        if self.passed.contains(&self.name) {
            return Err(Failure::Loop {
                name: name(),
                kind: self.kind,
                at: text(&self.name),
            });
        }
        if self.passed.len() > MOST_ALIASES {
            return Err(Failure::TooManyAliases {
                name: name(),
                kind: self.kind,
                most: MOST_ALIASES,
            });
        }
        Ok(())
    }
}

impl Answer {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &SRV> {
        self.records.iter().filter_map(|record| match record {
            RData::SRV(service) => Some(service),
            _ => None,
        })
    }
}

/// For how long it may be believed that there is nothing (RFC 2308, section 5).
fn negative(message: &Message) -> Option<u32> {
    let authorities = message.authorities.iter();
    let mut ttls = authorities.filter_map(|record| match &record.data {
        RData::SOA(soa) => Some(valid(record.ttl).min(valid(soa.minimum))),
        _ => None,
    });
    ttls.next()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use hickory_resolver::proto::op::{MessageType, OpCode};
    use hickory_resolver::proto::rr::rdata::{A, CNAME, SOA};

    use super::*;

    fn name(at: usize) -> Name {
        Name::from_ascii(format!("n{at}.test.")).unwrap()
    }

    fn message(answers: Vec<Record>) -> Message {
        let mut message = Message::new(1, MessageType::Response, OpCode::Query);
        message.answers = answers;
        message
    }

    fn alias(from: usize, to: usize, ttl: u32) -> Record {
        Record::from_rdata(name(from), ttl, RData::CNAME(CNAME(name(to))))
    }

    fn address(of: usize, ttl: u32) -> Record {
        Record::from_rdata(name(of), ttl, RData::A(A::new(10, 0, 0, of as u8)))
    }

    #[test]
    fn what_there_is_not_is_believed_for_as_long_as_the_zone_says() {
        let soa = SOA::new(name(0), name(0), 1, 1, 1, 1, 7);
        let mut message = message(vec![alias(0, 1, 30)]);
        message.metadata.response_code = ResponseCode::NXDomain;
        message.authorities = vec![Record::from_rdata(name(0), 60, RData::SOA(soa))];
        let mut trail = Trail::new(name(0), RecordType::A);
        let answer = trail.follow(message).unwrap().unwrap();
        assert!(answer.is_empty());
        assert_eq!(answer.ttl, Some(7));
    }

    #[test]
    fn whatever_points_at_whatever_the_way_has_an_end_and_it_is_the_right_one() {
        let seed = std::env::var("SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..2000 {
            // Each name is an alias, has an address, or is not there.
            let count = random.usize(1..30);
            let spread = random.usize(1..=count);
            let records: Vec<Option<Record>> = (0..count)
                .map(|at| match random.u8(..10) {
                    0 => Some(address(at, random.u32(1..100))),
                    1 => None,
                    _ => Some(alias(
                        at,
                        (at + random.usize(1..=spread)) % count,
                        random.u32(1..100),
                    )),
                })
                .collect();
            let next = |at: usize| match &records[at].as_ref()?.data {
                RData::CNAME(to) => (0..count).find(|&at| name(at) == to.0),
                _ => None,
            };
            let mut way = vec![0];
            let mut visited = HashSet::from([0]);
            let mut loops = false;
            while let Some(at) = next(way[way.len() - 1]) {
                loops = !visited.insert(at);
                if loops {
                    break;
                }
                way.push(at);
            }
            let end = way[way.len() - 1];
            let ttl = way
                .iter()
                .filter_map(|&at| Some(records[at].as_ref()?.ttl))
                .min();
            let there = records[end].is_some();

            // A message has some of them, in any order.
            let mut trail = Trail::new(name(0), RecordType::A);
            let mut messages = 0;
            let result = loop {
                messages += 1;
                assert!(messages <= count + 1);
                let at = (0..count).find(|&at| name(at) == trail.name).unwrap();
                let mut some: Vec<Record> = records
                    .iter()
                    .flatten()
                    .filter(|record| record.name == name(at) || random.bool())
                    .cloned()
                    .collect();
                random.shuffle(&mut some);
                match trail.follow(message(some)) {
                    Ok(None) => {}
                    Ok(Some(answer)) => break Ok(answer),
                    Err(failure) => break Err(failure),
                }
            };
            match result {
                Err(Failure::Loop { .. }) => assert!(loops),
                Err(Failure::TooManyAliases { .. }) => assert!(way.len() > MOST_ALIASES),
                Err(failure) => panic!("{failure}"),
                Ok(answer) => {
                    assert!(!loops);
                    assert_eq!(answer.ttl, ttl);
                    let expected = there.then(|| address(end, 0).data);
                    assert_eq!(answer.records, Vec::from_iter(expected));
                }
            }
        }
    }
}
