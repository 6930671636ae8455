use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// What is to happen, and when, in nanoseconds since the start.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(u64, Due)>>,
}

/// Small, since each is moved several times. What falls on the same nanosecond happens in this
/// order, so that a run does not depend on anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// One of the changes of the scenario, by its number.
    Change(u32),
    /// A server gets another capacity.
    Redraw { server: u32 },
    /// Something else begins, or ceases, to need a server.
    Disturbance { server: u32, begins: bool },
    /// A job of a server ends; see [`Server::expects`](super::server::Server::expects).
    End { server: u32, entry: u32 },
}

impl Agenda {
    pub(super) fn add(&mut self, at: u64, due: Due) {
        self.heap.push(Reverse((at, due)));
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|&Reverse((at, _))| at)
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Due)> {
        self.heap.pop().map(|Reverse(next)| next)
    }
}

/// What happens to each thing after the same time, so that it needs no sorting.
#[derive(Debug)]
pub(super) struct Lane<T> {
    delay: u64,
    queue: VecDeque<(u64, T)>,
}

impl<T> Lane<T> {
    pub(super) fn new(delay: u64) -> Self {
        Self {
            delay,
            queue: VecDeque::new(),
        }
    }

    pub(super) fn delay(&self) -> u64 {
        self.delay
    }

    pub(super) fn add(&mut self, now: u64, thing: T) {
        self.queue
            .push_back((now.saturating_add(self.delay), thing));
    }

    pub(super) fn next(&self) -> Option<&(u64, T)> {
        self.queue.front()
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.next().map(|&(at, _)| at)
    }

    pub(super) fn pop(&mut self) -> Option<(u64, T)> {
        self.queue.pop_front()
    }
}
