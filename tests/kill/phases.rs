//! What is done to the servers, and when.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::figures::Figures;
use super::load::Load;
use super::server::Server;

/// What happens to the servers while a request begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Nothing.
    WarmUp,
    /// One after the other is killed and started again.
    Kills,
    /// One hangs, and then goes on.
    Hung,
}

/// How many servers are killed, one each second.
pub(crate) const KILLS: usize = 30;

const CLIENTS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(5);
const BETWEEN_KILLS: Duration = Duration::from_secs(1);
const HANGS: Duration = Duration::from_secs(10);
/// How long the load goes on when the server has come back from hanging.
const AFTERWARDS: Duration = Duration::from_secs(2);

impl Phase {
    pub(crate) const ALL: [Self; 3] = [Self::WarmUp, Self::Kills, Self::Hung];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WarmUp => "warm-up",
            Self::Kills => "kills",
            Self::Hung => "hung",
        }
    }
}

/// Asks the proxy in front of these servers through all phases. The servers run at the end.
pub(crate) async fn run(proxy: &str, servers: &mut [Server; 3]) -> Figures {
    let load = Load::begin(CLIENTS, proxy);
    sleep(WARM_UP).await;

    load.enter(Phase::Kills);
    let mut seconds = interval(BETWEEN_KILLS);
    // Where a server takes longer than a second to start, the next one has to wait.
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kills = 0;
    for turn in 0..KILLS {
        seconds.tick().await;
        let server = &mut servers[turn % 3];
        server.stop().await;
        server.restart().await;
        kills += 1;
    }
    seconds.tick().await;

    load.enter(Phase::Hung);
    servers[0].pause();
    sleep(HANGS).await;
    servers[0].resume();
    sleep(AFTERWARDS).await;

    Figures::new(kills, load.end().await)
}
