use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hickory_resolver::Hosts;
use hickory_resolver::proto::rr::{Name, Record, RecordType};

use super::Settings;
use super::addresses::{Addresses, among};
use super::answer::Answer;
use super::entries::{Entries, Entry};
use super::failure::Failure;
use super::name::text;
use super::servers::Servers;
use super::services::Services;
use super::tally::{Memory, Tally};
use crate::discover::Update;

/// What is looked up.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// The addresses of a name, with a port for all of them.
    Addresses { name: Name, port: u16 },
    /// The targets of SRV records, and their addresses.
    Services { name: Name },
}

/// So many targets of SRV records are looked up at a time.
const AT_ONCE: usize = 16;

/// After so many targets in a row without an answer from any server the others are not looked up:
/// each would take as long.
const MOST_SILENT: usize = 2 * AT_ONCE;

/// Who there is now, and how long to wait before the next look-up.
pub(super) async fn look_up(
    settings: &Settings,
    servers: &Servers,
    memory: &Mutex<Memory>,
) -> Result<(Update<SocketAddr>, Duration), Failure> {
    let hosts = servers.hosts().await;
    let found = match &settings.question {
        Question::Addresses { name, port } => {
            let found = addresses(settings, servers, hosts.as_deref(), name).await;
            Found::Addresses(found, *port, text(name))
        }
        Question::Services { name } => services(settings, servers, hosts, name).await?,
    };
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    found.say(settings, &mut memory)
}

/// All that was found, before it is seen in the light of what is known.
enum Found {
    Addresses(Addresses, u16, String),
    Services(Services, Option<u32>, Vec<Addresses>),
}

impl Found {
    fn say(
        self,
        settings: &Settings,
        memory: &mut Memory,
    ) -> Result<(Update<SocketAddr>, Duration), Failure> {
        let before = &memory.known;
        let (tally, entries) = match self {
            Self::Addresses(found, port, target) => {
                let mut tally = Tally::new(before, None);
                let mut entries = Entries::default();
                for ip in tally.add(found) {
                    entries.add(Entry {
                        address: SocketAddr::new(ip, port),
                        priority: 0,
                        weight: 1,
                        target: target.clone(),
                    });
                }
                (tally, entries)
            }
            Self::Services(mut services, ttl, found) => {
                let mut tally = Tally::new(before, ttl);
                tally.skipped = std::mem::take(&mut services.skipped);
                let mut addresses = BTreeMap::new();
                for found in found {
                    addresses.insert(found.name.clone(), tally.add(found));
                }
                (tally, services.entries(&addresses))
            }
        };
        if let Some(failure) = tally.failure() {
            return Err(failure.clone());
        }
        let most = settings.max_backends;
        let (entries, surplus) = entries.take(most);
        let partial = if tally.is_partial() {
            memory.partial.saturating_add(1)
        } else {
            0
        };
        let wait = settings.bounds.wait(tally.ttl(), partial, fastrand::f64());
        let mut update = Update::all(entries.into_iter().map(Entry::into_backend));
        for (entry, why) in tally.skipped {
            update = update.skip(entry, why);
        }
        if surplus > 0 {
            let why = format!("{surplus} addresses more than the {most} that are allowed");
            update = update.skip(settings.question.name(), why);
        }
        *memory = Memory {
            known: tally.known,
            partial,
        };
        Ok((update, wait))
    }
}

/// The first of the names that a name can stand for, unless it is certain that there is nothing.
async fn addresses(
    settings: &Settings,
    servers: &Servers,
    hosts: Option<&Hosts>,
    name: &Name,
) -> Addresses {
    let mut last = Addresses::none(name);
    for name in servers.search.names(name) {
        last = Addresses::of(name, settings.family, servers, hosts, Vec::new()).await;
        if !last.is_nothing() {
            break;
        }
    }
    last
}

