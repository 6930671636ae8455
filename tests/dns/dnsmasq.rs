//! A real name server: dnsmasq, whose records change and which is killed, while requests run.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::Pool;
use evenkeel::discover::Follow;
use evenkeel::discover::dns::{Dns, IpFamily};
use evenkeel::http::Address;

use crate::traffic::{Requests, Servers};
use crate::{ids, source, until, until_fresh, until_ids, until_stale};

/// It is killed when it is dropped.
struct Dnsmasq {
    program: PathBuf,
    directory: PathBuf,
    port: u16,
    child: Option<Child>,
}

/// Tells their directories apart.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Dnsmasq {
    /// `None`, with a word to who reads it, if it is not installed.
    fn start(configuration: &str, hosts: &str) -> Option<Self> {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let mut programs = std::env::split_paths(&path).map(|path| path.join("dnsmasq"));
        let Some(program) = programs.find(|program| program.exists()) else {
            assert!(std::env::var_os("CI").is_none(), "dnsmasq is not installed");
            println!("skipped: dnsmasq is not installed (Debian: dnsmasq-base)");
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = format!("evenkeel-dns-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        fs::create_dir_all(&directory).unwrap();
        let mut dnsmasq = Self {
            program,
            directory,
            port: free_port(),
            child: None,
        };
        fs::write(dnsmasq.directory.join("conf"), configuration).unwrap();
        dnsmasq.write(hosts);
        dnsmasq.run();
        Some(dnsmasq)
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn run(&mut self) {
        let file = |name: &str| self.directory.join(name).display().to_string();
        let child = Command::new(&self.program)
            .args([
                "--no-daemon",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
            ])
            .args([
                "--listen-address=127.0.0.1",
                "--local=/test/",
                "--local-ttl=1",
            ])
            .arg(format!("--port={}", self.port))
            .arg(format!("--conf-file={}", file("conf")))
            .arg(format!("--addn-hosts={}", file("hosts")))
            .arg("--pid-file")
            .stdin(Stdio::null())
            .stderr(fs::File::create(self.directory.join("log")).unwrap())
            .spawn();
        self.child = Some(child.unwrap());
    }

    fn write(&self, hosts: &str) {
        fs::write(self.directory.join("hosts"), hosts).unwrap();
    }

    /// Other records, which it reads at once.
    fn says(&self, hosts: &str) {
        self.write(hosts);
        let process = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-HUP", &process]).status();
        assert!(sent.unwrap().success());
    }

    /// Ends it by SIGKILL.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.join("log"));
            eprintln!("dnsmasq: {}", log.unwrap_or_default());
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// One that is free for UDP and TCP.
fn free_port() -> u16 {
    loop {
        let udp = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let port = udp.local_addr().unwrap().port();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn hosts(last: &[u8]) -> String {
    let lines = last.iter().map(|last| format!("127.0.0.{last} api.test\n"));
    lines.collect()
}

fn dns(dnsmasq: &Dnsmasq, port: u16) -> Dns {
    Dns::new("api.test", port)
        .and_then(|dns| dns.name_server(dnsmasq.address()))
        .and_then(|dns| dns.timeout(Duration::from_millis(500)))
        .and_then(|dns| dns.ttl_within(Duration::from_millis(100), Duration::from_secs(300)))
        .unwrap()
}

#[tokio::test]
async fn records_change_and_no_request_fails_or_goes_to_who_has_left() {
    let Some(dnsmasq) = Dnsmasq::start("", &hosts(&[1, 2])) else {
        return;
    };
    let servers = Servers::start(4);
    let pool = Pool::<Address>::new();
    let _feeding = Follow::new(dns(&dnsmasq, servers.port)).spawn(&pool);
    let until_members = async |of: &[u8]| {
        let ids = servers.ids(of);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        until_ids(&pool, &ids).await;
    };
    until_members(&[1, 2]).await;
    let requests = Requests::start(&pool);
    requests.until_more(50).await;
    for (there, left) in [
        (&[2, 3][..], 1),
        (&[1, 3, 4], 2),
        (&[4], 1),
        (&[1, 2, 3], 4),
    ] {
        dnsmasq.says(&hosts(there));
        until_members(there).await;
        // Those that were sent before have come to their end.
        requests.until_more(8).await;
        let before = servers.requests(left);
        requests.until_more(100).await;
        assert_eq!(servers.requests(left), before);
        assert!(there.iter().all(|&last| servers.requests(last) > 0));
    }

    // Who is taken out of the zone altogether stays: an empty answer is not believed.
    dnsmasq.says("");
    until_stale(&pool, "an empty set").await;
    requests.until_more(100).await;
    assert_eq!(ids(&pool), servers.ids(&[1, 2, 3]));
    requests.stop().await;
}

#[tokio::test]
async fn a_name_server_that_is_killed_takes_nobody_out_and_is_followed_again_when_it_is_back() {
    let Some(mut dnsmasq) = Dnsmasq::start("", &hosts(&[1, 2])) else {
        return;
    };
    let servers = Servers::start(3);
    let pool = Pool::<Address>::new();
    let _feeding = Follow::new(dns(&dnsmasq, servers.port)).spawn(&pool);
    until("2 members", || pool.len() == 2).await;
    let requests = Requests::start(&pool);

    dnsmasq.kill();
    until_stale(&pool, "request timed out").await;
    requests.until_more(100).await;
    assert_eq!(ids(&pool), servers.ids(&[1, 2]));
    let error = source(&pool).error().unwrap().to_owned();
    assert!(error.contains(&dnsmasq.address().to_string()), "{error}");

    dnsmasq.write(&hosts(&[2, 3]));
    dnsmasq.run();
    until_fresh(&pool).await;
    until("the new members", || ids(&pool) == servers.ids(&[2, 3])).await;
    requests.until_more(100).await;
    assert!(servers.requests(3) > 0);
    requests.stop().await;
}

#[tokio::test]
async fn a_service_has_the_ports_and_weights_of_its_records() {
    let records = "\
        srv-host=_http._tcp.api.test,one.test,8081,10,3\n\
        srv-host=_http._tcp.api.test,two.test,8082,10,0\n\
        srv-host=_http._tcp.api.test,spare.test,8083,20,0\n\
        cname=three.test,one.test\n";
    let hosts = "127.0.0.1 one.test\n::1 one.test\n127.0.0.2 two.test\n127.0.0.3 spare.test\n";
    let Some(dnsmasq) = Dnsmasq::start(records, hosts) else {
        return;
    };
    let dns = Dns::srv("_http._tcp.api.test").unwrap();
    let dns = dns.name_server(dnsmasq.address()).unwrap();
    let pool = Pool::<Address>::new();
    let _feeding = Follow::new(dns).spawn(&pool);
    until("4 members", || pool.len() == 4).await;
    for (id, priority, weight) in [
        ("127.0.0.1:8081", 10, 300),
        ("[::1]:8081", 10, 300),
        ("127.0.0.2:8082", 10, 1),
        ("127.0.0.3:8083", 20, 1),
    ] {
        let backend = pool.get(id).unwrap();
        assert_eq!((backend.priority(), backend.weight()), (priority, weight));
    }

    let dns = Dns::new("three.test", 80).unwrap();
    let dns = dns.name_server(dnsmasq.address()).unwrap();
    let pool = Pool::<Address>::new();
    let _feeding = Follow::new(dns).spawn(&pool);
    until_ids(&pool, &["127.0.0.1:80", "[::1]:80"]).await;
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_udp_comes_over_tcp() {
    let lines = (1..=250).map(|last| format!("127.0.1.{last} api.test\n"));
    let Some(dnsmasq) = Dnsmasq::start("", &lines.collect::<String>()) else {
        return;
    };
    let pool = Pool::<Address>::new();
    let dns = dns(&dnsmasq, 80).ip_family(IpFamily::V4);
    let _feeding = Follow::new(dns).spawn(&pool);
    until("250 members", || pool.len() == 250).await;
}
