use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tower::BoxError;
use tower_service::Service;

use super::attempt::Terms;
use super::ramp::Ramp;
use super::waits::{Timer, Waits};
use super::{Error, PassedOver, Reason, Route, Shared};
use crate::backend::{Completion, Failure, Line, Live, Outcome, PlaceInLine, Trial};
use crate::deadline::DeadlineExceeded;
use crate::limit::Overloaded;
use crate::picker::{self, Entry, NoBackend};
use crate::set::{BackendSet, Masked, Member};
use crate::time::now;

/// A request for which the first pick did not do.
///
/// It picks again among the backends that it has not asked, until one is ready or all are passed
/// over. Then it waits: for any of those that are pending, for a change of the set or the picker,
/// or for the time to run out. All that it waits for wakes it, so it needs no other request to get
/// on.
///
/// A backend that was chosen by a key, or to which the request is bound, is waited for alone at
/// first.
pub(super) struct Waiting<T, Req, R: Route<T, Req>> {
    shared: Arc<Shared<T, Req>>,
    route: R,
    request: Option<Req>,
    terms: Terms,
    asked: Vec<Asked<R::Service>>,
    /// The last round found backends without room.
    full: bool,
    /// Its place in line for room.
    place: Option<PlaceInLine>,
    /// It may take room though it was not called.
    look: bool,
    ramp: Ramp,
    changed: Option<Pin<Box<OwnedNotified>>>,
    affinity: Timer,
    max: Timer,
    /// It is the request's deadline that ends the wait.
    by_deadline: bool,
}

/// What the first pick has led to.
pub(super) enum First<S> {
    Nobody,
    /// Its backend is full.
    Full,
    Asked(Asked<S>),
}

/// A backend that was picked and is not ready.
pub(super) struct Asked<S> {
    live: Arc<Live>,
    /// Which of the backend's values was asked.
    values: u32,
    /// Whether another would do less well.
    keyed: bool,
    state: AskedState<S>,
}

enum AskedState<S> {
    Pending(S, Option<Trial>),
    Failed(BoxError),
}

/// A backend has been found: what is left is to call it.
pub(super) struct Dispatch<S, Req> {
    pub(super) service: S,
    pub(super) request: Req,
    pub(super) completion: Completion,
}

/// What a round over the backends found.
enum Round<S> {
    Ready(S, Completion),
    /// Some are pending.
    Pending,
    /// None is.
    Exhausted(Option<NoBackend>),
}

