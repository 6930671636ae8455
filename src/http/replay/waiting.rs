use std::task::Waker;

/// The copies that wait for a body which another has.
#[derive(Default)]
pub(super) struct Waiting {
    wakers: Vec<(Ticket, Waker)>,
    tickets: u64,
}

/// Tells a copy that waits from the others. One that was taken off the list can be put back on it.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Ticket(u64);

impl Waiting {
    /// Puts a copy on the list, or changes its waker; returns what is to be dropped without a lock.
    pub(super) fn add(&mut self, ticket: &mut Option<Ticket>, waker: Waker) -> Option<Waker> {
        let ticket = *ticket.get_or_insert_with(|| {
            self.tickets += 1;
            Ticket(self.tickets)
        });
        if let Some((_, before)) = self.wakers.iter_mut().find(|(of, _)| *of == ticket) {
            return Some(std::mem::replace(before, waker));
        }
        self.wakers.push((ticket, waker));
        None
    }

    /// Takes a copy off the list; returns what is to be dropped without a lock.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waker> {
        let at = self.wakers.iter().position(|(of, _)| *of == ticket)?;
        Some(self.wakers.swap_remove(at).1)
    }

    /// Takes all off the list, to be woken without a lock.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        let wakers = std::mem::take(&mut self.wakers);
        wakers.into_iter().map(|(_, waker)| waker)
    }
}
