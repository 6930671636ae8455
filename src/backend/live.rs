use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::drained::Waiters;
use super::gate::{Gate, Guard};
use super::latency::{Average, Waiting};
use super::level::{Home, Pieces, Place};
use super::notes::Notes;
use super::record::{Record, Wants};
use super::room::{Lines, MaxInFlight, Room};
use super::{Alarms, Handle, LatencySettings, Outcome, Total};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::time::since_epoch;

/// What is shared by everyone who holds on to one backend: snapshots, requests, bodies.
///
/// Small on purpose. A load picker touches one of these for each candidate, and the first
/// cache line (with the `Arc`'s own counters) is all that it needs.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Live {
    /// The count of requests in flight, and whether each change of it is to be indexed or counted
    /// in a total, and its end to be told; whether outcomes are to be recorded, and latencies. The
    /// upper half is the place at which it is indexed.
    ///
    /// The count is a hint to pickers; nothing is published through it. The flags publish `home`,
    /// `total`, `waiters` and `record`: hence `Release` where they are set and `Acquire` where they
    /// are found.
    in_flight: AtomicU64,
    /// How many requests it takes at once; [`UNLIMITED`] is no limit. `Relaxed`: who reads an old
    /// one has come before the change.
    limit: AtomicU32,
    handle: Handle,
    average: Average,
    waiting: Waiting,
    home: OnceLock<Home>,
    /// Boxed, so that backends stay close together.
    aside: OnceLock<Box<Aside>>,
    id: Arc<str>,
    latency: LatencySettings,
    total: OnceLock<Total>,
}

/// What not every backend has. What each request touches, if any, comes first.
#[derive(Debug)]
#[repr(C)]
struct Aside {
    record: Record,
    gate: Gate,
    waiters: Waiters,
    room: OnceLock<Room>,
}

/// What is to be recorded of a backend's requests beside their outcomes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recording {
    /// Whether their latency is measured.
    pub(crate) measured: bool,
    /// And whether it is kept.
    pub(crate) latencies: bool,
}

const UNLIMITED: u32 = u32::MAX;

const INDEXED: u64 = 1 << 31;
const COUNTED: u64 = 1 << 30;
/// Somebody waits, or has waited, for the last request to end.
const AWAITED: u64 = 1 << 29;
const RECORDED: u64 = 1 << 28;
/// And their latencies, of some of them.
const MEASURED: u64 = 1 << 27;
/// What makes a step of the count more than that.
const STEPS: u64 = INDEXED | COUNTED | AWAITED;
const FLAGS: u64 = STEPS | RECORDED | MEASURED;
const PLACE_BITS: u32 = 32;
const _: () = assert!((RECORDED / MEASURED) * Notes::MEASURED == Notes::RECORDED);

impl Live {
    pub(crate) fn new(id: Arc<str>, handle: Handle, latency: LatencySettings) -> Self {
        Self {
            in_flight: AtomicU64::new(0),
            limit: AtomicU32::new(UNLIMITED),
            handle,
            average: Average::new(),
            waiting: Waiting::new(),
            home: OnceLock::new(),
            aside: OnceLock::new(),
            id,
            latency,
            total: OnceLock::new(),
        }
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.aside().gate
    }

    /// What its gate says.
    pub(crate) fn guard(&self) -> Guard {
        self.aside
            .get()
            .map_or(Guard::Open, |aside| aside.gate.look())
    }

    #[inline]
    pub(crate) fn record(&self) -> Option<&Record> {
        self.aside.get().map(|aside| &aside.record)
    }

