//! A name server that says what a test tells it to, over UDP and TCP.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NS, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// It ends when it is dropped.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    script: Arc<Script>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Script {
    says: Mutex<HashMap<Name, HashMap<RecordType, Reply>>>,
    asked: Mutex<Vec<Question>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) kind: RecordType,
    pub(crate) tcp: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Says(Saying),
    Silence,
    /// It is too long for UDP, and over TCP there is no answer.
    OnlyByTcpAndSilent,
    /// What is no message, another message, and a message about something else.
    Garbage,
}

/// What a message consists of.
#[derive(Clone, Debug)]
pub(crate) struct Saying {
    pub(crate) code: ResponseCode,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

impl NameServer {
    pub(crate) async fn start() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
            let port = udp.local_addr().unwrap().port();
            if let Ok(tcp) = TcpListener::bind(("127.0.0.1", port)).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let script = Arc::new(Script::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&script)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&script)));
        Self {
            address,
            script,
            _tasks: tasks,
        }
    }

    /// Sets what is said of a name. Of others it says NXDOMAIN, or NODATA if it knows something else
    /// of them.
    pub(crate) fn says(&self, name: &str, kind: RecordType, reply: impl Into<Reply>) {
        let mut says = self.script.says.lock().unwrap();
        let of_name = says.entry(absolute(name)).or_default();
        of_name.insert(kind, reply.into());
    }

    pub(crate) fn forget(&self, name: &str) {
        self.script.says.lock().unwrap().remove(&absolute(name));
    }

    /// Sets the addresses of a name, of both families, with a TTL of 0.
    pub(crate) fn addresses(&self, name: &str, addresses: &[&str]) {
        self.forget(name);
        for kind in [RecordType::A, RecordType::AAAA] {
            let all = addresses.iter().map(|&ip| address(name, ip, 0));
            let own: Vec<Record> = all.filter(|record| record.record_type() == kind).collect();
            self.says(name, kind, own);
        }
    }

    pub(crate) fn asked(&self) -> Vec<Question> {
        self.script.asked.lock().unwrap().clone()
    }

    /// How often it was asked this.
    pub(crate) fn count(&self, name: &str, kind: RecordType) -> usize {
        let asked = self.script.asked.lock().unwrap();
        let these = |question: &&Question| question.name == name && question.kind == kind;
        asked.iter().filter(these).count()
    }
}

impl Script {
    fn reply(&self, request: &Message, tcp: bool) -> Vec<Vec<u8>> {
        let Some(query) = request.queries.first() else {
            return Vec::new();
        };
        let mut name = query.name().clone();
        name.set_fqdn(true);
        let name = name.to_lowercase();
        let kind = query.query_type();
        self.asked.lock().unwrap().push(Question {
            name: name.to_ascii().trim_end_matches('.').to_owned(),
            kind,
            tcp,
        });
        let reply = {
            let says = self.says.lock().unwrap();
            match says.get(&name) {
                None => ResponseCode::NXDomain.into(),
                Some(of_name) => {
                    let said = of_name.get(&kind).cloned();
                    said.unwrap_or_else(|| ResponseCode::NoError.into())
                }
            }
        };
        let mut message = Message::new(request.metadata.id, MessageType::Response, request.op_code);
        message.metadata.recursion_desired = true;
        message.metadata.recursion_available = true;
        message.add_query(query.clone());
        match reply {
            Reply::Silence => return Vec::new(),
            Reply::OnlyByTcpAndSilent if tcp => return Vec::new(),
            Reply::OnlyByTcpAndSilent => message.metadata.truncation = true,
            Reply::Garbage => {
                let mut other = message.clone();
                other.metadata.id = request.metadata.id.wrapping_add(1);
                message.queries.clear();
                let messages = [other.to_vec().unwrap(), message.to_vec().unwrap()];
                let mut cut = messages[0].clone();
                cut[..2].copy_from_slice(&request.metadata.id.to_be_bytes());
                cut.truncate(15);
                let garbage = [vec![0xff], Vec::new(), vec![0xff; 600]];
                return garbage.into_iter().chain(messages).chain([cut]).collect();
            }
            Reply::Says(saying) => {
                message.metadata.response_code = saying.code;
                message.answers = saying.answers;
                message.authorities = saying.authorities;
                message.additionals = saying.additionals;
            }
        }
        let bytes = message.to_vec().unwrap();
        let fits = request.max_payload().max(512) as usize;
        if tcp || bytes.len() <= fits {
            return vec![bytes];
        }
        message.metadata.truncation = true;
        message.answers.clear();
        message.authorities.clear();
        message.additionals.clear();
        vec![message.to_vec().unwrap()]
    }
}

async fn serve_udp(socket: UdpSocket, script: Arc<Script>) {
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let Ok(request) = Message::from_vec(&buffer[..length]) else {
            continue;
        };
        for bytes in script.reply(&request, false) {
            let _ = socket.send_to(&bytes, from).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, script: Arc<Script>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve_connection(stream, Arc::clone(&script)));
        }
    }
}

async fn serve_connection(mut stream: TcpStream, script: Arc<Script>) {
    while let Ok(length) = stream.read_u16().await {
        let mut buffer = vec![0; length.into()];
        if stream.read_exact(&mut buffer).await.is_err() {
            return;
        }
        let Ok(request) = Message::from_vec(&buffer) else {
            return;
        };
        for bytes in script.reply(&request, true) {
            let length = u16::try_from(bytes.len()).expect("a message has 64 KiB at most");
            let _ = stream.write_u16(length).await;
            let _ = stream.write_all(&bytes).await;
        }
    }
}

impl From<Saying> for Reply {
    fn from(saying: Saying) -> Self {
        Self::Says(saying)
    }
}

impl From<Vec<Record>> for Reply {
    fn from(answers: Vec<Record>) -> Self {
        Self::Says(Saying {
            answers,
            ..Saying::default()
        })
    }
}

impl From<ResponseCode> for Reply {
    fn from(code: ResponseCode) -> Self {
        Self::Says(Saying {
            code,
            ..Saying::default()
        })
    }
}

impl Default for Saying {
    fn default() -> Self {
        Self {
            code: ResponseCode::NoError,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
        }
    }
}

pub(crate) fn absolute(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    name
}

pub(crate) fn address(name: &str, ip: &str, ttl: u32) -> Record {
    let data = match ip.parse().unwrap() {
        IpAddr::V4(ip) => RData::A(ip.into()),
        IpAddr::V6(ip) => RData::AAAA(ip.into()),
    };
    Record::from_rdata(absolute(name), ttl, data)
}

pub(crate) fn alias(name: &str, to: &str, ttl: u32) -> Record {
    Record::from_rdata(absolute(name), ttl, RData::CNAME(CNAME(absolute(to))))
}

pub(crate) fn service(
    name: &str,
    (priority, weight): (u16, u16),
    target: &str,
    port: u16,
) -> Record {
    let service = SRV::new(priority, weight, port, absolute(target));
    Record::from_rdata(absolute(name), 0, RData::SRV(service))
}

pub(crate) fn authority(zone: &str, minimum: u32) -> Record {
    let soa = SOA::new(absolute(zone), absolute(zone), 1, 1, 1, 1, minimum);
    Record::from_rdata(absolute(zone), 3600, RData::SOA(soa))
}

pub(crate) fn referral(zone: &str, server: &str) -> Record {
    Record::from_rdata(absolute(zone), 3600, RData::NS(NS(absolute(server))))
}
