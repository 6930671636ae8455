use std::sync::Arc;

use super::{Context, Needs, NoBackend, Picker, Update};
use crate::backend::{Completion, Guard, Handle, Listener, Live, Observation, Watch};
use crate::observe::{Heard, Observer};
use crate::random::mix;
use crate::set::{AllMembers, BackendSet, Guarded, List, Masked, Member, Scaled, Snapshot};

/// A snapshot and the pickers that were prepared for its lists: always swapped as one.
pub(crate) struct View<T, Req: ?Sized> {
    pub(crate) snapshot: Arc<Snapshot<T>>,
    /// The usual case is that there is one list.
    first: Entry<T, Req>,
    others: Box<[Entry<T, Req>]>,
    /// It is, somebody is on it, and takes what is picked for it.
    plain: bool,
    /// Which of the pickers that were set it comes from.
    epoch: u64,
    /// Who is told of requests beside the pickers.
    observer: Option<Arc<dyn Observer>>,
}

/// One list, and the picker that was prepared for it.
pub(crate) struct Entry<T, Req: ?Sized> {
    pub(crate) list: Arc<List<T>>,
    picker: Arc<dyn Picker<Req>>,
    /// Whether requests are timed, and whether each is part of its backend's latency.
    watch: bool,
    averaged: bool,
    observer: Option<Arc<dyn Listener>>,
}

impl<T, Req: ?Sized + 'static> View<T, Req> {
    pub(super) fn new(
        snapshot: Arc<Snapshot<T>>,
        picker: Arc<dyn Picker<Req>>,
        epoch: u64,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        let mut lists = snapshot.lists.iter();
        let first = lists.next().expect("a snapshot has at least one list");
        let entry = |list, picker| Entry::new(&snapshot, list, picker, observer.as_ref());
        let first = entry(first, picker);
        // Each from the first, with which it shares what depends on the members only.
        let others = lists.map(|list| entry(list, Arc::clone(&first.picker)));
        let others: Box<[_]> = others.collect();
        let plain = others.is_empty() && !first.list.is_empty() && first.list.guarded().is_none();
        Self {
            snapshot,
            first,
            others,
            plain,
            epoch,
            observer,
        }
    }
}

impl<T, Req: ?Sized> View<T, Req> {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A picker to prepare the next one from.
    pub(super) fn picker(&self) -> &Arc<dyn Picker<Req>> {
        &self.first.picker
    }

    /// Whether these are the ones who are told.
    pub(super) fn tells(&self, observer: Option<&Arc<dyn Observer>>) -> bool {
        match (&self.observer, observer) {
            (None, None) => true,
            (Some(told), Some(observer)) => Arc::ptr_eq(told, observer),
            _ => false,
        }
    }

    /// Whether some do not take every request that is picked for them, which changes with time.
    #[cfg(feature = "tower")]
    pub(crate) fn is_guarded(&self) -> bool {
        let mut lists = self.snapshot.lists.iter();
        lists.any(|list| list.guarded().is_some())
    }

    /// Picks among the eligible, if there are any.
    #[inline]
    pub(crate) fn pick(
        &self,
        request: &Req,
        cx: &mut Context,
    ) -> Result<(&Entry<T, Req>, &Member<T>), NoBackend> {
        if !self.plain {
            return self.pick_carefully(request, cx);
        }
        let entry = &self.first;
        let rank = (*entry.picker).pick(&*entry.list, request, cx);
        match rank.and_then(|rank| entry.list.member(rank)) {
            Some(member) => Ok((entry, member)),
            None => Err(entry.no_member(rank)),
        }
    }

    /// Where there are several lists, none, or guards.
    #[cold]
    fn pick_carefully(
        &self,
        request: &Req,
        cx: &mut Context,
    ) -> Result<(&Entry<T, Req>, &Member<T>), NoBackend> {
        let entry = match self.others.len() {
            0 => &self.first,
            _ => self.entry(self.draw(request, cx)),
        };
        if entry.list.is_empty() {
            return Err(NoBackend::of(&*self.snapshot));
        }
        Ok((entry, entry.pick(request, cx)?))
    }

