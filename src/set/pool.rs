use std::collections::HashMap;
#[cfg(feature = "tower")]
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
#[cfg(feature = "http")]
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::BackendSet;
use super::Rules;
use super::book::Book;
use super::edit::{Changes, Edit, Op, Wish};
use super::events::{Events, Log};
use super::snapshot::Snapshot;
#[cfg(feature = "tower")]
use super::sources::Feeder;
use super::sources::Sources;
use super::status::PoolStatus;
use super::subscribers::{Subscriber, Subscribers};
use super::watched::{Verdict, Watching};
use super::weak_pool::WeakPool;
use crate::backend::{
    Alarms, Backend, BackendInfo, Completion, Guard, Handle, LatencySettings, Watch,
};
use crate::time::now;

/// The membership: which backends there are, shared and changed live.
///
/// Clones share the members. When a call that changes them returns, every balance over the pool
/// and every clone of it sees the change. A change that changes nothing publishes nothing.
///
/// # Identity
///
/// A backend is its id. As long as an id is a member, its requests in flight, its latency and its
/// handle are kept, whatever else about it changes. An id that is removed and inserted again is a
/// new member.
///
/// # Duplicates and weights
///
/// An id that is inserted twice, or stands twice in a list, is one member: the last one wins, in
/// the place of the first. Weights are any `u32`, relative to each other; sums never overflow. A
/// backend of weight 0 gets no new requests, like a drained one. When all have weight 0, none is
/// eligible, and requests fail with an error that says so.
///
/// # Cost
///
/// One change copies 128 members and writes 4 to 8 bytes for each of the others. Reading costs
/// nothing more for having many members.
///
/// # Panics
///
/// No method panics by itself. A change runs code of others: a value's `Clone` and a picker's
/// [`prepare`](crate::Picker::prepare). When that panics, the change does, after every other
/// balance has been told of it; the pool stays whole. A value's `Clone` must not use the pool: it
/// would deadlock.
///
/// # Examples
///
/// ```
/// use evenkeel::{Backend, Pool};
///
/// let pool = Pool::new();
/// pool.insert(Backend::new("a", "10.0.0.1:80"));
/// pool.insert(Backend::new("b", "10.0.0.2:80").weight(2));
/// assert_eq!(pool.len(), 2);
///
/// assert!(pool.drain("a"));
/// assert!(!pool.drain("no such backend"));
/// for backend in pool.list() {
///     println!("{backend}"); // a: draining, weight 1, 0 in flight …
/// }
/// ```
pub struct Pool<T> {
    pub(super) shared: Arc<Shared<T>>,
}

pub(super) struct Shared<T> {
    book: Mutex<Book<T>>,
    subscribers: Subscribers<T>,
    alarms: Arc<Alarms>,
    log: Arc<Log>,
    sources: Arc<Sources>,
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "who asks is of http")
    )]
    watched: Arc<AtomicBool>,
}

impl<T: Clone> Pool<T> {
    /// Creates an empty pool.
    pub fn new() -> Self {
        Self::with_latency(LatencySettings::new())
    }

    /// Creates an empty pool with settings of its own for how latency is learnt.
    pub fn with_latency(latency: LatencySettings) -> Self {
        let (alarms, log) = (Arc::new(Alarms::new()), Arc::new(Log::new()));
        let book = Book::new(latency, Arc::clone(&alarms), Arc::clone(&log));
        Self {
            shared: Arc::new(Shared {
                watched: book.watched.on(),
                book: Mutex::new(book),
                subscribers: Subscribers::new(),
                alarms,
                sources: Arc::new(Sources::new(Arc::clone(&log))),
                log,
            }),
        }
    }

    /// Inserts a backend. If its id is a member already, replaces its value and settings and
    /// keeps everything else. Returns whether it is a new member.
    ///
    /// Values cannot be compared in general, so this always publishes.
    pub fn insert(&self, backend: Backend<T>) -> bool {
        self.apply(vec![Op::Put(backend.into())]).inserted > 0
    }

    /// Removes a backend. Returns whether it was a member.
    ///
    /// It is never picked again; its running requests finish.
    pub fn remove(&self, id: &str) -> bool {
        self.apply(vec![Op::Remove(id.into())]).found()
    }

    /// Sets the weight of a backend. Returns whether it is a member.
    pub fn set_weight(&self, id: &str, weight: u32) -> bool {
        self.apply(vec![Op::Weight(id.into(), weight)]).found()
    }

