//! The processor time that probes take.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use evenkeel::health::{
    Answer, Ejection, Health, HttpProbe, Probe, ProbeSettings, Target, TcpProbe,
};
use evenkeel::http::Address;
use evenkeel::{Backend, Pool};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::BoxError;

use super::Probing;
use super::common::report::{self, Table, figure, ratio, thousands};
use super::cpu;
use super::servers::Servers;

/// Counts what a probe answers.
struct Counted<P> {
    probe: P,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    probes: AtomicU64,
    failures: AtomicU64,
}

/// What was measured of one kind of probe.
struct Measured {
    cores: f64,
    a_second: f64,
    failures: u64,
    connections: u64,
}

impl<P: Probe<Address>> Probe<Address> for Counted<P> {
    async fn probe(&self, target: Target<Address>) -> Result<Answer, BoxError> {
        let answer = self.probe.probe(target).await;
        let counts = &self.counts;
        counts.probes.fetch_add(1, Ordering::Relaxed);
        let failed = u64::from(answer.is_err());
        counts.failures.fetch_add(failed, Ordering::Relaxed);
        answer
    }
}

pub(crate) fn measure(plan: &Probing, targets: &mut Vec<report::Target>) {
    let mut servers = Servers::start().expect("this program can be run once more");
    let hosts = hosts(plan.backends);
    let title = format!(
        "{} backends probed every {:?}, for {:?} after the first round, on one thread.\n\
         They have {} addresses of their own (127.1.x.y), with one HTTP connection kept to each.\n\
         The servers are another process; but over the loopback, this one pays for their half of\n\
         the kernel's work on each packet that it sends.",
        thousands(plan.backends),
        plan.interval,
        plan.time,
        thousands(hosts),
    );
    let columns = ["cores", "probes/s", "µs a probe", "failures", "connections"];
    let mut table = Table::new(&title, columns.map(str::to_owned));
    let mut row = |name: &str, measured: &Measured| {
        let micros = measured.cores / measured.a_second * 1e6;
        table.row(
            name,
            [
                ratio(measured.cores),
                figure(measured.a_second),
                figure(micros),
                measured.failures.to_string(),
                measured.connections.to_string(),
            ],
        );
        let what = format!("{} backends, {name}", thousands(plan.backends));
        targets.push(report::Target::at_most(0.5, measured.cores, "cores", &what));
    };
    let nothing = async |_target: Target<Address>| Ok::<_, BoxError>(());
    row(
        "a probe that does nothing",
        &watch(plan, &mut servers, hosts, nothing),
    );
    row(
        "TcpProbe",
        &watch(plan, &mut servers, hosts, TcpProbe::new()),
    );
    let client = Client::builder(TokioExecutor::new()).build_http::<String>();
    row(
        "HttpProbe",
        &watch(plan, &mut servers, hosts, HttpProbe::new(client)),
    );
    table.print();
}

/// How many addresses there can be, with a connection to each, here and in the servers.
fn hosts(backends: usize) -> usize {
    const OTHER_FILES: usize = 1_000;
    let most = cpu::most_files().map_or(1, |files| files.saturating_sub(OTHER_FILES));
    backends.min(most.max(1))
}

fn watch(
    plan: &Probing,
    servers: &mut Servers,
    hosts: usize,
    probe: impl Probe<Address>,
) -> Measured {
    let pool = addresses(plan.backends, hosts, servers.ports());
    let counts = Arc::new(Counts::default());
    let probe = Counted {
        probe,
        counts: Arc::clone(&counts),
    };
    let settings = ProbeSettings::new()
        .interval(plan.interval)
        .and_then(|settings| settings.jitter(0.0))
        .expect("valid settings");
    let watch = Health::new()
        .ejection(Ejection::new())
        .probe(probe, settings);
    let before = accepted(servers);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let watching = watch.spawn(&pool);
        // The first probes come all at once, the second within an interval.
        tokio::time::sleep(plan.interval.mul_f64(1.4)).await;
        let (start, used) = (Instant::now(), cpu::used());
        let probes = counts.probes.load(Ordering::Relaxed);
        tokio::time::sleep(plan.time).await;
        let (time, used_by_then) = (start.elapsed().as_secs_f64(), cpu::used());
        let probes = counts.probes.load(Ordering::Relaxed) - probes;
        drop(watching);
        let used = used.zip(used_by_then);
        let used = used.map(|(before, now)| now.saturating_sub(before).as_secs_f64());
        Measured {
            cores: used.unwrap_or(f64::NAN) / time,
            a_second: probes as f64 / time,
            failures: counts.failures.load(Ordering::Relaxed),
            connections: accepted(servers) - before,
        }
    })
}

fn accepted(servers: &mut Servers) -> u64 {
    servers.accepted().expect("the servers are running")
}

fn addresses(backends: usize, hosts: usize, ports: &[u16]) -> Pool<Address> {
    let backend = |n: usize| {
        let host = n % hosts;
        let address = Ipv4Addr::new(127, 1, (host / 250) as u8, (host % 250 + 1) as u8);
        let address = SocketAddr::from((address, ports[host % ports.len()]));
        Backend::new(format!("backend-{n}"), Address::from(address))
    };
    (0..backends).map(backend).collect()
}
