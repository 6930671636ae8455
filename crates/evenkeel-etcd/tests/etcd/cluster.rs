//! Clusters of etcd on loopback.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use etcd_client::Client;
use tempfile::TempDir;

pub(crate) struct Cluster {
    nodes: Vec<Node>,
    directory: TempDir,
}

struct Node {
    client_port: u16,
    peer_port: u16,
    process: Option<Child>,
}

/// Debian has it where only root looks.
fn etcd() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.push("/usr/sbin".into());
    let mut found = places.into_iter().map(|place| place.join("etcd"));
    found.find(|etcd| etcd.is_file())
}

impl Cluster {
    /// `None`, and says why, if there is no etcd; with `CI` set that is a failure.
    pub(crate) async fn start(nodes: usize) -> Option<Self> {
        if etcd().is_none() {
            assert!(std::env::var_os("CI").is_none(), "etcd is not installed");
            println!("skipped: etcd is not installed (Debian: etcd-server)");
            return None;
        }
        // All at once, so that no port comes twice.
        let sockets: Vec<[TcpListener; 2]> = (0..nodes)
            .map(|_| [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()))
            .collect();
        let port = |socket: &TcpListener| socket.local_addr().unwrap().port();
        let mut cluster = Self {
            nodes: sockets
                .iter()
                .map(|[client, peer]| Node {
                    client_port: port(client),
                    peer_port: port(peer),
                    process: None,
                })
                .collect(),
            directory: TempDir::new().unwrap(),
        };
        drop(sockets);
        cluster.start_all();
        cluster.ready().await;
        Some(cluster)
    }

    pub(crate) fn start_all(&mut self) {
        for at in 0..self.nodes.len() {
            self.start_node(at);
        }
    }

    pub(crate) fn start_node(&mut self, at: usize) {
        if self.nodes[at].process.is_some() {
            return;
        }
        let nodes = self.nodes.iter().enumerate();
        let peers: Vec<String> = nodes
            .map(|(at, node)| format!("node{at}=http://127.0.0.1:{}", node.peer_port))
            .collect();
        let node = &self.nodes[at];
        let client = format!("http://127.0.0.1:{}", node.client_port);
        let peer = format!("http://127.0.0.1:{}", node.peer_port);
        let process = Command::new(etcd().unwrap())
            .args(["--name", &format!("node{at}")])
            .arg("--data-dir")
            .arg(self.directory.path().join(format!("node{at}")))
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &peers.join(",")])
            .args(["--initial-cluster-state", "new"])
            .args(["--heartbeat-interval", "100", "--election-timeout", "1000"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.nodes[at].process = Some(process);
    }

    /// Waits until it takes writes.
    pub(crate) async fn ready(&self) {
        let start = Instant::now();
        loop {
            let writing = async {
                let mut client = Client::connect(self.urls(), None).await?;
                client.put("ready", "yes", None).await
            };
            if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(2), writing).await {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "etcd does not begin"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        let url = |node: &Node| format!("http://127.0.0.1:{}", node.client_port);
        self.nodes.iter().map(url).collect()
    }

    pub(crate) async fn client(&self) -> Client {
        let alive = self.nodes.iter().filter(|node| node.process.is_some());
        let urls: Vec<_> = alive
            .map(|node| format!("http://127.0.0.1:{}", node.client_port))
            .collect();
        Client::connect(urls, None).await.unwrap()
    }

    /// Which node leads.
    pub(crate) async fn leader(&self) -> usize {
        for (at, url) in self.urls().into_iter().enumerate() {
            let mut client = Client::connect([url], None).await.unwrap();
            let status = client.status().await.unwrap();
            if status.leader() == status.header().unwrap().member_id() {
                return at;
            }
        }
        panic!("nobody leads");
    }

    pub(crate) fn kill(&mut self, at: usize) {
        if let Some(mut process) = self.nodes[at].process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn kill_all(&mut self) {
        (0..self.nodes.len()).for_each(|at| self.kill(at));
    }

    /// Stops a node where it is, or lets it go on.
    pub(crate) fn signal(&self, at: usize, signal: &str) {
        let process = self.nodes[at].process.as_ref().unwrap();
        let kill = Command::new("kill")
            .args([signal, &process.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill_all();
    }
}