    /// Makes the members equal to the list, order included: inserts what is new, removes what is
    /// not listed, updates what differs, and leaves the rest alone.
    ///
    /// For values that cannot be compared, such as services, use
    /// [`replace_all_with`](Self::replace_all_with).
    pub fn replace_all(&self, backends: impl IntoIterator<Item = Backend<T>>) -> Changes
    where
        T: PartialEq,
    {
        let wishes = backends.into_iter().map(Wish::from).collect();
        self.apply(vec![Op::ReplaceAll(wishes, T::eq)])
    }

    /// Makes the members equal to the list, order included, and makes values for new ones only: a
    /// member that stays keeps its value, whatever the list describes.
    ///
    /// `make` runs without any lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::{Backend, Pool};
    ///
    /// let pool = Pool::new();
    /// let mut connections = 0;
    /// for list in [vec!["a", "b"], vec!["b", "c"]] {
    ///     let backends = list.into_iter().map(|address| Backend::new(address, address));
    ///     pool.replace_all_with(backends, |address| {
    ///         connections += 1;
    ///         format!("connection to {address}")
    ///     });
    /// }
    /// assert_eq!(connections, 3);
    /// ```
    pub fn replace_all_with<D>(
        &self,
        backends: impl IntoIterator<Item = Backend<D>>,
        mut make: impl FnMut(D) -> T,
    ) -> Changes {
        let mut wishes = Vec::new();
        let mut described = Vec::new();
        let mut places = HashMap::new();
        for backend in backends {
            let wish = Wish {
                id: backend.id,
                settings: backend.settings,
                value: None,
            };
            // Of duplicates the last wins, in the place of the first, and one value is made.
            if let Some(&at) = places.get(&wish.id) {
                wishes[at] = wish;
                described[at] = Some(backend.value);
            } else {
                places.insert(Arc::clone(&wish.id), wishes.len());
                wishes.push(wish);
                described.push(Some(backend.value));
            }
        }
        // A value that was made for an id that someone else inserted meanwhile is dropped.
        let keep_known: fn(&T, &T) -> bool = |_, _| true;
        loop {
            let mut book = self.book();
            let missing: Vec<usize> = (0..wishes.len())
                .filter(|&at| wishes[at].value.is_none() && !book.contains(&wishes[at].id))
                .collect();
            if missing.is_empty() {
                let before = Arc::clone(book.snapshot());
                let (changes, _replaced) = book.apply(vec![Op::ReplaceAll(wishes, keep_known)]);
                self.publish(&before, book);
                return changes;
            }
            drop(book);
            for at in missing {
                wishes[at].value = described[at].take().map(&mut make);
            }
        }
    }

    /// Publishes any number of changes at once.
    pub fn edit(&self, edit: impl FnOnce(&mut Edit<T>)) -> Changes {
        let mut noted = Edit { ops: Vec::new() };
        edit(&mut noted);
        self.apply(noted.ops)
    }

    /// Returns the members with their settings and state, in the order in which they joined or
    /// were listed. O(n).
    pub fn list(&self) -> Vec<BackendInfo> {
        self.snapshot().list(now())
    }

    /// Returns one member's settings and state.
    pub fn get(&self, id: &str) -> Option<BackendInfo> {
        let book = self.book();
        let member = book.member(id)?;
        Some(book.snapshot().info(member, now()))
    }

    /// Returns all that can be said of the pool at this moment: each member, how many are in which
    /// state, what part of the requests each tier gets. O(n).
    pub fn status(&self) -> PoolStatus {
        let book = self.book();
        let snapshot = Arc::clone(book.snapshot());
        let (watched, records_traffic) = (book.watched.is_on(), book.watched.records_traffic());
        drop(book);
        let at = now();
        PoolStatus {
            tally: snapshot.tally.clone(),
            backends: snapshot.list(at),
            queued: snapshot.lines.len(),
            sources: self.shared.sources.list(),
            watched,
            records_traffic,
            at,
        }
    }

    /// Counts from now on how requests end, by backend, and keeps how long they took lately:
    /// [`BackendInfo::counts`] and [`BackendInfo::latencies`].
    ///
    /// Where health is [watched](crate::health), requests are counted anyway. Kept latencies take
    /// 2 KiB for each backend. There is no way back, and calling it again changes nothing.
    ///
    /// # Cost
    ///
    /// A request costs what it does where health is watched: an addition, and for one in eight the
    /// time of its beginning and end.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::backend::Outcome;
    /// use evenkeel::{Backend, Pool};
    ///
    /// let pool = Pool::from([Backend::new("a", ())]);
    /// pool.record_traffic();
    /// let (_, completion) = pool.start(|_| Some(0)).expect("a is eligible");
    /// completion.finish(Outcome::Success);
    /// assert_eq!(pool.status().counts().successes(), 1);
    /// ```
    pub fn record_traffic(&self) {
        self.book().record_traffic();
    }

