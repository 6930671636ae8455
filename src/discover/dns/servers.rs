use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, Message, Query};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, NameServerPool, PoolContext, TlsConfig};

use super::answer::{Answer, Trail};
use super::failure::Failure;
use super::name::text;
use super::search::Search;
use super::ttl::valid;

/// The name servers, with what it takes to ask them. Its sockets and tasks end when it is dropped.
///
/// Of hickory only the part is used that talks to one server. Its resolver has a cache, which would
/// hide for how long an answer is good; takes the first answer of several servers even if that is a
/// failure; and looks for an SRV record behind an alias in the wrong place.
pub(super) struct Servers {
    list: Vec<Server>,
    /// The one that has answered last.
    first: AtomicUsize,
    pub(super) search: Search,
    /// Whether names may also stand in the hosts file.
    hosts: bool,
}

struct Server {
    address: SocketAddr,
    pool: NameServerPool<TokioRuntimeProvider>,
}

/// So many questions can be under way on one TCP connection.
const IN_FLIGHT: usize = 128;

enum Reply {
    Message(Message),
    Nothing(Option<u32>),
}

impl Servers {
    /// Those that are given; without any, those of the system.
    pub(super) fn open(given: &[SocketAddr], timeout: Option<Duration>) -> Result<Self, Failure> {
        let (config, mut options) = if given.is_empty() {
            read_system_conf().map_err(Failure::configuration)?
        } else {
            let servers = given.iter().map(|&address| server(address)).collect();
            let config = ResolverConfig::from_name_servers(servers);
            (config, ResolverOpts::default())
        };
        // `options timeout:0` is something that people write.
        let least = Duration::from_secs(1);
        options.timeout = timeout.unwrap_or(options.timeout.max(least));
        options.max_active_requests = IN_FLIGHT;
        let search = Search::of(&config, options.ndots);
        let tls = TlsConfig::new().map_err(Failure::configuration)?;
        let context = Arc::new(PoolContext::new(options, tls));
        let provider = TokioRuntimeProvider::new();
        let open = |config: &NameServerConfig| Server {
            address: address(config),
            pool: NameServerPool::from_config(
                [config.clone()],
                Arc::clone(&context),
                provider.clone(),
            ),
        };
        let list: Vec<Server> = config.name_servers().iter().map(open).collect();
        if list.is_empty() {
            return Err(Failure::configuration("it names no server"));
        }
        Ok(Self {
            list,
            first: AtomicUsize::new(0),
            search,
            hosts: given.is_empty(),
        })
    }

    /// Asks for the records of a name, wherever its aliases lead.
    pub(super) async fn ask(&self, name: Name, kind: RecordType) -> Result<Answer, Failure> {
        let mut trail = Trail::new(name, kind);
        loop {
            match self.ask_once(&trail.name, kind).await? {
                Reply::Nothing(ttl) => return Ok(trail.nothing(ttl)),
                Reply::Message(message) => {
                    if let Some(answer) = trail.follow(message)? {
                        return Ok(answer);
                    }
                }
            }
        }
    }

    /// Reads the hosts file, if it is to be used.
    pub(super) async fn hosts(&self) -> Option<Arc<Hosts>> {
        if !self.hosts {
            return None;
        }
        let read = tokio::task::spawn_blocking(Hosts::from_system).await;
        Some(Arc::new(read.ok()?.ok()?))
    }

    /// Asks one server after the other, until one knows.
    async fn ask_once(&self, name: &Name, kind: RecordType) -> Result<Reply, Failure> {
        // Which server comes first is no more than a hint: nothing else is read by it.
        let first = self.first.load(Ordering::Relaxed);
        let mut last = Failure::configuration("it names no server");
        for at in (0..self.list.len()).map(|nth| (first + nth) % self.list.len()) {
            match self.list[at].ask(name, kind).await {
                Ok(reply) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(reply);
                }
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }
}

impl Server {
    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Reply, Failure> {
        let query = Query::query(name.clone(), kind);
        let reply = self.pool.lookup(query, DnsRequestOptions::default());
        match reply.first_answer().await {
            Ok(response) => Ok(Reply::Message(response.into_message())),
            Err(NetError::Dns(DnsError::NoRecordsFound(nothing))) => {
                if nothing.ns.is_some() && nothing.soa.is_none() {
                    return Err(Failure::Referral {
                        name: text(name),
                        kind,
                        server: self.address,
                    });
                }
                Ok(Reply::Nothing(nothing.negative_ttl.map(valid)))
            }
            Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(Failure::Code {
                name: text(name),
                kind,
                server: self.address,
                code,
            }),
            Err(source) => Err(Failure::NoAnswer {
                name: text(name),
                kind,
                server: self.address,
                source: Arc::new(source),
            }),
        }
    }
}

fn server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn address(config: &NameServerConfig) -> SocketAddr {
    let port = config.connections.first();
    SocketAddr::new(config.ip, port.map_or(53, |connection| connection.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn servers_that_are_given_are_all_that_there_are() {
        let given = [[127, 0, 0, 1], [127, 0, 0, 2]].map(|ip| SocketAddr::from((ip, 5353)));
        let servers = Servers::open(&given, None).unwrap();
        let addresses: Vec<_> = servers.list.iter().map(|server| server.address).collect();
        assert_eq!(addresses, given);
        assert!(servers.search.domains.is_empty());
        assert!(servers.hosts().await.is_none());
    }

    #[tokio::test]
    async fn without_any_the_system_is_asked_what_its_servers_are() {
        match Servers::open(&[], None) {
            Ok(servers) => assert!(!servers.list.is_empty() && servers.hosts),
            // Not every machine has some.
            Err(failure) => {
                let expected = "the system's DNS configuration cannot be read";
                assert_eq!(failure.to_string(), expected);
            }
        }
    }
}
