//! Names as sources: A and AAAA records, or SRV records, asked for again as their TTL says.
//!
//! # When to use
//!
//! Where the addresses of a service stand in the DNS, and change: behind a headless service of
//! Kubernetes, in Consul, in a zone of your own. A name that leads to one address of a balancer needs
//! none of this.
//!
//! # What becomes a backend
//!
//! | records | backends | id |
//! | --- | --- | --- |
//! | A, AAAA | each address, with the port that is given | `10.0.0.1:8080`, `[2001:db8::1]:8080` |
//! | SRV | each address of each target, with the record's port | the same |
//!
//! The metadata `dns.target` is the name that has the address: the one that was given, or the
//! target of the SRV record. That is what a certificate is made out for.
//!
//! Of an SRV record (RFC 2782)
//!
//! * the *priority* is the backend's [priority](crate::Backend::priority), as it is: the lowest
//!   that there is comes first, whichever number it has;
//! * the *weight* is the backend's [weight](crate::Backend::weight), for each address of the
//!   target. A weight of 0 is "a very small chance" there, and not none: where all records of a priority
//!   weigh 0 each becomes 1; where only some do, 0 becomes 1 and the others are multiplied by 100;
//! * a *target* of `.`, alone, says that there is no such service: an empty set;
//! * a record with port 0, or with a target that is no host name, is skipped.
//!
//! An address with its port is one backend, however many records lead to it: the lowest priority
//! counts, and the weights of this priority are added up.
//!
//! # When it is asked again
//!
//! When the least TTL of all records that were used has passed, the aliases (CNAME) among them, but
//! within [bounds](Dns::ttl_within); up to a tenth later, at random, so that clients of one cache do
//! not ask at the same moment. When a part has failed it is asked again sooner: after the lower bound,
//! and then after twice as long each time. Nothing is cached in between.
//!
//! # When something goes wrong
//!
//! | answer | what it is |
//! | --- | --- |
//! | NXDOMAIN, NODATA, a lone SRV target of `.` | an empty set, which [`Follow`] does not take [by default](super::Follow::allow_empty): the last good set stays |
//! | SERVFAIL, REFUSED, no answer in [time](Dns::timeout), a loop of aliases | a failure: the last good set stays, and [`Follow`] opens the source anew after a pause |
//! | the same, for one family of two, or for some targets of SRV records | the addresses that were found there last stay beside those that are found now; the failure is a [skipped](crate::set::Happened::Skipped) entry |
//! | as before, and nothing is found or known elsewhere | a failure |
//! | 0.0.0.0, `::`, multicast and broadcast addresses | skipped |
//!
//! An address that has left the answer leaves the pool; what runs there ends as for every member that
//! is removed. A server that hands out a changing part of many addresses is followed to the letter.
//!
//! # Whom it asks
//!
//! The name servers that the system is configured with (`/etc/resolv.conf`, read whenever the source is
//! opened: at the beginning, and after a failure), or [those that are given](Dns::name_server). One
//! after the other, beginning with the one that has answered last, until one gives an answer;
//! over UDP, and over TCP where an answer is too long for it.
//!
//! With the system's configuration, names are what they are elsewhere on the system: those in the
//! hosts file are taken from there, and those without a dot at their end are tried with the `search`
//! domains, as `ndots` says. A failure ends this search, since what comes after might be another
//! service. With servers that are given all names are absolute.
//!
//! # TLS
//!
//! A certificate is made out for a name, and connections are made to addresses:
//!
//! ```no_run
//! use evenkeel::Pool;
//! use evenkeel::discover::Follow;
//! use evenkeel::discover::dns::Dns;
//! use evenkeel::http::Address;
//! use std::net::SocketAddr;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), evenkeel::InvalidSetting> {
//! let address = |address: &SocketAddr| {
//!     let https: Address = format!("https://{address}").parse().expect("a host and a port");
//!     https.with_server_name("api.example.com")
//! };
//! let pool = Pool::new();
//! let _feeding = Follow::new(Dns::new("api.example.com", 443)?).spawn_with(&pool, address);
//! # Ok(())
//! # }
//! ```
//!
//! # References
//!
//! RFC 1034, RFC 1035, RFC 2181 (TTL), RFC 2308 (negative answers), RFC 2782 (SRV).
//!
//! [`Follow`]: super::Follow

mod addresses;
mod answer;
mod entries;
mod failure;
mod family;
mod look_up;
mod name;
mod search;
mod servers;
mod services;
mod tally;
mod ttl;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt, stream};

pub use self::family::IpFamily;
use self::look_up::{Question, look_up};
use self::servers::Servers;
use self::tally::Memory;
use self::ttl::Bounds;
use super::source::{Source, Updates};
use crate::InvalidSetting;

/// Addresses of a name as a source; see the [module](self) for all that it does.
///
/// # Examples
///
/// ```no_run
/// use evenkeel::Pool;
/// use evenkeel::discover::Follow;
/// use evenkeel::discover::dns::Dns;
/// use std::net::SocketAddr;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), evenkeel::InvalidSetting> {
/// let pool = Pool::<SocketAddr>::new();
/// let _api = Follow::new(Dns::new("api.example.com", 8080)?).spawn(&pool);
///
/// // Of SRV records, from a server of its own: Consul's, say.
/// let shop = Dns::srv("_http._tcp.shop.service.consul")?
///     .name_server(SocketAddr::from(([127, 0, 0, 1], 8600)))?;
/// let pool = Pool::<SocketAddr>::new();
/// let _shop = Follow::new(shop).spawn(&pool);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a source does nothing before it is followed"]
pub struct Dns {
    settings: Settings,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Clone, Debug)]
