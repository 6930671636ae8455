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
