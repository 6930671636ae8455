//! The order of a line: a doubly linked list in a slab, whose slots are used again.

use std::task::Waker;

use super::Wakers;

/// No slot.
const NONE: u32 = u32::MAX;

/// The order of a line, under its lock.
///
/// Whoever comes out of here with a waker drops or wakes it outside of the lock.
pub(super) struct Order {
    nodes: Vec<Node>,
    /// The first slot that is not in use; `Node::next` leads to the others.
    vacant: u32,
    head: u32,
    tail: u32,
    /// All before this one have been called. This one may have been, too.
    next: u32,
    length: u32,
    called: u32,
    bound: u32,
    newest_first: bool,
}

struct Node {
    before: u32,
    after: u32,
    /// Grows from the head to the tail, so that of two it is known which is before the other.
    position: i64,
    called: bool,
    waker: Option<Waker>,
}

impl Order {
    pub(super) fn new(bound: u32, newest_first: bool) -> Self {
        Self {
            nodes: Vec::new(),
            vacant: NONE,
            head: NONE,
            tail: NONE,
            next: NONE,
            length: 0,
            called: 0,
            bound,
            newest_first,
        }
    }

    pub(super) fn set_bound(&mut self, bound: u32) {
        self.bound = bound;
    }

    pub(super) fn set_newest_first(&mut self, newest_first: bool) {
        self.newest_first = newest_first;
    }

    pub(super) fn len(&self) -> u32 {
        self.length
    }

    pub(super) fn called(&self) -> u32 {
        self.called
    }

    pub(super) fn join(&mut self, waker: Waker) -> Option<u32> {
        // The last number is `NONE`.
        if self.length >= self.bound || self.length == NONE {
            return None;
        }
        let (before, after) = if self.newest_first {
            (NONE, self.head)
        } else {
            (self.tail, NONE)
        };
        let position = match (self.get(before), self.get(after)) {
            (Some(before), _) => before.position + 1,
            (None, Some(after)) => after.position - 1,
            (None, None) => 0,
        };
        let slot = self.store(Node {
            before,
            after,
            position,
            called: false,
            waker: Some(waker),
        });
        self.link(before, after, slot, slot);
        self.length += 1;
        self.is_next_if_first(slot);
        Some(slot)
    }

    /// Whether it has been called; and the waker that is not needed.
    pub(super) fn poll_called(&mut self, slot: u32, waker: Waker) -> (bool, Option<Waker>) {
        let node = &mut self.nodes[slot as usize];
        if node.called {
            return (true, Some(waker));
        }
        (false, node.waker.replace(waker))
    }

    /// Calls whoever is next; whether there was anybody.
    pub(super) fn call(&mut self, wakers: &mut Wakers) -> bool {
        self.next = self.waiting_from(self.next);
        let slot = self.next;
        self.mark_called(slot, wakers)
    }

    pub(super) fn wait_again(&mut self, slot: u32) {
        let node = &mut self.nodes[slot as usize];
        if node.called {
            node.called = false;
            self.called -= 1;
            self.is_next_if_first(slot);
        }
    }

    pub(super) fn pass_on(&mut self, slot: u32, wakers: &mut Wakers) {
        let node = &self.nodes[slot as usize];
        if node.called {
            let behind = match self.get(self.next) {
                // Nobody waits.
                None => NONE,
                Some(next) if next.position > node.position => self.next,
                Some(_) => node.after,
            };
            let behind = self.waiting_from(behind);
            self.mark_called(behind, wakers);
            self.wait_again(slot);
        }
    }

    /// Whether it had been called; and its waker.
    pub(super) fn leave(&mut self, slot: u32) -> (bool, Option<Waker>) {
        let node = &mut self.nodes[slot as usize];
        let (before, after) = (node.before, node.after);
        let (called, waker) = (std::mem::take(&mut node.called), node.waker.take());
        node.after = self.vacant;
        self.vacant = slot;
        self.link(before, after, after, before);
        if self.next == slot {
            self.next = after;
        }
        self.called -= u32::from(called);
        self.length -= 1;
        (called, waker)
    }

    #[cfg(all(test, not(evenkeel_loom)))]
    pub(super) fn slots(&self) -> usize {
        self.nodes.len()
    }

    fn mark_called(&mut self, slot: u32, wakers: &mut Wakers) -> bool {
        let Some(node) = self.nodes.get_mut(slot as usize) else {
            return false;
        };
        node.called = true;
        self.called += 1;
        if let Some(waker) = node.waker.take() {
            wakers.add(waker);
        }
        true
    }

    /// The first one from there on who has not been called.
    fn waiting_from(&self, mut slot: u32) -> u32 {
        while let Some(node) = self.get(slot)
            && node.called
        {
            slot = node.after;
        }
        slot
    }

    fn is_next_if_first(&mut self, slot: u32) {
        let position = self.nodes[slot as usize].position;
        if self
            .get(self.next)
            .is_none_or(|next| position < next.position)
        {
            self.next = slot;
        }
    }

    fn store(&mut self, node: Node) -> u32 {
        let slot = self.vacant;
        if let Some(vacant) = self.nodes.get_mut(slot as usize) {
            self.vacant = vacant.after;
            *vacant = node;
            slot
        } else {
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        }
    }

    /// Sets what comes after `before`, and what comes before `after`.
    fn link(&mut self, before: u32, after: u32, first: u32, last: u32) {
        match self.nodes.get_mut(before as usize) {
            Some(node) => node.after = first,
            None => self.head = first,
        }
        match self.nodes.get_mut(after as usize) {
            Some(node) => node.before = last,
            None => self.tail = last,
        }
    }

    fn get(&self, slot: u32) -> Option<&Node> {
        self.nodes.get(slot as usize)
    }
}
