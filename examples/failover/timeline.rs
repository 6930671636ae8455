//! What is printed: one line for each thing that happens, with the seconds since the start.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use evenkeel::Pool;
use evenkeel::http::Address;
use tokio::time::interval;

use crate::traffic::{Counts, lock};

#[derive(Clone, Copy)]
pub(crate) struct Timeline {
    start: Instant,
}

impl Timeline {
    pub(crate) fn begin() -> Self {
        println!(
            "seconds  * what is done; what the pool makes of it; and who answered, in each second"
        );
        let start = Instant::now();
        Self { start }
    }

    /// What is done to a backend.
    pub(crate) fn act(&self, what: &str) {
        println!();
        self.line(Instant::now(), &format!("* {what}"));
    }

    /// What came of it.
    pub(crate) fn note(&self, what: &str) {
        self.line(Instant::now(), &format!("  {what}"));
    }

    /// What the pool makes of it, as it happens, and each second who answered how much.
    pub(crate) async fn follow(self, pool: Pool<Address>, counts: Arc<Mutex<Counts>>) {
        let mut events = pool.events();
        let mut seconds = interval(Duration::from_secs(1));
        let mut last = Counts::default();
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event else { return };
                    self.line(event.at(), &format!("  {event}"));
                }
                _ = seconds.tick() => {
                    let now = lock(&counts).clone();
                    if now.sent() > 0 {
                        self.line(Instant::now(), &format!("    {}", now.since(&last)));
                    }
                    last = now;
                }
            }
        }
    }

    fn line(&self, at: Instant, what: &str) {
        let seconds = at.saturating_duration_since(self.start).as_secs_f64();
        println!("{seconds:>7.2}  {what}");
    }
}
