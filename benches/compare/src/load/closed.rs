//! A closed loop: each client sends its next request as soon as it has the answer to the last.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use super::connection::Connection;
use super::{PATIENCE, Seen};

/// Running clients, each over a connection of its own.
pub(crate) struct Closed {
    state: Rc<State>,
    clients: JoinSet<()>,
}

struct State {
    begun: Instant,
    /// How many requests the clients may still begin.
    left: Cell<usize>,
    seen: RefCell<Vec<Seen>>,
}

impl Closed {
    /// Begins on this thread; to be called within a [`LocalSet`]. It ends by itself after so many
    /// requests.
    pub(crate) fn begin(proxy: SocketAddr, clients: usize, requests: usize) -> Self {
        let state = Rc::new(State {
            begun: Instant::now(),
            left: Cell::new(requests),
            seen: RefCell::default(),
        });
        let mut running = JoinSet::new();
        for _ in 0..clients {
            running.spawn_local(ask_on(proxy, Rc::clone(&state)));
        }
        Self {
            state,
            clients: running,
        }
    }

    /// Forgets what was seen until now.
    pub(crate) fn forget(&self) {
        self.state.seen.borrow_mut().clear();
    }

    /// Stops the clients now, and returns what they have seen.
    pub(crate) async fn stop(mut self) -> Vec<Seen> {
        let seen = self.state.seen.take();
        self.clients.shutdown().await;
        seen
    }

    /// Waits until all requests have ended, and returns what the clients have seen.
    pub(crate) async fn finish(mut self) -> Vec<Seen> {
        while self.clients.join_next().await.is_some() {}
        self.state.seen.take()
    }
}

/// Asks so many times, from so many clients.
pub(crate) async fn ask(proxy: SocketAddr, clients: usize, requests: usize) -> Vec<Seen> {
    let set = LocalSet::new();
    set.run_until(async { Closed::begin(proxy, clients, requests).finish().await })
        .await
}

async fn ask_on(proxy: SocketAddr, state: Rc<State>) {
    let mut connection = None;
    while state.left.get() > 0 {
        state.left.set(state.left.get() - 1);
        let sent = Instant::now();
        let asked = timeout(PATIENCE, ask_once(proxy, &mut connection)).await;
        let outcome = asked.unwrap_or_else(|_| Err("no answer in 30 s".into()));
        if outcome.is_err() {
            // Against a proxy that refuses everything at once.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        state.seen.borrow_mut().push(Seen {
            at: sent - state.begun,
            took: sent.elapsed(),
            outcome,
        });
    }
}

async fn ask_once(
    proxy: SocketAddr,
    connection: &mut Option<Connection>,
) -> Result<Box<str>, String> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::open(proxy).await?,
    };
    let answer = open.ask().await;
    // Not is_open, whose system call would be a third for each request.
    *connection = answer.is_ok().then_some(open).filter(Connection::may_stay);
    answer
}
