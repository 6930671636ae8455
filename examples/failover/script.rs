//! What is done to the backends, and what has to follow.

use std::time::Duration;

use evenkeel::Pool;
use evenkeel::backend::State;
use evenkeel::http::Address;
use evenkeel::set::{Events, TierStatus};
use tokio::time::{sleep, timeout};

use crate::server::{Condition, Server};
use crate::timeline::Timeline;
use crate::traffic::{Traffic, lock};
use crate::{BoxError, NAMES, promise};

/// Far longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Script {
    pool: Pool<Address>,
    servers: Vec<Server>,
    events: Events,
    timeline: Timeline,
}

impl Script {
    pub(crate) fn new(pool: Pool<Address>, servers: Vec<Server>, timeline: Timeline) -> Self {
        Self {
            events: pool.events(),
            pool,
            servers,
            timeline,
        }
    }

    pub(crate) async fn run(mut self, traffic: &Traffic) -> Result<(), BoxError> {
        self.act("a, b and c share the work, and the backup rests");
        sleep(Duration::from_millis(1200)).await;
        self.one_fails().await?;
        self.all_go_down().await?;
        self.health_checks_break(traffic).await?;
        self.an_operator_decides().await
    }

    async fn one_fails(&mut self) -> Result<(), BoxError> {
        self.act("b answers 500, while its health check says that all is well");
        self.server("b").set(Condition::Fails);
        self.until("b", State::Ejected).await?;
        // Long enough for the first trial, which fails and makes the next ejection longer.
        sleep(Duration::from_secs(1)).await;

        self.act("b works again: its next trial succeeds, and it starts slowly");
        self.server("b").set(Condition::Well);
        self.until("b", State::Healthy).await?;
        sleep(Duration::from_millis(2200)).await;
        Ok(())
    }

    async fn all_go_down(&mut self) -> Result<(), BoxError> {
        self.act("a is killed: connections are refused");
        self.server("a").kill().await;
        self.until("a", State::Unhealthy).await?;
        sleep(Duration::from_secs(1)).await;

        self.act("c hangs: requests time out");
        self.server("c").set(Condition::Hangs);
        self.until("c", State::Unhealthy).await?;

        // Not by its traffic this time: half of the backends are out, and no more may be ejected.
        self.act("b is killed, too: probes find out, and all the work goes to the backup");
        self.server("b").kill().await;
        self.until("b", State::Unhealthy).await?;
        promise(self.share_of_backup() > 0.99, "the backup has taken over")?;
        sleep(Duration::from_secs(1)).await;

        self.act("all three come back");
        self.server("a").restart().await?;
        self.server("b").restart().await?;
        self.server("c").set(Condition::Well);
        for name in ["a", "b", "c"] {
            self.until(name, State::Healthy).await?;
        }
        promise(self.share_of_backup() < 0.01, "the backup rests again")?;
        sleep(Duration::from_millis(1500)).await;
        Ok(())
    }

    async fn health_checks_break(&mut self, traffic: &Traffic) -> Result<(), BoxError> {
        self.act("every health check breaks, and nothing else: so many cannot be wrong");
        for server in &self.servers {
            server.set(Condition::LooksIll);
        }
        for name in NAMES {
            self.until(name, State::Unhealthy).await?;
        }
        promise(self.pool.status().is_in_panic(), "health is ignored")?;
        let before = lock(&traffic.counts()).clone();
        sleep(Duration::from_secs(1)).await;
        let meanwhile = lock(&traffic.counts()).since(&before);
        // Not each one: a busy machine may let time run out.
        let served = meanwhile.failed() * 20 <= meanwhile.sent();
        promise(served, "requests are answered all the same")?;

        self.act("the health checks are repaired");
        for server in &self.servers {
            server.set(Condition::Well);
        }
        for name in NAMES {
            self.until(name, State::Healthy).await?;
        }
        sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    async fn an_operator_decides(&mut self) -> Result<(), BoxError> {
        self.act("an operator drains c, to switch it off when its last request has ended");
        let drained = self.pool.drained("c").ok_or("c is no member")?;
        timeout(PATIENCE, drained).await?;
        self.timeline.note("c has nothing left to do");
        sleep(Duration::from_millis(800)).await;
        self.pool.undrain("c");

        self.act("b's health check breaks; an operator knows better, and takes a out instead");
        self.server("b").set(Condition::LooksIll);
        self.until("b", State::Unhealthy).await?;
        self.pool.force_up("b");
        self.pool.force_down("a");
        sleep(Duration::from_millis(1200)).await;

        self.act("it is repaired, and health decides again");
        self.server("b").set(Condition::Well);
        self.pool.unforce("a");
        self.pool.unforce("b");
        self.until("a", State::Healthy).await?;
        self.until("b", State::Healthy).await
    }

    fn act(&self, what: &str) {
        self.timeline.act(what);
    }

    fn server(&mut self, name: &str) -> &mut Server {
        let at = NAMES.iter().position(|known| *known == name);
        &mut self.servers[at.expect("one of the four")]
    }

    fn share_of_backup(&self) -> f64 {
        let status = self.pool.status();
        status.tiers().last().map_or(0.0, TierStatus::share)
    }

    async fn until(&mut self, name: &str, state: State) -> Result<(), BoxError> {
        let reached = async {
            while self
                .pool
                .get(name)
                .is_some_and(|info| info.state() != state)
            {
                self.events.next().await;
            }
        };
        let reached = timeout(PATIENCE, reached).await;
        reached.map_err(|_| format!("{name} is not {state} after {PATIENCE:?}").into())
    }
}