impl<T, Req, R> Waiting<T, Req, R>
where
    R: Route<T, Req>,
    <R::Service as Service<Req>>::Error: Into<BoxError>,
{
    pub(super) fn new(
        shared: Arc<Shared<T, Req>>,
        route: R,
        waits: &Waits,
        request: Req,
        terms: Terms,
        first: First<R::Service>,
    ) -> Self {
        // Who insists on another backend does not wait until there is one.
        let mut by_deadline = false;
        let mut max = if terms.elsewhere {
            Duration::ZERO
        } else {
            waits.max()
        };
        if let Some(deadline) = terms.deadline {
            let left = deadline.saturating_duration_since(now());
            by_deadline = left < max;
            max = max.min(left);
        }
        Self {
            shared,
            route,
            request: Some(request),
            terms,
            full: matches!(first, First::Full),
            asked: match first {
                First::Asked(asked) => vec![asked],
                First::Nobody | First::Full => Vec::new(),
            },
            place: None,
            look: false,
            ramp: Ramp::new(),
            changed: None,
            affinity: Timer::new(waits.affinity().min(max)),
            by_deadline,
            max: Timer::new(max),
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Dispatch<R::Service, Req>, Error>> {
        let mut changed_now = false;
        loop {
            // Listen first, then look: a change in between is not missed.
            let changed = self.changed.get_or_insert_with(|| {
                Box::pin(Arc::clone(self.shared.changed()).notified_owned())
            });
            if changed.as_mut().poll(cx).is_ready() {
                self.changed = None;
                changed_now = true;
                continue;
            }
            let place = self.place.as_mut();
            let called = place.is_some_and(|place| place.poll_called(cx).is_ready());
            let waits = self.place.is_some() && !called && !self.look && !self.is_asking();
            if waits && !std::mem::take(&mut changed_now) {
                // In line, and nothing has happened that it waits for.
                if self.max.is_up(cx) {
                    return Poll::Ready(Err(self.late(None)));
                }
                if self.calls_for_ramp(cx) {
                    continue;
                }
                return Poll::Pending;
            }
            let in_own_line = self.place.is_some() && self.is_choosy();
            let may_take = called || std::mem::take(&mut self.look) || in_own_line;
            let round = self.round(may_take, cx);
            if !self.full && !matches!(round, Round::Ready(..)) {
                // It does not wait for room any more. If it was called, the next one is.
                self.place = None;
            }
            let cause = match round {
                Round::Ready(service, completion) => {
                    self.leave_line();
                    let request = self.request.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(Dispatch {
                        service,
                        request,
                        completion,
                    }));
                }
                _ if self.full => {
                    if called {
                        self.stay_in_line();
                        continue;
                    }
                    if self.place.is_none() {
                        if self.join_line(cx) {
                            continue;
                        }
                        if !self.is_asking() {
                            return Poll::Ready(Err(self.error(None)));
                        }
                    }
                    None
                }
                Round::Pending => None,
                // Those that failed said so for good, and a picker's word is final; waiting helps
                // only where nothing is eligible yet.
                Round::Exhausted(
                    cause @ Some(NoBackend::Empty | NoBackend::NoneEligible { .. }),
                ) if self.asked.is_empty() => cause,
                Round::Exhausted(cause) => return Poll::Ready(Err(self.error(cause))),
            };
            if self.max.is_up(cx) {
                return Poll::Ready(Err(self.late(cause)));
            }
            if self.calls_for_ramp(cx) {
                continue;
            }
            return Poll::Pending;
        }
    }

    /// Gets in line for room. False if the line is full.
    fn join_line(&mut self, cx: &mut Context<'_>) -> bool {
        let lines = Arc::clone(&self.shared.view().snapshot.lines);
        let line = if self.is_choosy() {
            &lines.choosy
        } else {
            &lines.anyone
        };
        // Without a time to wait there is no waiting.
        if self.max.is_up(cx) {
            return false;
        }
        let Some(place) = Line::join(line, cx.waker()) else {
            return false;
        };
        // There may be room by now, of which those in front know if there are any.
        self.look = self.is_choosy() || place.came_first();
        self.place = Some(place);
        true
    }

    /// It was called and has found nothing, perhaps since another was faster.
    fn stay_in_line(&mut self) {
        let choosy = self.is_choosy();
        if let Some(place) = &mut self.place {
            if choosy {
                place.pass_on();
            } else {
                place.wait_again();
            }
        }
        self.look = true;
    }

    fn leave_line(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        place.leave();
        // There may be room for more than this one.
        self.shared.view().snapshot.lines.call_next();
    }

    /// Whether it has called whoever is next, perhaps itself, since a backend that starts slowly
    /// may have more room by now.
    fn calls_for_ramp(&mut self, cx: &mut Context<'_>) -> bool {
        let view = self.shared.view();
        if self.place.is_none() || !view.is_guarded() {
            self.ramp.stop();
            return false;
        }
        let lines = &view.snapshot.lines;
        let up = self.ramp.is_up(lines.len(), cx);
        if up {
            lines.call_next();
        }
        up
    }

    /// Whether not every backend will do.
    fn is_choosy(&self) -> bool {
        self.terms.bound.is_some() || !self.terms.tried.is_empty() || !self.asked.is_empty()
    }

    fn is_asking(&self) -> bool {
        let mut asked = self.asked.iter();
        asked.any(|asked| matches!(asked.state, AskedState::Pending(..)))
    }

    /// One round over the backends, and the probes that its picks have asked for.
    fn round(&mut self, may_take: bool, cx: &mut Context<'_>) -> Round<R::Service> {
        let mut pick_cx = self.shared.pick_context();
        let round = self.round_with(may_take, &mut pick_cx, cx);
        self.shared.send_probes(&pick_cx);
        round
    }

    /// Asks all that were asked before and are still eligible, then whoever else the picker names.
    /// Newcomers take no room for which others wait.
    fn round_with(
        &mut self,
        may_take: bool,
        pick_cx: &mut picker::Context,
        cx: &mut Context<'_>,
    ) -> Round<R::Service> {
        // Where all were full, nobody need be picked to find that out again.
        let was_full = std::mem::take(&mut self.full);
        let shared = Arc::clone(&self.shared);
        let view = shared.view();

        // Who left, is out, or has another service by now need not be waited for.
        let bound = self.terms.bound;
        let same = |asked: &Asked<_>| {
            let handle = asked.live.handle();
            let member = match bound {
                Some(bound) if bound.handle == handle => view.snapshot.bound(handle),
                _ => view.find(&asked.live),
            };
            member.is_some_and(|member| member.condition.values == asked.values)
        };
        self.asked.retain(same);
        let mut at = 0;
        while let Some(asked) = self.asked.get_mut(at) {
            at += 1;
            let AskedState::Pending(service, _) = &mut asked.state else {
                continue;
            };
            match service.poll_ready(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => {
                    at -= 1;
                    let Asked { live, state, .. } = self.asked.swap_remove(at);
                    let AskedState::Pending(service, trial) = state else {
                        continue;
                    };
                    pick_cx.set_trial(trial.map(Trial::into_epoch));
                    let entry = view.entry_of(&live);
                    match begin(entry, &live, may_take, pick_cx) {
                        Some(completion) => return Round::Ready(service, completion),
                        None => self.full = true,
                    }
                }
                Poll::Ready(Err(error)) => {
                    let entry = view.entry_of(&asked.live);
                    let before =
                        std::mem::replace(&mut asked.state, AskedState::Failed(error.into()));
                    if let AskedState::Pending(_, Some(trial)) = before {
                        pick_cx.set_trial(Some(trial.into_epoch()));
                    }
                    fail(entry, &asked.live, pick_cx);
                }
            }
        }

        if let Some(bound) = self.terms.bound {
            let asked = |asked: &Asked<_>| asked.live.handle() == bound.handle;
            if !self.asked.iter().any(asked) {
                match view.snapshot.bound(bound.handle) {
                    None if bound.only => {
                        return Round::Exhausted(Some(NoBackend::of_bound(
                            &view.snapshot,
                            bound.handle,
                        )));
                    }
                    None => {}
                    Some(member) => {
                        pick_cx.set_keyed();
                        let entry = view.entry_of(&member.live);
                        match self.ask(entry, member, may_take, pick_cx, cx) {
                            Some(ready) => return ready,
                            None => *pick_cx = shared.pick_context(),
                        }
                    }
                }
            }
            if bound.only {
                return self.pending_or(None);
            }
        }

        let request = self.request.as_ref().expect("polled after it was ready");
        let first = view.draw(request, pick_cx);
        let mut exhausted = None;
        let mut again = false;
        loop {
            for entry in view.entries_from(first) {
                match self.round_on(entry, (was_full, may_take, again), pick_cx, cx) {
                    Ok(round) => return round,
                    Err(cause) => exhausted = exhausted.or(cause),
                }
            }
            // Where nobody else is left, those that had it before may have it again.
            let alone = exhausted.is_none() && self.asked.is_empty() && !self.full;
            if !alone || self.terms.elsewhere || self.terms.tried.is_empty() || again {
                break;
            }
            again = true;
        }
        if exhausted.is_none() && self.asked.is_empty() && !self.full {
            exhausted = Some(NoBackend::of(&view.snapshot));
        }
        self.pending_or(exhausted)
    }

    /// Asks those on one list whom the picker names. An error if none of them will do, with the
    /// reason if it is the picker's.
    fn round_on(
        &mut self,
        entry: &Entry<T, Req>,
        (mut was_full, may_take, again): (bool, bool, bool),
        pick_cx: &mut picker::Context,
        cx: &mut Context<'_>,
    ) -> Result<Round<R::Service>, Option<NoBackend>> {
        let scaled = entry.scaled(pick_cx);
        let mut masked = Masked::new(entry.set(scaled.as_ref()));
        if was_full {
            self.full |= entry.mask_full(&mut masked, pick_cx);
        }
        for asked in &self.asked {
            if let Some(rank) = entry.rank_of(asked.live.handle()) {
                masked.mask_original(rank);
            }
        }
        for &tried in self.terms.tried.iter().filter(|_| !again) {
            if let Some(rank) = entry.rank_of(tried) {
                masked.mask_original(rank);
            }
        }
        loop {
            if self.is_worth_waiting(cx) {
                return Ok(Round::Pending);
            }
            if masked.is_empty() {
                return Err(None);
            }
            pick_cx.set_attempt((self.asked.len() + self.terms.tried.len()) as u32);
            let request = self.request.as_ref().expect("polled after it was ready");
            let rank = entry.pick_from(&masked, request, pick_cx).map_err(Some)?;
            let Some(member) = entry.list.member(rank) else {
                return Err(None);
            };
            if let Some(ready) = self.ask(entry, member, may_take, pick_cx, cx) {
                return Ok(ready);
            }
            masked.mask_original(rank);
            if self.full && !was_full {
                // Where one is full, others are, which need not be picked one by one.
                was_full = true;
                entry.mask_full(&mut masked, pick_cx);
            }
        }
    }

    /// Asks a backend whether it is ready, and notes it down if it is not.
    fn ask(
        &mut self,
        entry: &Entry<T, Req>,
        member: &Member<T>,
        may_take: bool,
        pick_cx: &mut picker::Context,
        cx: &mut Context<'_>,
    ) -> Option<Round<R::Service>> {
        let mut service = self.route.route(&member.value);
        self.asked.push(match service.poll_ready(cx) {
            Poll::Ready(Ok(())) => {
                let begun = begin(entry, &member.live, may_take, pick_cx);
                self.full |= begun.is_none();
                return begun.map(|completion| Round::Ready(service, completion));
            }
            Poll::Pending => {
                let keyed = pick_cx.is_keyed();
                Asked::pending(member, service, keyed, pick_cx)
            }
            Poll::Ready(Err(error)) => Asked::failed(entry, member, error.into(), pick_cx),
        });
        None
    }

    /// Whether the last one asked is pending, and other backends would do less well.
    fn is_worth_waiting(&mut self, cx: &mut Context<'_>) -> bool {
        let last = self.asked.last();
        let pending =
            |asked: &Asked<_>| asked.keyed && matches!(asked.state, AskedState::Pending(..));
        last.is_some_and(pending) && !self.affinity.is_up(cx)
    }

    fn pending_or(&self, exhausted: Option<NoBackend>) -> Round<R::Service> {
        let pending = |asked: &Asked<_>| matches!(asked.state, AskedState::Pending(..));
        if self.asked.iter().any(pending) {
            Round::Pending
        } else {
            Round::Exhausted(exhausted)
        }
    }

    /// The time to wait is over.
    fn late(&mut self, cause: Option<NoBackend>) -> Error {
        if self.by_deadline {
            self.place = None;
            return DeadlineExceeded::new().into();
        }
        self.error(cause)
    }

    fn error(&mut self, cause: Option<NoBackend>) -> Error {
        // Now, and not only when whoever has the error drops this.
        self.place = None;
        if self.full {
            let snapshot = &self.shared.view().snapshot;
            let retry_after = snapshot.rules.limits.wait_told();
            let waited = self.max.elapsed();
            return Overloaded::of_backends(snapshot.lines.len(), waited, retry_after).into();
        }
        if let (Some(cause), true) = (cause, self.asked.is_empty()) {
            return Error::NoBackend(cause);
        }
        let passed_over = self.asked.drain(..).map(|asked| PassedOver {
            backend: Arc::clone(asked.live.shared_id()),
            reason: match asked.state {
                AskedState::Pending(..) => Reason::NotReady,
                AskedState::Failed(error) => Reason::Failed(error),
            },
        });
        Error::Unavailable {
            passed_over: passed_over.collect(),
            waited: self.max.elapsed(),
        }
    }
}

impl<S> Asked<S> {
    #[cold]
    pub(super) fn pending<T>(
        member: &Member<T>,
        service: S,
        keyed: bool,
        cx: &mut picker::Context,
    ) -> Self {
        // Handed back if nobody waits for it any more.
        let trial = cx.take_trial();
        let trial = trial.map(|epoch| Trial::new(Arc::clone(&member.live), epoch));
        Self {
            live: Arc::clone(&member.live),
            values: member.condition.values,
            keyed,
            state: AskedState::Pending(service, trial),
        }
    }

    /// A service that cannot be ready has failed a request, which never reached it.
    #[cold]
    pub(super) fn failed<T, Req>(
        entry: &Entry<T, Req>,
        member: &Member<T>,
        error: BoxError,
        cx: &mut picker::Context,
    ) -> Self {
        fail(entry, &member.live, cx);
        Self {
            live: Arc::clone(&member.live),
            values: member.condition.values,
            keyed: false,
            state: AskedState::Failed(error),
        }
    }
}

fn begin<T, Req>(
    entry: &Entry<T, Req>,
    live: &Arc<Live>,
    may_take: bool,
    cx: &mut picker::Context,
) -> Option<Completion> {
    if may_take {
        entry.begin_called(live, cx)
    } else {
        entry.begin(live, cx)
    }
}

fn fail<T, Req>(entry: &Entry<T, Req>, live: &Arc<Live>, cx: &mut picker::Context) {
    entry
        .begin_anyway(live, cx)
        .finish(Outcome::Failure(Failure::Connect));
}
