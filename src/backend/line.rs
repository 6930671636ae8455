//! Those who wait for room, in order.
//!
//! A [`Line`] knows nothing of the room itself: that is a word of its user's, taken and given back
//! without the line while nobody waits. What the line has is who is next, and who has been *called*
//! to look for room.
//!
//! ```text
//!            join                  call                     room taken: leave
//! newcomer ────────> waiting ────────────────> called ──────────────────────────> gone
//!                       ^                       │ │
//!                       └──── wait_again, ──────┘ └── dropped: whoever is next is called
//!                             pass_on
//! ```
//!
//! # Protocol
//!
//! Who finds nobody in line ([`Line::is_empty`]) takes room if there is some. All others join, and
//! take room only when they are called. What must not happen is that one waits while there is room
//! that nobody has been called for. It cannot, if after each step of one's own (room given back, a
//! limit raised, joined, left with the room, waiting again) one does [`Line::call`], which reads
//! how much room there is *after* a fence, and calls as many as that. Of one who joins and one who
//! gives room back, at least one sees what the other did. Whoever is counted as called does the
//! same after its own next step, so what it has hidden from others is found by itself.
//!
//! # Where one room is not as good as another
//!
//! Whoever gives back does [`Line::call_next`]. Who was called and finds room that it cannot use
//! does [`Place::pass_on`], and nobody does `call`, which would begin at the front again. After
//! `join`, `wait_again` and `pass_on` one looks for room once more: what was given back in the
//! meantime had another called. Where any room will do, it is enough if the one that [came
//! first](Place::came_first) looks: those behind it are called by whoever leaves. Who leaves while
//! there is other room does `call_next`.
//!
//! # Costs
//!
//! A lock for as long as it takes to change a few links, only for those who wait and for who calls
//! them. Work does not grow with the length of the line: finding the next one steps over those who
//! have been called and have not answered yet, and over no others.

mod order;
#[cfg(all(test, not(evenkeel_loom)))]
mod tests;

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use self::order::Order;
use crate::sync::{AtomicU32, Mutex, MutexGuard, Ordering, fence};

/// Those who wait for room, in order.
pub(crate) struct Line {
    /// How many are in it, called or not. Changed under the lock. `Relaxed`: the fences in
    /// [`Line::call`] order it with the user's word.
    length: AtomicU32,
    order: Mutex<Order>,
}

/// One's place in a [`Line`].
///
/// # Cancel safety
///
/// It can be dropped at any time. If it had been called, whoever is next is called instead.
pub(crate) struct Place {
    line: Arc<Line>,
    slot: u32,
    came_first: bool,
    /// Whether it leaves with room.
    has_room: bool,
}

impl Line {
    /// A line of so many at most. Newest first, a newcomer is next, but does not take the place of
    /// another in a line that is full: it is refused like everybody.
    pub(crate) fn new(bound: u32, newest_first: bool) -> Self {
        Self {
            length: AtomicU32::new(0),
            order: Mutex::new(Order::new(bound, newest_first)),
        }
    }

    /// Changes the bound for those who join from now on. Nobody in line is sent away.
    pub(crate) fn set_bound(&self, bound: u32) {
        self.lock().set_bound(bound);
    }

    /// Changes where those are put who join from now on.
    pub(crate) fn set_newest_first(&self, newest_first: bool) {
        self.lock().set_newest_first(newest_first);
    }

    /// Both at once.
    pub(crate) fn set(&self, bound: u32, newest_first: bool) {
        let mut order = self.lock();
        order.set_bound(bound);
        order.set_newest_first(newest_first);
    }

