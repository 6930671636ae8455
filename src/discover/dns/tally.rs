use std::collections::HashMap;
use std::net::IpAddr;

use hickory_resolver::proto::rr::{Name, RecordType};

use super::addresses::{Addresses, ip};
use super::failure::Failure;
use super::name::text;
use super::ttl::least;

/// What is remembered from one round to the next, and from one stream to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) known: Known,
    /// In so many rounds in a row a part has failed.
    pub(super) partial: u32,
}

/// The addresses that names had when they were looked up last with success.
pub(super) type Known = HashMap<(Name, RecordType), Vec<IpAddr>>;

/// What one round of look-ups has found.
///
/// ```text
///  a family's look-up   its addresses
///  ------------------   -----------------------------------------------
///  has an answer        those of the answer: none, if there are none
///  fails                those that it had before; the failure is told
/// ```
pub(super) struct Tally<'k> {
    before: &'k Known,
    pub(super) known: Known,
    pub(super) skipped: Vec<(String, String)>,
    /// The least of all that there is.
    ttl: Option<u32>,
    /// The least of all that there is not.
    negative: Option<u32>,
    answered: bool,
    failure: Option<Failure>,
}

impl<'k> Tally<'k> {
    pub(super) fn new(before: &'k Known, ttl: Option<u32>) -> Self {
        Self {
            before,
            known: Known::new(),
            skipped: Vec::new(),
            ttl,
            negative: None,
            answered: false,
            failure: None,
        }
    }

    /// Adds what came of one name. Returns its addresses.
    pub(super) fn add(&mut self, found: Addresses) -> Vec<IpAddr> {
        let Addresses { name, families } = found;
        let mut all = Vec::new();
        for (kind, answer) in families {
            let mut addresses = match answer {
                Ok(answer) => {
                    self.answered = true;
                    let ttl = if answer.is_empty() {
                        &mut self.negative
                    } else {
                        &mut self.ttl
                    };
                    *ttl = least(*ttl, answer.ttl);
                    let addresses = answer.records.iter().filter_map(ip);
                    let (good, bad): (Vec<_>, Vec<_>) = addresses.partition(is_of_one);
                    for bad in bad {
                        let why = format!("an address of {} that nobody has", text(&name));
                        self.skipped.push((bad.to_string(), why));
                    }
                    good
                }
                Err(failure) => {
                    let entry = format!("{kind} of {}", text(&name));
                    self.skipped.push((entry, failure.why()));
                    self.failure.get_or_insert(failure);
                    let before = self.before.get(&(name.clone(), kind));
                    before.cloned().unwrap_or_default()
                }
            };
            // An address that is named twice weighs no more than others.
            addresses.sort_unstable();
            addresses.dedup();
            if !addresses.is_empty() {
                all.extend_from_slice(&addresses);
                self.known.insert((name.clone(), kind), addresses);
            }
        }
        all
    }

    /// Why this round says nothing, if it does not: no answer at all, or no address, where there
    /// might be some.
    pub(super) fn failure(&self) -> Option<&Failure> {
        let says_something = self.answered && !self.known.is_empty();
        self.failure.as_ref().filter(|_| !says_something)
    }

    /// Whether a part of it has failed.
    pub(super) fn is_partial(&self) -> bool {
        self.failure.is_some()
    }

    /// For how long it is good.
    pub(super) fn ttl(&self) -> Option<u32> {
        if self.known.is_empty() {
            return least(self.ttl, self.negative);
        }
        self.ttl
    }
}

/// Whether an address can be that of one host. Who connects to 0.0.0.0, which some servers answer
/// for what they block, reaches this host itself.
fn is_of_one(address: &IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !broadcast
}
