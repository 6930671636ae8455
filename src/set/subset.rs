use std::collections::BTreeMap;
use std::fmt;

use xxhash_rust::xxh64::xxh64;

use crate::InvalidSetting;
use crate::backend::{Backend, Hint};

/// Which of a fleet's backends one of its many clients uses: so many, the same again and again, and
/// over all clients each backend about as often as any other.
///
/// A thousand clients of a thousand backends would be a million connections, most of them idle. With
/// a subset of 20 they are 20,000. A picker that compares backends sees enough with 20; what a
/// smaller subset costs is that fewer clients share the load of each backend, and that it has fewer
/// to fall back to.
///
/// | | [`ringsteady`](Self::ringsteady) | [`rendezvous`](Self::rendezvous) |
/// | --- | --- | --- |
/// | a client has to know | its number: 0, 1, 2 … without gaps | nothing but a name of its own |
/// | a backend should have | a number: 0, 1, 2 … | nothing |
/// | clients of a backend, 10,000 of each, 30 in a subset | 30 to 30 | 12 to 52 |
/// | a backend leaves: clients that change another connection | none | none |
///
/// Of each [priority](Backend::priority) there are so many, so that there is something to fall back
/// to. Those that drain by their source's word do not count, and who takes their place is there before
/// they leave. Other health, and weights, play no part: a subset that followed them would move
/// connections when there is trouble.
///
/// # Cost
///
/// O(n log n) in the backends, each time that they change.
///
/// # Examples
///
/// ```
/// use evenkeel::Backend;
/// use evenkeel::set::Subset;
///
/// let backends: Vec<_> = (0..100).map(|at| Backend::new(format!("web-{at}"), ())).collect();
/// // The fourth client of a fleet.
/// let mine = Subset::ringsteady(3, 20)?.choose(&backends);
/// assert_eq!(mine.len(), 20);
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
///
/// With a source: `Follow::new(source).subset(subset)`, of `evenkeel::discover`.
#[derive(Clone)]
#[must_use]
pub struct Subset {
    rule: Rule,
    size: usize,
    most: usize,
}

#[derive(Clone)]
enum Rule {
    Ringsteady {
        place: u32,
        ordinal: fn(&str) -> Option<u32>,
    },
    Rendezvous {
        seed: u64,
    },
}

impl Subset {
    /// Backends and clients stand on a ring, at places that divide it evenly however many there are
    /// (those of van der Corput's sequence: 0, 1/2, 1/4, 3/4, 1/8 …), and a client uses the next
    /// `size` after its own place.
    ///
    /// `client` is the number of this client in its fleet, from 0 and without gaps: the ordinal of a
    /// `StatefulSet`'s pod, the index of a task.
    ///
    /// The number of a backend is the metadata `ordinal`, or else what is after the last `-` of its
    /// id, as in `web-12`; see [`ordinal_of`](Self::ordinal_of). One without a number has a place by
    /// the hash of its [hash key](Backend::hash_key): the subset is then as stable, and the load of
    /// the backends less even.
    ///
    /// P. Ward, P. Wankadia, K. Nguyen: Reinventing Backend Subsetting at Google, ACM Queue 20 (5),
    /// 2022.
    ///
    /// # Errors
    ///
    /// When `size` is 0.
    pub fn ringsteady(client: u32, size: usize) -> Result<Self, InvalidSetting> {
        Self::new(
            Rule::Ringsteady {
                place: client.reverse_bits(),
                ordinal: behind_the_last_dash,
            },
            size,
        )
    }

    /// A client uses the `size` backends whose [hash keys](Backend::hash_key) have the highest
    /// hashes (xxHash64), seeded with its own name.
    ///
    /// `client` is any name that no other client has: a host name, a pod's. By chance some backends
    /// have more clients than others: mean and standard deviation of their number are about
    /// `size × clients / backends` and the root of that.
    ///
    /// This is gRPC's random subsetting (its proposal A68).
    ///
    /// # Errors
    ///
    /// When `size` is 0.
    pub fn rendezvous(client: impl AsRef<[u8]>, size: usize) -> Result<Self, InvalidSetting> {
        let seed = xxh64(client.as_ref(), 0);
        Self::new(Rule::Rendezvous { seed }, size)
    }

    fn new(rule: Rule, size: usize) -> Result<Self, InvalidSetting> {
        if size == 0 {
            let expected = "one backend or more";
            return Err(InvalidSetting::new("size of a subset", size, expected));
        }
        Ok(Self {
            rule,
            size,
            most: size,
        })
    }

