//! An open loop: requests come when they come, however many are waiting.

use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep_until, timeout};

use super::connection::Connection;
use super::{PATIENCE, Seen};

/// Requests that come independently of each other (a Poisson process). The same seed gives the same
/// times.
#[derive(Clone, Copy)]
pub(crate) struct Open {
    pub(crate) proxy: SocketAddr,
    pub(crate) per_second: f64,
    pub(crate) lasts: Duration,
    pub(crate) seed: u64,
}

type Idle = Rc<RefCell<Vec<Connection>>>;

impl Open {
    /// Asks, while something happens beside it, and returns all requests in the order in which they
    /// were due. A request takes an idle connection, or a new one. What happens beside it is dropped
    /// when the last answer is there.
    pub(crate) async fn run(self, beside: impl Future<Output = ()>) -> Vec<Seen> {
        let set = LocalSet::new();
        let asked = set.run_until(self.ask());
        tokio::pin!(asked, beside);
        tokio::select! {
            seen = &mut asked => seen,
            () = beside => asked.await,
        }
    }

    async fn ask(self) -> Vec<Seen> {
        let mut rng = Rng::with_seed(self.seed);
        let idle = Idle::default();
        let seen = Rc::<RefCell<Vec<Seen>>>::default();
        let begun = Instant::now();
        let mut at = Duration::ZERO;
        let mut running = JoinSet::new();
        loop {
            at += Duration::from_secs_f64(-(1.0 - rng.f64()).ln() / self.per_second);
            if at > self.lasts {
                break;
            }
            sleep_until((begun + at).into()).await;
            let (idle, seen) = (Rc::clone(&idle), Rc::clone(&seen));
            running.spawn_local(async move {
                let asked = timeout(PATIENCE, ask_once(self.proxy, &idle)).await;
                let outcome = asked.unwrap_or_else(|_| Err("no answer in 30 s".into()));
                let took = begun.elapsed().saturating_sub(at);
                seen.borrow_mut().push(Seen { at, took, outcome });
            });
            while running.try_join_next().is_some() {}
        }
        while running.join_next().await.is_some() {}
        let mut seen = seen.take();
        seen.sort_by_key(|request| request.at);
        seen
    }
}

async fn ask_once(proxy: SocketAddr, idle: &Idle) -> Result<Box<str>, String> {
    let waiting = loop {
        let last = idle.borrow_mut().pop();
        match last {
            Some(connection) if !connection.is_open() => {}
            waiting => break waiting,
        }
    };
    let mut connection = match waiting {
        Some(connection) => connection,
        None => Connection::open(proxy).await?,
    };
    let answer = connection.ask().await?;
    idle.borrow_mut().push(connection);
    Ok(answer)
}