    /// Picks and begins, where the first pick was full.
    #[cold]
    pub(crate) fn begin_with_room(
        &self,
        request: &Req,
        cx: &mut Context,
    ) -> Result<(&Member<T>, Completion), NoBackend> {
        let first = self.draw(request, cx);
        let mut declined = None;
        for entry in self.entries_from(first) {
            let scaled = entry.scaled(cx);
            let mut masked = Masked::new(entry.set(scaled.as_ref()));
            entry.mask_full(&mut masked, cx);
            while !masked.is_empty() {
                let rank = match entry.pick_from(&masked, request, cx) {
                    Ok(rank) => rank,
                    Err(error) => {
                        declined = declined.or(Some(error));
                        break;
                    }
                };
                let Some(member) = entry.list.member(rank) else {
                    break;
                };
                if let Some(completion) = entry.begin(&member.live, cx) {
                    return Ok((member, completion));
                }
                masked.mask_original(rank);
            }
        }
        Err(declined.unwrap_or(NoBackend::Full))
    }

    /// Draws the list to pick from. It stays the same for requests of the same key.
    #[cold]
    pub(crate) fn draw(&self, request: &Req, cx: &mut Context) -> usize {
        if self.others.is_empty() {
            return 0;
        }
        let key = (*self.first.picker).affinity(request);
        let random = key.map_or_else(|| cx.random(), mix);
        self.snapshot.drawn(random)
    }

    /// All lists, with this one first.
    pub(crate) fn entries_from(&self, first: usize) -> impl Iterator<Item = &Entry<T, Req>> {
        let others = (0..=self.others.len()).filter(move |&at| at != first);
        std::iter::once(first)
            .chain(others)
            .map(|at| self.entry(at))
    }

    /// Tells the pickers what was learnt of a member, whatever they [need](Needs): they have asked
    /// for it; and the observer. Says nothing of one that has left.
    pub(crate) fn tell(&self, backend: Handle, observation: &Observation) {
        if let Some(member) = self.snapshot.member_of(backend) {
            let entry = self.entry_of(&member.live);
            (*entry.picker).observe(backend, observation);
            if let Some(observer) = &self.observer {
                Heard::tell(&**observer, &member.live, observation);
            }
        }
    }

    /// A backend that was picked from an earlier list, if it is still to be had.
    #[cfg(feature = "tower")]
    pub(crate) fn find(&self, live: &Live) -> Option<&Member<T>> {
        let entry = self.entry_of(live);
        entry.list.member(entry.rank_of(live.handle())?)
    }

    /// The list that a backend is on, or any.
    pub(crate) fn entry_of(&self, live: &Live) -> &Entry<T, Req> {
        let mut others = self.others.iter();
        let found = others.find(|entry| entry.rank_of(live.handle()).is_some());
        found.unwrap_or(&self.first)
    }

    fn entry(&self, at: usize) -> &Entry<T, Req> {
        match at.checked_sub(1).and_then(|at| self.others.get(at)) {
            Some(entry) => entry,
            None => &self.first,
        }
    }
}

impl<T, Req: ?Sized + 'static> Entry<T, Req> {
    fn new(
        snapshot: &Snapshot<T>,
        list: &Arc<List<T>>,
        picker: Arc<dyn Picker<Req>>,
        observer: Option<&Arc<dyn Observer>>,
    ) -> Self {
        let members = AllMembers(snapshot);
        let guarded = list.guarded().is_some();
        let update = Update::new(&members, &**list).of_pool(snapshot.layout(), guarded);
        let picker = (*picker).prepare(&update).unwrap_or(picker);
        let needs = picker.needs();
        let observing = needs.contains(Needs::OBSERVATIONS);
        let observing = observing.then(|| Observing(Arc::clone(&picker)));
        // Put together here, so that a request tells one or nobody, and asks nobody whether.
        let observer: Option<Arc<dyn Listener>> = match (observing, observer.cloned()) {
            (None, None) => None,
            (Some(picker), None) => Some(Arc::new(picker)),
            (None, Some(observer)) => Some(Arc::new(Heard::new((), observer))),
            (Some(picker), Some(observer)) => Some(Arc::new(Heard::new(picker, observer))),
        };
        Self {
            list: Arc::clone(list),
            watch: needs.contains(Needs::LATENCY) || observer.is_some(),
            averaged: needs.contains(Needs::LATENCY),
            picker,
            observer,
        }
    }
}