    fn aside(&self) -> &Aside {
        self.aside.get_or_init(|| {
            Box::new(Aside {
                gate: Gate::new(),
                waiters: Waiters::default(),
                room: OnceLock::new(),
                record: Record::new(self.handle),
            })
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn shared_id(&self) -> &Arc<str> {
        &self.id
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle
    }

    #[inline]
    pub(crate) fn in_flight(&self) -> usize {
        count(self.in_flight.load(Ordering::Relaxed)) as usize
    }

    /// How many requests it takes at once, if there is a limit.
    #[inline]
    pub(crate) fn max_in_flight(&self) -> Option<u32> {
        let limit = self.limit.load(Ordering::Relaxed);
        (limit != UNLIMITED).then_some(limit)
    }

    /// From now on it takes so many requests at once. Whoever waits has to be called by the caller.
    pub(crate) fn set_limit(&self, max: Option<MaxInFlight>, lines: &Arc<Lines>) {
        let Some(max) = max else {
            self.limit.store(UNLIMITED, Ordering::Relaxed);
            return;
        };
        let room = self
            .aside()
            .room
            .get_or_init(|| Room::new(Arc::clone(lines)));
        self.limit.store(room.set(max), Ordering::Relaxed);
    }

    fn room(&self) -> Option<&Room> {
        self.aside.get()?.room.get()
    }

    /// Whether the limit follows the latency of requests, which has to be measured then.
    pub(crate) fn is_adaptive(&self) -> bool {
        self.room().is_some_and(Room::is_adaptive)
    }

    /// From now on each change of the count is indexed at `place`, and no longer where it was. One
    /// caller at a time.
    pub(crate) fn index(&self, pieces: &Arc<Pieces>, place: Option<Place>) {
        if self.home.get().is_none()
            && let Some(home) = place.and_then(|place| Home::new(pieces, place))
        {
            let _ = self.home.set(home);
        }
        let Some(home) = self.home.get() else {
            return;
        };
        let indexed = |place: Place| u64::from(place.to_bits()) << PLACE_BITS | INDEXED;
        let place = place.map_or(0, indexed);
        // Nobody else changes these bits, so that toggling what differs sets them, in one step.
        let known = self.in_flight.load(Ordering::Relaxed);
        let known = known & (u64::MAX << PLACE_BITS | INDEXED);
        let before = self.in_flight.fetch_xor(known ^ place, Ordering::Release);
        for word in [before, place] {
            if word & INDEXED != 0 {
                home.toggle(place_in(word), count(before));
            }
        }
    }

    /// From now on its requests are part of a total.
    pub(crate) fn count_in(&self, total: &Total) {
        let total = self.total.get_or_init(|| total.clone());
        let before = self.in_flight.fetch_or(COUNTED, Ordering::Release);
        if before & COUNTED == 0 {
            total.add(count(before));
        }
    }

    /// From now on the outcomes of requests are recorded, and the latencies of some if they are to
    /// be measured.
    pub(crate) fn record_for(&self, alarms: &Arc<Alarms>, recording: Recording) {
        self.aside().record.begin(alarms, recording.latencies);
        let flags = if recording.measured {
            RECORDED | MEASURED
        } else {
            self.in_flight.fetch_and(!MEASURED, Ordering::Relaxed);
            RECORDED
        };
        self.in_flight.fetch_or(flags, Ordering::Release);
    }

    pub(crate) fn stop_recording(&self) {
        let kept = !(RECORDED | MEASURED);
        self.in_flight.fetch_and(kept, Ordering::Relaxed);
    }

    /// From now on it is neither, and neither the index nor the total knows of this backend.
    pub(crate) fn retire(&self) {
        let kept = !(INDEXED | COUNTED);
        let before = self.in_flight.fetch_and(kept, Ordering::Relaxed);
        if before & INDEXED != 0
            && let Some(home) = self.home.get()
        {
            home.toggle(place_in(before), count(before));
        }
        if before & COUNTED != 0
            && let Some(total) = self.total.get()
        {
            total.sub(count(before));
        }
    }

    /// Returns whether no request is in flight. If not, wakes `waker` when the last has ended.
    pub(super) fn wait_until_idle(&self, ticket: u64, waker: &Waker) -> bool {
        self.aside().waiters.insert(ticket, waker);
        // Either this sees that it has ended, or its end sees the flag.
        count(self.in_flight.fetch_or(AWAITED, Ordering::AcqRel)) == 0
    }

    pub(super) fn stop_waiting(&self, ticket: u64) {
        if let Some(aside) = self.aside.get() {
            aside.waiters.remove(ticket);
        }
    }

    /// The latency to expect, as far as anything is known; see the module's docs.
    #[inline]
    pub(crate) fn latency(&self, now: Instant) -> Option<Duration> {
        let now = since_epoch(now);
        let average = self.average.read(now, self.latency)?;
        let seconds = match self.waiting.mean_age(now) {
            Some(age) => average.max(age),
            None => average,
        };
        // By way of whole nanoseconds, which is faster than from seconds and cannot fail: the cast
        // saturates.
        Some(Duration::from_nanos((seconds * 1e9) as u64))
    }
}

#[inline]
fn count(word: u64) -> u32 {
    (word as u32) & !(FLAGS as u32)
}

#[inline]
fn place_in(word: u64) -> Place {
    Place::from_bits((word >> PLACE_BITS) as u32)
}

/// What is to be noted of a request.
#[inline]
fn notes(before: u64) -> Notes {
    // The two flags are neighbours, here as there.
    Notes::new((before / MEASURED) & (Notes::RECORDED | Notes::MEASURED))
}

/// The steps of one request; [`Completion`](super::Completion) pairs them.
impl Live {
    #[inline]
    pub(super) fn enter(&self) -> Notes {
        let before = self.in_flight.fetch_add(1, Ordering::Acquire);
        if before & STEPS != 0 {
            self.stepped(before, count(before), Total::add);
        }
        notes(before)
    }

    /// Counts a request in if there are fewer than that, exactly. Where others wait, it is they who
    /// are next, unless this is one of them, who was called.
    pub(super) fn enter_below(&self, limit: u32, called: bool) -> Option<Notes> {
        if !called
            && self
                .room()
                .is_some_and(|room| !room.lines().anyone.is_empty())
        {
            return None;
        }
        let mut before = self.in_flight.load(Ordering::Relaxed);
        loop {
            if count(before) >= limit {
                return None;
            }
            let entered = self.in_flight.compare_exchange_weak(
                before,
                before + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            match entered {
                Ok(_) => break,
                Err(other) => before = other,
            }
        }
        if before & STEPS != 0 {
            self.stepped(before, count(before), Total::add);
        }
        Some(notes(before))
    }

    #[inline]
    pub(super) fn leave(&self) {
        // `SeqCst` for those who wait for room; see `Line::call_after_step`.
        let before = self.in_flight.fetch_sub(1, Ordering::SeqCst);
        if before & STEPS != 0 {
            let left = count(before) - 1;
            self.stepped(before, left, Total::sub);
            if before & AWAITED != 0
                && left == 0
                && let Some(aside) = self.aside.get()
            {
                aside.waiters.wake();
            }
        }
        if self.limit.load(Ordering::Relaxed) != UNLIMITED {
            self.give_room();
        }
    }

    #[inline(never)]
    fn give_room(&self) {
        if let Some(room) = self.room() {
            room.lines().call_next_after_step();
        }
    }

    /// Between a count and the next higher one.
    fn stepped(&self, before: u64, lower: u32, count: fn(&Total, u32)) {
        if before & INDEXED != 0
            && let Some(home) = self.home.get()
        {
            home.step(place_in(before), lower);
        }
        if before & COUNTED != 0
            && let Some(total) = self.total.get()
        {
            count(total, 1);
        }
    }

    /// Starts to count the time until the response head.
    #[inline]
    pub(super) fn await_head(&self, since: u64) {
        self.waiting.enter(since);
    }

    /// Ends it; returns how long it took.
    #[inline]
    pub(super) fn end_await(
        &self,
        since: u64,
        averaged: bool,
        outcome: Outcome,
        now: u64,
    ) -> Duration {
        let latency = now.saturating_sub(since);
        if averaged {
            self.average.record(latency, outcome, now, self.latency);
            self.waiting.leave(since);
        }
        if self.in_flight.load(Ordering::Relaxed) & MEASURED != 0
            && let Some(record) = self.record()
        {
            record.note_latency(latency, outcome, now);
        }
        if self.limit.load(Ordering::Relaxed) != UNLIMITED {
            self.sample(latency, outcome);
        }
        Duration::from_nanos(latency)
    }

    /// Lets a limit that follows the latency follow it.
    #[inline(never)]
    fn sample(&self, latency: u64, outcome: Outcome) {
        let Some(room) = self.room() else {
            return;
        };
        // Before it is known whether the limit adapts still.
        let before = self.limit.load(Ordering::Relaxed);
        let Some(limit) = room.sample(latency, self.in_flight() as u32, outcome) else {
            return;
        };
        if limit != before && before != UNLIMITED {
            // Not over one that was set meanwhile.
            let _ =
                self.limit
                    .compare_exchange(before, limit, Ordering::Relaxed, Ordering::Relaxed);
            for _ in before..limit {
                room.lines().call_next();
            }
        }
    }

    /// How many requests wait for their head, of those that are measured, and for how long
    /// together, in nanoseconds.
    pub(crate) fn total_age(&self, now: Instant) -> (u64, u64) {
        self.waiting.total_age(since_epoch(now))
    }

    /// Only once it is recorded.
    #[inline]
    pub(super) fn note_outcome(&self, outcome: Outcome) {
        if let Some(record) = self.record() {
            record.note(outcome);
        }
    }

    pub(super) fn retry_at(&self, time: u64) {
        if let Some(record) = self.record() {
            record.retry_at(time);
            record.raise(Wants::REJECTED);
        }
    }

    pub(super) fn is_degraded(&self) {
        if let Some(record) = self.record() {
            record.raise(Wants::DEGRADED);
        }
    }

    /// Takes the trial, if nobody else has it; see [`Gate::take`].
    pub(crate) fn take_trial(&self, epoch: NonZeroU32) -> bool {
        let taken = self.gate().take(epoch);
        // From now on it has its time to answer.
        if let Some(record) = self.record().filter(|_| taken) {
            record.raise(Wants::TRIAL);
        }
        taken
    }

    pub(super) fn end_trial(&self, epoch: NonZeroU32, outcome: Outcome) {
        let tells = self.gate().end(epoch, outcome);
        if let Some(record) = self.record().filter(|_| tells) {
            record.raise(Wants::TRIAL);
        }
    }
}
