use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::futures::OwnedNotified;
use tower::BoxError;
use tower_service::Service;

use super::attempt::Bound;
use super::waits::{Timer, Waits};
use super::{Error, PassedOver, Reason, Route, Shared};
use crate::backend::{Completion, Failure, Live, Outcome, Trial};
use crate::picker::{self, Entry, NoBackend};
use crate::set::{BackendSet, Masked, Member, Scaled};
use crate::time::since_epoch;

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
    bound: Option<Bound>,
    asked: Vec<Asked<R::Service>>,
    changed: Option<Pin<Box<OwnedNotified>>>,
    affinity: Timer,
    max: Timer,
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
        bound: Option<Bound>,
        asked: Option<Asked<R::Service>>,
    ) -> Self {
        Self {
            shared,
            route,
            request: Some(request),
            bound,
            asked: asked.into_iter().collect(),
            changed: None,
            affinity: Timer::new(waits.affinity().min(waits.max())),
            max: Timer::new(waits.max()),
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Dispatch<R::Service, Req>, Error>> {
        loop {
            // Listen first, then look: a change in between is not missed.
            let changed = self.changed.get_or_insert_with(|| {
                Box::pin(Arc::clone(self.shared.on_change()).notified_owned())
            });
            if changed.as_mut().poll(cx).is_ready() {
                self.changed = None;
                continue;
            }
            let cause = match self.round(cx) {
                Round::Ready(service, completion) => {
                    let request = self.request.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(Dispatch {
                        service,
                        request,
                        completion,
                    }));
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
                return Poll::Ready(Err(self.error(cause)));
            }
            return Poll::Pending;
        }
    }

    /// Asks all that were asked before and are still eligible, then whoever else the picker names.
    fn round(&mut self, cx: &mut Context<'_>) -> Round<R::Service> {
        let shared = Arc::clone(&self.shared);
        let view = shared.view();
        let mut pick_cx = shared.context();

        // Who left, is out, or has another service by now need not be waited for.
        let bound = self.bound;
        let same = |asked: &Asked<_>| {
            let handle = asked.live.handle();
            let member = match bound {
                Some(bound) if bound.handle == handle => view.snapshot.bound(handle),
                _ => view.find(&asked.live),
            };
            member.is_some_and(|member| member.condition.values == asked.values)
        };
        self.asked.retain(same);
        for at in 0..self.asked.len() {
            let asked = &mut self.asked[at];
            let AskedState::Pending(service, _) = &mut asked.state else {
                continue;
            };
            match service.poll_ready(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => {
                    let Asked { live, state, .. } = self.asked.swap_remove(at);
                    let AskedState::Pending(service, trial) = state else {
                        continue;
                    };
                    pick_cx.set_trial(trial.map(Trial::into_epoch));
                    let completion = view.entry_of(&live).begin(&live, &mut pick_cx);
                    return Round::Ready(service, completion);
                }
                Poll::Ready(Err(error)) => {
                    let entry = view.entry_of(&asked.live);
                    let before =
                        std::mem::replace(&mut asked.state, AskedState::Failed(error.into()));
                    if let AskedState::Pending(_, Some(trial)) = before {
                        pick_cx.set_trial(Some(trial.into_epoch()));
                    }
                    fail(entry, &asked.live, &mut pick_cx);
                }
            }
        }

        if let Some(bound) = self.bound {
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
                        match self.ask(entry, member, &mut pick_cx, cx) {
                            Some(ready) => return ready,
                            None => pick_cx = shared.context(),
                        }
                    }
                }
            }
            if bound.only {
                return self.pending_or(None);
            }
        }

        let request = self.request.as_ref().expect("polled after it was ready");
        let first = view.draw(request, &mut pick_cx);
        let mut exhausted = None;
        for entry in view.entries_from(first) {
            match self.round_on(entry, &mut pick_cx, cx) {
                Ok(round) => return round,
                Err(cause) => exhausted = exhausted.or(cause),
            }
        }
        if exhausted.is_none() && self.asked.is_empty() {
            exhausted = Some(NoBackend::of(&view.snapshot));
        }
        self.pending_or(exhausted)
    }

    /// Asks those on one list whom the picker names. An error if none of them will do, with the
    /// reason if it is the picker's.
    fn round_on(
        &mut self,
        entry: &Entry<T, Req>,
        pick_cx: &mut picker::Context,
        cx: &mut Context<'_>,
    ) -> Result<Round<R::Service>, Option<NoBackend>> {
        let list = &*entry.list;
        let scaled;
        let set: &dyn BackendSet = match list.guarded() {
            None => list,
            Some(guarded) => {
                scaled = Scaled::new(list, guarded, since_epoch(pick_cx.now()));
                &scaled
            }
        };
        let mut masked = Masked::new(set);
        for asked in &self.asked {
            if let Some(rank) = entry.rank_of(&asked.live) {
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
            pick_cx.set_attempt(self.asked.len() as u32);
            let request = self.request.as_ref().expect("polled after it was ready");
            let rank = entry.pick_from(&masked, request, pick_cx).map_err(Some)?;
            let Some(member) = list.member(rank) else {
                return Err(None);
            };
            if let Some(ready) = self.ask(entry, member, pick_cx, cx) {
                return Ok(ready);
            }
            masked.mask_original(rank);
        }
    }

    /// Asks a backend whether it is ready, and notes it down if it is not.
    fn ask(
        &mut self,
        entry: &Entry<T, Req>,
        member: &Member<T>,
        pick_cx: &mut picker::Context,
        cx: &mut Context<'_>,
    ) -> Option<Round<R::Service>> {
        let mut service = self.route.route(&member.value);
        self.asked.push(match service.poll_ready(cx) {
            Poll::Ready(Ok(())) => {
                return Some(Round::Ready(service, entry.begin(&member.live, pick_cx)));
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

    fn error(&mut self, cause: Option<NoBackend>) -> Error {
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

fn fail<T, Req>(entry: &Entry<T, Req>, live: &Arc<Live>, cx: &mut picker::Context) {
    entry
        .begin(live, cx)
        .finish(Outcome::Failure(Failure::Connect));
}