impl<T, Req: ?Sized> Entry<T, Req> {
    fn pick(&self, request: &Req, cx: &mut Context) -> Result<&Member<T>, NoBackend> {
        let rank = match self.scaled(cx) {
            None => (*self.picker).pick(&*self.list, request, cx),
            Some(scaled) => Some(self.pick_from(&Masked::new(&scaled), request, cx)?),
        };
        let member = rank.and_then(|rank| self.list.member(rank));
        member.ok_or_else(|| self.no_member(rank))
    }

    #[cold]
    fn no_member(&self, rank: Option<usize>) -> NoBackend {
        let eligible = self.list.len();
        match rank {
            None => NoBackend::Declined { eligible },
            Some(rank) => NoBackend::OutOfRange { rank, eligible },
        }
    }

    /// Picks among those that are not masked; returns the rank on the list. Whoever takes a part of
    /// its requests only, and not this one, is passed over, unless there is nobody else.
    pub(crate) fn pick_from(
        &self,
        set: &Masked<'_>,
        request: &Req,
        cx: &mut Context,
    ) -> Result<usize, NoBackend> {
        /// What is masked beyond this takes an allocation.
        const MOST: u32 = 7;
        let guarded = self.list.guarded();
        let now = guarded.map_or(0, |_| cx.moment().1);
        let guarded = guarded.filter(|guarded| !guarded.is_over(now));
        let Some(guarded) = guarded else {
            return self
                .pick_one(set, request, cx)
                .map(|rank| set.unmasked(rank));
        };
        let mut set = set.clone();
        // The first that was passed over, and was not on trial, and the first at all.
        let (mut first, mut at_all) = (None, None);
        let mut tries = 0;
        // Those on trial do not count: load pickers like the idle, and all others are better.
        while tries < MOST || first.is_none() {
            tries += 1;
            let rank = match (self.pick_one(&set, request, cx), at_all) {
                (Ok(rank), _) => rank,
                (Err(_), Some(_)) => break,
                (Err(error), None) => return Err(error),
            };
            let original = set.unmasked(rank);
            if self.admits(original, guarded, now, request, cx) {
                return Ok(original);
            }
            at_all.get_or_insert(original);
            if !self.is_on_trial(original) {
                first.get_or_insert(original);
            }
            set.mask(rank);
            cx.pass_over();
            if set.is_empty() {
                break;
            }
        }
        let passed_over = first.or(at_all);
        passed_over.ok_or(NoBackend::Declined { eligible: 0 })
    }

    fn is_on_trial(&self, rank: usize) -> bool {
        let member = self.list.member(rank);
        member.is_some_and(|member| matches!(member.live.guard(), Guard::Trial { .. }))
    }

    fn pick_one(
        &self,
        set: &Masked<'_>,
        request: &Req,
        cx: &mut Context,
    ) -> Result<usize, NoBackend> {
        let eligible = set.len();
        match (*self.picker).pick(set, request, cx) {
            None => Err(NoBackend::Declined { eligible }),
            Some(rank) if rank >= eligible => Err(NoBackend::OutOfRange { rank, eligible }),
            Some(rank) => Ok(rank),
        }
    }

    /// Whether a backend takes this request.
    fn admits(
        &self,
        rank: usize,
        guarded: &Guarded,
        now: u64,
        request: &Req,
        cx: &mut Context,
    ) -> bool {
        let Some(member) = self.list.member(rank) else {
            return true;
        };
        match member.live.guard() {
            Guard::Open => true,
            Guard::Trial { epoch, .. } => {
                let taken = member.live.take_trial(epoch);
                if taken {
                    cx.set_trial(Some(epoch));
                }
                taken
            }
            guard => {
                let share = guarded.share(guard, now);
                if share >= 1.0 {
                    return true;
                }
                let key = if cx.is_keyed() {
                    (*self.picker).affinity(request)
                } else {
                    None
                };
                let coin = match key {
                    Some(key) => {
                        mix(key ^ xxhash_rust::xxh3::xxh3_64(self.list.hash_key(rank).as_bytes()))
                    }
                    None => cx.random(),
                };
                (coin as f64) < share * u64::MAX as f64
            }
        }
    }