    /// Returns how many requests wait for room at its backends; see [`Limits`](super::Limits).
    pub fn queued(&self) -> usize {
        self.snapshot().lines.len()
    }

    /// Returns what happens to the pool from now on.
    pub fn events(&self) -> Events {
        self.shared.log.read()
    }

    /// Sets how it is decided who is eligible.
    pub fn set_rules(&self, rules: Rules) {
        let mut book = self.book();
        let before = Arc::clone(book.snapshot());
        book.set_rules(rules);
        self.publish(&before, book);
    }

    /// Returns how it is decided who is eligible.
    pub fn rules(&self) -> Rules {
        (*self.snapshot().rules).clone()
    }

    /// Whether somebody watches its health.
    #[cfg(feature = "http")]
    pub(crate) fn is_watched(&self) -> bool {
        self.shared.watched.load(Ordering::Relaxed)
    }

    /// Returns a clone of one member's value: its service, or its address.
    pub fn value(&self, id: &str) -> Option<T> {
        self.book().member(id).map(|member| member.value.clone())
    }

    /// Returns how many members there are, eligible or not.
    pub fn len(&self) -> usize {
        self.book().snapshot().len_all()
    }

    /// Returns whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Picks a backend without tower: `choose` sees the eligible ones and returns a rank. What
    /// comes back is the backend's value, and the [`Completion`] that counts the request as in
    /// flight until it is finished or dropped.
    ///
    /// `choose` is asked once, so nobody is passed over: no [slow start](super::SlowStart), and a
    /// backend on trial takes what it is chosen for. For those there is a
    /// [`Selector`](crate::picker::Selector). Where several tiers or zones get requests, it
    /// sees one of them. One that is [full](super::Limits) is not chosen again: there is none then.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::backend::Outcome;
    /// use evenkeel::picker::{Context, RoundRobin};
    /// use evenkeel::{Backend, Picker, Pool};
    ///
    /// let pool = Pool::from([Backend::new("a", 8001), Backend::new("b", 8002)]);
    /// pool.drain("a");
    ///
    /// let picker = RoundRobin::new();
    /// let (port, completion) = pool
    ///     .start(|set| picker.pick(set, &(), &mut Context::new()))
    ///     .expect("b is eligible");
    /// assert_eq!((port, completion.backend()), (8002, "b"));
    /// assert_eq!(pool.get("b").unwrap().in_flight(), 1);
    ///
    /// completion.finish(Outcome::Success);
    /// assert_eq!(pool.get("b").unwrap().in_flight(), 0);
    /// ```
    pub fn start(
        &self,
        choose: impl FnOnce(&dyn BackendSet) -> Option<usize>,
    ) -> Option<(T, Completion)> {
        let snapshot = self.snapshot();
        let list = snapshot.draw(fastrand::u64(..));
        let member = list.member(choose(&**list)?)?;
        let trial = match member.live.guard() {
            Guard::Trial { epoch, .. } => {
                Some(epoch).filter(|&epoch| member.live.take_trial(epoch))
            }
            _ => None,
        };
        let live = &member.live;
        let completion = match live.max_in_flight() {
            None => Completion::begin(live, trial, Some(Watch::now(true)), None),
            Some(max) => {
                Completion::begin_below(live, (max, false), trial, Some(Watch::now(true)), None)?
            }
        };
        Some((member.value.clone(), completion))
    }

    pub(super) fn apply(&self, ops: Vec<Op<T>>) -> Changes {
        let mut book = self.book();
        let before = Arc::clone(book.snapshot());
        // Dropped when this returns, without the lock.
        let (changes, _replaced) = book.apply(ops);
        self.publish(&before, book);
        changes
    }

    /// Lets go of the lock, then tells all who want to know, if there is something new.
    fn publish(&self, before: &Arc<Snapshot<T>>, book: MutexGuard<'_, Book<T>>) {
        let snapshot = Arc::clone(book.snapshot());
        drop(book);
        self.shared.log.wake();
        self.shared.alarms.wake();
        if Arc::ptr_eq(before, &snapshot) {
            return;
        }
        self.shared.subscribers.tell(&snapshot);
        // A limit may be another, or a backend.
        snapshot.lines.call_all();
    }