struct Settings {
    question: Question,
    family: IpFamily,
    bounds: Bounds,
    max_backends: usize,
    servers: Vec<SocketAddr>,
    timeout: Option<Duration>,
}

impl Dns {
    /// The addresses of a name: of its A and AAAA records, each with this port.
    ///
    /// # Errors
    ///
    /// When the name can be none, is an address, or the port is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::discover::dns::Dns;
    ///
    /// let error = Dns::new("api.example.com:8080", 8080).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "invalid name \"api.example.com:8080\": expected a DNS name: letters, digits, '-' and '_', divided by dots",
    /// );
    /// ```
    pub fn new(name: impl AsRef<str>, port: u16) -> Result<Self, InvalidSetting> {
        let name = name::parse("name", name.as_ref())?;
        if port == 0 {
            return Err(InvalidSetting::new("port", port, "1 to 65535"));
        }
        Ok(Self::of(Question::Addresses { name, port }))
    }

    /// The addresses of the targets of a name's SRV records, such as `_http._tcp.api.example.com`.
    ///
    /// Addresses that come along with the answer are taken. The other targets are looked up, 16 at a
    /// time; with [one family](Self::ip_family) that is half of the questions.
    ///
    /// # Errors
    ///
    /// When the name can be none.
    pub fn srv(name: impl AsRef<str>) -> Result<Self, InvalidSetting> {
        let name = name::parse("name", name.as_ref())?;
        Ok(Self::of(Question::Services { name }))
    }

    fn of(question: Question) -> Self {
        Self {
            settings: Settings {
                question,
                family: IpFamily::default(),
                bounds: Bounds::default(),
                max_backends: 10_000,
                servers: Vec::new(),
                timeout: None,
            },
            memory: Arc::default(),
        }
    }

    /// Sets which addresses are asked for. Default: those of IPv4 and of IPv6.
    pub fn ip_family(mut self, family: IpFamily) -> Self {
        self.settings.family = family;
        self
    }

    /// Sets the least and the most time from one look-up to the next, whatever the TTL is. Default:
    /// 5 s to 5 min.
    ///
    /// # Errors
    ///
    /// When `min` is zero or above `max`.
    pub fn ttl_within(mut self, min: Duration, max: Duration) -> Result<Self, InvalidSetting> {
        self.settings.bounds = Bounds::new(min, max)?;
        Ok(self)
    }

    /// Sets how many backends are taken at most. Default 10,000. The first are taken, by their
    /// priority and address; one skipped entry says how many the others are.
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn max_backends(mut self, max: usize) -> Result<Self, InvalidSetting> {
        if max == 0 {
            return Err(InvalidSetting::new("maximum of backends", max, "1 or more"));
        }
        self.settings.max_backends = max;
        Ok(self)
    }

    /// Adds a name server, to be asked instead of the system's. Default port of name servers: 53.
    ///
    /// # Errors
    ///
    /// When its port is 0, or its address is that of no host.
    pub fn name_server(mut self, server: SocketAddr) -> Result<Self, InvalidSetting> {
        if server.port() == 0 || server.ip().is_unspecified() {
            let expected = "an address and a port from 1 to 65535";
            return Err(InvalidSetting::new("name server", server, expected));
        }
        self.settings.servers.push(server);
        Ok(self)
    }

    /// Sets how long a name server has for its answer, before the next one is asked. Default: what
    /// the system is configured with, otherwise 5 s. Over UDP a question is repeated in this time.
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, InvalidSetting> {
        if timeout.is_zero() {
            let given = format_args!("{timeout:?}");
            return Err(InvalidSetting::new("time-out", given, "above zero"));
        }
        self.settings.timeout = Some(timeout.min(crate::time::CENTURY));
        Ok(self)
    }
}

impl Source for Dns {
    type Value = SocketAddr;

    fn name(&self) -> String {
        match &self.settings.question {
            Question::Addresses { .. } => format!("dns {}", self.settings.question.name()),
            Question::Services { .. } => format!("dns srv {}", self.settings.question.name()),
        }
    }

    fn watch(&mut self) -> Option<Updates<SocketAddr>> {
        let settings = Arc::new(self.settings.clone());
        let memory = Arc::clone(&self.memory);
        let updates = stream::try_unfold(None, move |open: Option<(Servers, Duration)>| {
            let (settings, memory) = (Arc::clone(&settings), Arc::clone(&memory));
            async move {
                let servers = match open {
                    None => Servers::open(&settings.servers, settings.timeout)?,
                    Some((servers, wait)) => {
                        tokio::time::sleep(wait).await;
                        servers
                    }
                };
                let (update, wait) = look_up(&settings, &servers, &memory).await?;
                Ok(Some((update, Some((servers, wait)))))
            }
        });
        Some(updates.boxed())
    }
}