    /// Sets how the number of a backend is found in its id. What the metadata `ordinal` says counts
    /// more. No difference for [`rendezvous`](Self::rendezvous).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::set::Subset;
    ///
    /// // 10.0.0.1:8080, where the last byte is the number.
    /// let subset = Subset::ringsteady(0, 20)?.ordinal_of(|id| {
    ///     let (address, _port) = id.split_once(':')?;
    ///     address.rsplit('.').next()?.parse().ok()
    /// });
    /// # Ok::<(), evenkeel::InvalidSetting>(())
    /// ```
    pub fn ordinal_of(mut self, find: fn(&str) -> Option<u32>) -> Self {
        if let Rule::Ringsteady { ordinal, .. } = &mut self.rule {
            *ordinal = find;
        }
        self
    }

    /// Lets the subset grow with the client's own load, up to `most`: to as many backends as the pool
    /// has requests in flight, in the mean of the last 15 s or so. Default: it does not.
    ///
    /// A client that sends little then has few connections, and one that sends much does not lean on
    /// few backends. It changes when there is less than 7/8 of a request for each backend, or more
    /// than 9/8, and by adding to the subset or taking from it: nobody else is exchanged. Only a
    /// source that is followed does this; [`choose`](Self::choose) does not.
    ///
    /// Finagle's aperture, whose band and time this has.
    ///
    /// # Errors
    ///
    /// When it is less than the size.
    pub fn grow_to(mut self, most: usize) -> Result<Self, InvalidSetting> {
        if most < self.size {
            let given = format_args!("{most}, where {} are the least", self.size);
            let expected = "no less than the size";
            return Err(InvalidSetting::new("bound of a subset", given, expected));
        }
        self.most = most;
        Ok(self)
    }

    /// Returns the greatest size, if it grows with the load.
    #[cfg(feature = "tower")]
    pub(crate) fn most(&self) -> Option<usize> {
        (self.most > self.size).then_some(self.most)
    }

    /// Returns how many there are in a subset, of each priority; at least, if it may
    /// [grow](Self::grow_to).
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns those that the client uses, all if there are no more than [`size`](Self::size): of
    /// each priority, the first in order being the most certain to stay.
    pub fn choose<'a, V>(
        &self,
        backends: impl IntoIterator<Item = &'a Backend<V>>,
    ) -> Vec<&'a Backend<V>> {
        self.choose_some(backends, self.size)
    }

    /// The same, of another size.
    pub(crate) fn choose_some<'a, V>(
        &self,
        backends: impl IntoIterator<Item = &'a Backend<V>>,
        size: usize,
    ) -> Vec<&'a Backend<V>> {
        let mut tiers: BTreeMap<u32, Vec<(u64, &Backend<V>)>> = BTreeMap::new();
        for backend in backends {
            let tier = tiers.entry(backend.settings.priority()).or_default();
            tier.push((self.distance(backend), backend));
        }
        let mut chosen = Vec::new();
        for (_, mut tier) in tiers {
            let order = |&(distance, backend): &(u64, &'a Backend<V>)| (distance, backend.id());
            let leaves =
                |(_, backend): &(u64, &'a Backend<V>)| backend.settings.hint() == Hint::Draining;
            if tier.iter().any(leaves) {
                // Those that leave do not count, so that who takes their place is there already.
                tier.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
                let mut left = size;
                tier.retain(|candidate| {
                    let within = left > 0;
                    left -= usize::from(within && !leaves(candidate));
                    within
                });
            } else if tier.len() > size {
                tier.select_nth_unstable_by(size, |a, b| order(a).cmp(&order(b)));
                tier.truncate(size);
            }
            tier.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
            chosen.extend(tier.into_iter().map(|(_, backend)| backend));
        }
        chosen
    }

    /// How far from the client a backend is: the nearest are chosen.
    fn distance<V>(&self, backend: &Backend<V>) -> u64 {
        let settings = &backend.settings;
        let key = settings.hash_key().unwrap_or(backend.id());
        match self.rule {
            Rule::Rendezvous { seed } => u64::MAX - xxh64(key.as_bytes(), seed),
            Rule::Ringsteady { place, ordinal } => {
                let said = settings.metadata("ordinal");
                let ordinal = match said.and_then(|said| said.parse().ok()) {
                    Some(ordinal) => Some(ordinal),
                    None => ordinal(backend.id()),
                };
                let at = match ordinal {
                    Some(ordinal) => ordinal.reverse_bits(),
                    None => (xxh64(key.as_bytes(), 0) >> 32) as u32,
                };
                u64::from(at.wrapping_sub(place))
            }
        }
    }
}

fn behind_the_last_dash(id: &str) -> Option<u32> {
    let (_, digits) = id.rsplit_once('-')?;
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits)
}

impl fmt::Debug for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self.rule {
            Rule::Ringsteady { .. } => "ringsteady",
            Rule::Rendezvous { .. } => "rendezvous",
        };
        f.debug_struct("Subset")
            .field("rule", &rule)
            .field("size", &self.size)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}