async fn services(
    settings: &Settings,
    servers: &Servers,
    hosts: Option<Arc<Hosts>>,
    name: &Name,
) -> Result<Found, Failure> {
    let mut answer = Answer::default();
    for name in servers.search.names(name) {
        answer = servers.ask(name, RecordType::SRV).await?;
        if !answer.is_empty() {
            break;
        }
    }
    let services = Services::of(answer.services());
    let along = by_name(answer.additional);
    // There are 3,000 at most: a message has 64 KiB.
    let mut looked_up =
        stream::iter(services.targets())
            .map(|target| {
                let along = among(along.get(&target).into_iter().flatten(), settings.family);
                let hosts = hosts.clone();
                async move {
                    Addresses::of(target, settings.family, servers, hosts.as_deref(), along).await
                }
            })
            .buffer_unordered(AT_ONCE);
    let mut found = Vec::new();
    let mut silent = 0;
    while let Some(addresses) = looked_up.next().await {
        match addresses.silence() {
            None => silent = 0,
            Some(failure) => {
                silent += 1;
                if silent > MOST_SILENT {
                    return Err(failure.clone());
                }
            }
        }
        found.push(addresses);
    }
    drop(looked_up);
    Ok(Found::Services(services, answer.ttl, found))
}

fn by_name(records: Vec<Record>) -> BTreeMap<Name, Vec<Record>> {
    let mut by_name: BTreeMap<Name, Vec<Record>> = BTreeMap::new();
    for record in records {
        by_name
            .entry(record.name.to_lowercase())
            .or_default()
            .push(record);
    }
    by_name
}

impl Question {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Addresses { name, port } => format!("{}:{port}", text(name)),
            Self::Services { name } => text(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
    use hickory_resolver::proto::rr::RData;
    use hickory_resolver::proto::rr::rdata::{A, SRV};
    use tokio::net::UdpSocket;

    use super::super::Dns;
    use super::*;

    /// Knows `api` and a service in `two.test`, and has trouble with `bad.one.test`.
    async fn serve(socket: UdpSocket) {
        let mut buffer = [0; 1500];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let mut message = Message::from_vec(&buffer[..length]).unwrap();
            message.metadata.message_type = MessageType::Response;
            let query = message.queries[0].clone();
            let name = query.name().clone();
            let data = match (&*name.to_ascii(), query.query_type()) {
                ("api.two.test." | "bad.two.test.", RecordType::A) => {
                    Some(RData::A(A::new(10, 0, 0, 1)))
                }
                ("_http._tcp.two.test.", RecordType::SRV) => {
                    let target = Name::from_ascii("api.two.test.").unwrap();
                    Some(RData::SRV(SRV::new(0, 0, 80, target)))
                }
                ("bad.one.test.", _) => {
                    message.metadata.response_code = ResponseCode::ServFail;
                    None
                }
                _ => None,
            };
            let records = data.map(|data| Record::from_rdata(name, 0, data));
            message.add_answers(records);
            socket
                .send_to(&message.to_vec().unwrap(), from)
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn names_are_searched_for_until_there_is_something_and_no_further_than_a_failure() {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let server = socket.local_addr().unwrap();
        tokio::spawn(serve(socket));
        let mut servers = Servers::open(&[server], None).unwrap();
        servers.search.domains = ["one.test.", "two.test."]
            .map(|name| name.parse().unwrap())
            .into();
        servers.search.ndots = 2;
        let look_up = async |dns: Dns| {
            let found = look_up(&dns.settings, &servers, &dns.memory).await;
            found.map(|(update, _)| format!("{update:?}"))
        };
        let found = look_up(Dns::new("api", 80).unwrap()).await.unwrap();
        assert!(found.contains("10.0.0.1:80"), "{found}");
        let found = look_up(Dns::srv("_http._tcp").unwrap()).await.unwrap();
        assert!(found.contains("10.0.0.1:80"), "{found}");
        // An absolute name is what it is.
        let found = look_up(Dns::new("api.", 80).unwrap()).await.unwrap();
        assert!(!found.contains("10.0.0.1"), "{found}");
        let failure = look_up(Dns::new("bad", 80).unwrap()).await.unwrap_err();
        assert!(failure.to_string().contains("bad.one.test"), "{failure}");
    }
}