    /// Whether nobody is in line: one atomic load.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are in line, called or not.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.length.load(Ordering::Relaxed)
    }

    /// Joins the line, to be woken when it is called; `None` if the line is full.
    ///
    /// Followed by [`call`](Self::call): there may be room by now.
    pub(crate) fn join(line: &Arc<Self>, waker: &Waker) -> Option<Place> {
        let waker = waker.clone();
        let (slot, came_first) = {
            let mut order = line.lock();
            let slot = order.join(waker)?;
            line.length.store(order.len(), Ordering::Relaxed);
            (slot, order.len() == 1)
        };
        // For those who look for room themselves.
        fence(Ordering::SeqCst);
        let line = Arc::clone(line);
        Some(Place {
            line,
            slot,
            came_first,
            has_room: false,
        })
    }

    /// Calls those who are next until as many have been called as there is room for. `room` is
    /// asked only if there is anybody in line.
    #[inline]
    pub(crate) fn call(&self, room: impl FnOnce() -> u32) {
        if self.has_any() {
            let room = room();
            if room > 0 {
                self.wake(|order, wakers| while order.called() < room && order.call(wakers) {});
            }
        }
    }

    /// Calls whoever is next and has not been called: room has been given back.
    #[inline]
    pub(crate) fn call_next(&self) {
        if self.has_any() {
            self.wake(|order, wakers| _ = order.call(wakers));
        }
    }

    /// Calls all: it may be that what is room for them is not what it was.
    pub(crate) fn call_all(&self) {
        if self.has_any() {
            self.wake(|order, wakers| while order.call(wakers) {});
        }
    }

    /// The same as [`call`](Self::call), for who has given room back by a step of `SeqCst` just
    /// before: that step and this load are in the one order of such operations, in which the fence
    /// of who joins is, too, so that no fence is needed here. (A model knows no such order.)
    #[inline]
    pub(crate) fn call_after_step(&self, room: impl FnOnce() -> u32) {
        if self.has_any_after_step() {
            self.call(room);
        }
    }

    /// The same as [`call_next`](Self::call_next), after such a step.
    #[inline]
    pub(crate) fn call_next_after_step(&self) {
        if self.has_any_after_step() {
            self.call_next();
        }
    }

    #[inline]
    fn has_any_after_step(&self) -> bool {
        #[cfg(evenkeel_loom)]
        fence(Ordering::SeqCst);
        self.length.load(Ordering::SeqCst) != 0
    }

    /// Whether there is anybody in line, read after all that was done before.
    #[inline]
    fn has_any(&self) -> bool {
        fence(Ordering::SeqCst);
        !self.is_empty()
    }

    #[cold]
    fn wake(&self, call: impl FnOnce(&mut Order, &mut Wakers)) {
        let mut wakers = Wakers::default();
        call(&mut self.lock(), &mut wakers);
        // Not under the lock: a waker is somebody else's code.
        wakers.first.into_iter().for_each(Waker::wake);
        wakers.others.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether nobody was in line when it joined. Of those who come at the same time, one is first.
    pub(crate) fn came_first(&self) -> bool {
        self.came_first
    }

    /// Ready if it has been called, and until it answers to that. Otherwise keeps the waker.
    ///
    /// The answer is one of [`leave`](Self::leave), [`wait_again`](Self::wait_again) and
    /// [`pass_on`](Self::pass_on).
    pub(crate) fn poll_called(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let (called, unused) = self.line.lock().poll_called(self.slot, waker);
        // Not under the lock: it may be the last of its task, and drop that.
        drop(unused);
        if called {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Called, but there was no room: the same place in the line, and nobody else is called.
    ///
    /// Followed by [`Line::call`], or by another look: there may be room by now.
    pub(crate) fn wait_again(&mut self) {
        self.line.lock().wait_again(self.slot);
        fence(Ordering::SeqCst);
    }

    /// Called, but the room is of no use here: the same place in the line, and whoever is next
    /// behind it is called. Never one before it, so that it ends.
    ///
    /// Followed by another look: there may be other room by now.
    pub(crate) fn pass_on(&mut self) {
        let slot = self.slot;
        self.line.wake(|order, wakers| order.pass_on(slot, wakers));
        fence(Ordering::SeqCst);
    }

    /// Leaves with the room. A call is answered by that.
    ///
    /// Followed by [`Line::call`]: there may be room for more.
    pub(crate) fn leave(mut self) {
        self.has_room = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (called, unused) = {
            let mut order = self.line.lock();
            let left = order.leave(self.slot);
            self.line.length.store(order.len(), Ordering::Relaxed);
            left
        };
        drop(unused);
        if called && !self.has_room {
            self.line.call_next();
        }
    }
}

/// Who is to be woken: rarely more than one.
#[derive(Default)]
struct Wakers {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Wakers {
    fn add(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.others.push(waker);
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("length", &self.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}