    /// Counts a request in at a backend, unless that is full, or others wait for it.
    #[inline]
    pub(crate) fn begin(&self, live: &Arc<Live>, cx: &mut Context) -> Option<Completion> {
        match live.max_in_flight() {
            None => Some(self.begin_anyway(live, cx)),
            Some(max) => self.begin_below(live, max, false, cx),
        }
    }

    /// Counts a request in at a backend, whatever its limit.
    #[inline]
    pub(crate) fn begin_anyway(&self, live: &Arc<Live>, cx: &mut Context) -> Completion {
        let trial = cx.take_trial();
        let watch = self.watch(cx);
        Completion::begin(live, trial, watch, self.observer.as_ref())
    }

    /// The same as [`begin`](Self::begin) for one who has waited and was called.
    #[cfg(feature = "tower")]
    pub(crate) fn begin_called(&self, live: &Arc<Live>, cx: &mut Context) -> Option<Completion> {
        match live.max_in_flight() {
            None => Some(self.begin_anyway(live, cx)),
            Some(max) => self.begin_below(live, max, true, cx),
        }
    }

    #[inline(never)]
    fn begin_below(
        &self,
        live: &Arc<Live>,
        max: u32,
        called: bool,
        cx: &mut Context,
    ) -> Option<Completion> {
        let max = self.ramped(live, max, cx);
        let trial = cx.take_trial();
        let watch = self.watch(cx);
        Completion::begin_below(live, (max, called), trial, watch, self.observer.as_ref())
    }

    #[inline]
    fn watch(&self, cx: &mut Context) -> Option<Watch> {
        self.watch.then(|| Watch {
            at: cx.moment(),
            averaged: self.averaged,
        })
    }

    /// The limit of a backend that may be starting slowly.
    fn ramped(&self, live: &Live, max: u32, cx: &mut Context) -> u32 {
        let Some(guarded) = self.list.guarded().filter(|_| max > 1) else {
            return max;
        };
        let share = guarded.share(live.guard(), cx.moment().1);
        ((f64::from(max) * share) as u32).max(1)
    }

    /// The list as pickers see it while some on it start slowly.
    pub(crate) fn scaled(&self, cx: &mut Context) -> Option<Scaled<'_, T>> {
        let guarded = self.list.guarded()?;
        Some(Scaled::new(&self.list, guarded, cx.moment().1))
    }

    /// What there is to pick from.
    pub(crate) fn set<'a>(&'a self, scaled: Option<&'a Scaled<'a, T>>) -> &'a dyn BackendSet {
        match scaled {
            None => &*self.list,
            Some(scaled) => scaled,
        }
    }

    fn is_full(&self, live: &Live, cx: &mut Context) -> bool {
        let max = live.max_in_flight();
        max.is_some_and(|max| live.in_flight() >= self.ramped(live, max, cx) as usize)
    }

    /// Masks those that are full; returns whether there are any.
    pub(crate) fn mask_full(&self, masked: &mut Masked<'_>, cx: &mut Context) -> bool {
        let mut any = false;
        for rank in 0..self.list.len() {
            let full = self.list.member(rank);
            if full.is_some_and(|member| self.is_full(&member.live, cx)) {
                masked.mask_original(rank);
                any = true;
            }
        }
        any
    }

    /// The rank of a backend that was picked from an earlier list, if it is still to be had.
    pub(crate) fn rank_of(&self, handle: Handle) -> Option<usize> {
        let rank = self.list.rank_of(handle.slot())?;
        (self.list.handle(rank) == handle).then_some(rank)
    }
}

struct Observing<Req: ?Sized>(Arc<dyn Picker<Req>>);

impl<Req: ?Sized + 'static> Listener for Observing<Req> {
    fn hear(&self, backend: &Live, observation: &Observation) {
        self.0.observe(backend.handle(), observation);
    }
}