    /// From now on `subscriber` is told of each snapshot; first of the present one, here.
    pub(crate) fn subscribe(&self, subscriber: &Arc<dyn Subscriber<T>>) {
        self.shared.subscribers.add(subscriber);
        subscriber.publish(&self.snapshot());
    }

    /// From now on the least loaded member is found without a walk, which costs each request about
    /// 20 ns; the requests at all members together are counted, which costs about 5 ns; or both.
    pub(crate) fn keep(&self, index: bool, total: bool) {
        let mut book = self.book();
        let before = Arc::clone(book.snapshot());
        book.keep(index, total);
        self.publish(&before, book);
    }

    /// Begins to watch the members' health; whoever did before has to end.
    pub(crate) fn watch(&self, watching: Watching) -> u64 {
        let mut book = self.book();
        let before = Arc::clone(book.snapshot());
        let watcher = book.carefully(|book| book.watch(watching));
        self.publish(&before, book);
        watcher
    }

    /// Ends that, if nobody has taken over: then health is forgotten, and nobody is left out that
    /// nobody would take back.
    pub(crate) fn unwatch(&self, watcher: u64) {
        let mut book = self.book();
        let before = Arc::clone(book.snapshot());
        book.carefully(|book| book.unwatch(watcher));
        self.publish(&before, book);
    }

    /// Applies what the watcher found out, and publishes it as one. Returns which of it was done: a
    /// backend may have left, or be too many to eject.
    pub(crate) fn judge(&self, watcher: u64, verdicts: Vec<(Handle, Verdict)>) -> Vec<bool> {
        let mut book = self.book();
        // Whoever has taken over has read what was known then, and must not miss anything.
        if !self.shared.alarms.is_watched_by(watcher) {
            return vec![false; verdicts.len()];
        }
        let before = Arc::clone(book.snapshot());
        // Both run code of others. That one picker's `prepare` panics (which is told by the panic
        // hook) is no reason to stop watching everybody's health.
        let count = verdicts.len();
        let judge = AssertUnwindSafe(|| book.carefully(|book| book.judge(verdicts)));
        let done = catch_unwind(judge).unwrap_or_else(|_| vec![false; count]);
        let _ = catch_unwind(AssertUnwindSafe(|| self.publish(&before, book)));
        done
    }

    #[cfg(any(feature = "tower", feature = "sim"))]
    pub(crate) fn handle(&self, id: &str) -> Option<Handle> {
        self.book().member(id).map(|member| member.live.handle())
    }

    #[cfg(feature = "tower")]
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.book().contains(id)
    }

    /// Which of these are no members.
    #[cfg(feature = "tower")]
    pub(crate) fn missing<'a>(&self, ids: impl Iterator<Item = &'a str>) -> HashSet<&'a str> {
        let book = self.book();
        ids.filter(|id| !book.contains(id)).collect()
    }

    /// Lists a source of the members; it leaves when what this returns is dropped.
    #[cfg(feature = "tower")]
    pub(crate) fn feeder(&self, name: &str) -> Feeder {
        Feeder::new(&self.shared.sources, name)
    }

    pub(crate) fn alarms(&self) -> &Arc<Alarms> {
        &self.shared.alarms
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot<T>> {
        Arc::clone(self.book().snapshot())
    }

    /// A panic elsewhere (in a value's `Clone`, say) leaves it usable: it is made whole again.
    pub(super) fn book(&self) -> MutexGuard<'_, Book<T>> {
        let book = self.shared.book.lock();
        book.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Pool<T> {
    /// Returns a handle that does not keep the pool alive.
    pub fn downgrade(&self) -> WeakPool<T> {
        WeakPool {
            shared: Arc::downgrade(&self.shared),
        }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        self.alarms.close();
        self.log.close();
        self.sources.close();
    }
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T: Clone> Default for Pool<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone> FromIterator<Backend<T>> for Pool<T> {
    fn from_iter<I: IntoIterator<Item = Backend<T>>>(backends: I) -> Self {
        let pool = Self::new();
        pool.edit(|edit| {
            backends
                .into_iter()
                .for_each(|backend| edit.insert(backend));
        });
        pool
    }
}

impl<T: Clone, const N: usize> From<[Backend<T>; N]> for Pool<T> {
    fn from(backends: [Backend<T>; N]) -> Self {
        backends.into_iter().collect()
    }
}

impl<T: Clone> From<Vec<Backend<T>>> for Pool<T> {
    fn from(backends: Vec<Backend<T>>) -> Self {
        backends.into_iter().collect()
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
