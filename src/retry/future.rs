use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::BoxError;
use tower_service::Service;

use super::Repeat;
use super::core::Core;
use super::ended::{Ended, Failed};
use crate::backend::{Handle, Live, Outcome};
use crate::balance::{Attempt, Attempted, Awaited, Error, ResponseFuture, Route, Terms, Track};
use crate::time::{later, now};

pin_project! {
    /// The response of a [`Retry`](super::Retry).
    #[must_use = "futures do nothing unless polled"]
    pub struct RetryFuture<T, Req, R, K, P>
    where
        R: Route<T, Req>,
    {
        core: Arc<Core<T, Req, R, K, P>>,
        // What later attempts are copied from.
        kept: Option<Req>,
        // Where they may go, and by when.
        terms: Terms,
        safe: bool,
        done: bool,
        // How many attempts there were.
        made: u32,
        // When the attempt began.
        began: Instant,
        // The deadline that attempts are told.
        told: Option<Instant>,
        #[pin]
        attempt: Option<ResponseFuture<T, Req, R, K>>,
        rare: Option<Box<Rare<T, Req, R, K>>>,
    }

    impl<T, Req, R, K, P> PinnedDrop for RetryFuture<T, Req, R, K, P>
    where
        R: Route<T, Req>,
    {
        fn drop(this: Pin<&mut Self>) {
            if !this.done && this.core.settings.looks_at_drops() {
                this.dropped();
            }
        }
    }
}

/// What a request needs that is not answered well at its first attempt.
struct Rare<T, Req, R: Route<T, Req>, K> {
    /// Those that are over.
    ended: Vec<Attempted>,
    /// What backends have said of another attempt: that there is to be none, or none before.
    forbidden: bool,
    not_before: Option<Instant>,
    pause: Option<Pin<Box<Sleep>>>,
    hedge: HedgeState<T, Req, R, K>,
}

enum HedgeState<T, Req, R: Route<T, Req>, K> {
    /// The first attempt is given its time.
    Unarmed,
    Armed(Pin<Box<Sleep>>),
    /// An attempt beside the other, since then.
    Running(Pin<Box<ResponseFuture<T, Req, R, K>>>, Instant),
    /// There was one, or there will be none.
    Over,
}

impl<T, Req, R, K, P> RetryFuture<T, Req, R, K, P>
where
    R: Route<T, Req> + Clone,
    <R::Service as Service<Req>>::Error: Into<BoxError>,
    K: Track<<R::Service as Service<Req>>::Response> + Clone,
    P: Repeat<Req>,
{
    #[inline]
    pub(super) fn new(core: &Arc<Core<T, Req, R, K, P>>, mut attempt: Attempt<Req>) -> Self {
        let (repeat, settings) = (&core.repeat, &core.settings);
        let began = now();
        settings.budget.deposit_at(began);
        let safe = repeat.is_safe(attempt.request());
        // One that is not whole tells whether its caller is waited for.
        let kept = if settings.attempts > 1 || !repeat.can_send_beside(attempt.request()) {
            repeat.copy(attempt.request())
        } else {
            None
        };
        let ours = settings.total_time.map(|time| later(began, time));
        let theirs = repeat.deadline(attempt.request());
        let its_own = attempt.terms().deadline();
        let deadline = [ours, theirs, its_own].into_iter().flatten().min();
        attempt.set_deadline(deadline);
        if deadline.is_some_and(|deadline| deadline <= began) {
            attempt.set_late();
        }
        // What is set here is nothing to a backend, which would take it for that of the body, too.
        let told = [theirs, its_own].into_iter().flatten().min();
        repeat.prepare(attempt.request_mut(), 0, left(told, began));
        Self {
            kept,
            terms: attempt.later_terms(),
            safe,
            done: false,
            made: 1,
            began,
            told,
            attempt: Some(core.balance.attempt(attempt)),
            rare: None,
            core: Arc::clone(core),
        }
    }

    /// What an attempt's end means: an answer, or that it goes on.
    fn ended(
        mut self: Pin<&mut Self>,
        result: Result<(K::Response, Arc<Live>), Error>,
        began: Instant,
    ) -> Option<Result<K::Response, Error>> {
        match Ended::of::<<R::Service as Service<Req>>::Response, K>(
            self.core.balance.tracker(),
            result,
        ) {
            Ended::Well(response, live) => Some(Ok(self.succeed(response, &live, began))),
            Ended::Badly(failed) => {
                let now = now();
                let took = now.saturating_duration_since(began);
                if let Some(mut attempt) = failed.attempt.clone() {
                    // The caller's deadline has ended it, who had waited for so long.
                    let cut_short = attempt.outcome() == Outcome::Cancelled;
                    if let (Some(hedge), true) = (&self.core.settings.hedge, cut_short) {
                        hedge.record(took, now);
                    }
                    attempt.set_took(took);
                    self.as_mut().note(attempt);
                }
                // An error never wins while another attempt is pending.
                if self.attempt.is_some() || self.is_hedging() {
                    let rare = self.rare();
                    rare.forbidden |= !failed.may_retry;
                    let told = failed.retry_after.filter(|_| failed.anywhere);
                    rare.not_before = rare.not_before.max(told.map(|wait| later(now, wait)));
                    return None;
                }
                match self.as_ref().get_ref().pause_before_another(&failed, now) {
                    None => Some(self.fail(failed)),
                    Some(Duration::ZERO) => {
                        self.again(now);
                        None
                    }
                    Some(pause) => {
                        let sleep = tokio::time::sleep_until(later(now, pause).into());
                        self.rare().pause = Some(Box::pin(sleep));
                        None
                    }
                }
            }
        }
    }

    /// How long to wait before another attempt, if there is to be one: it has its token already.
    fn pause_before_another(&self, failed: &Failed<K::Response>, now: Instant) -> Option<Duration> {
        let settings = &self.core.settings;
        let copy = self.kept.as_ref()?;
        let wanted = self.made < settings.attempts
            && failed
                .outcome
                .is_some_and(|outcome| settings.on.contains(outcome))
            && (self.safe || failed.never_left)
            && failed.may_retry
            && !self.rare.as_ref().is_some_and(|rare| rare.forbidden)
            && self.core.repeat.can_send(copy);
        if !wanted {
            return None;
        }
        let backoff = match self.made - 1 {
            0 => Duration::ZERO,
            retries => settings.backoff.delay(retries),
        };
        let not_before = self.rare.as_ref().and_then(|rare| rare.not_before);
        let told = not_before.map(|time| time.saturating_duration_since(now));
        // What one backend says of itself is nothing to another.
        let elsewhere = || self.core.balance.has_another(&self.handles());
        let its_own = failed
            .retry_after
            .filter(|_| failed.anywhere || !elsewhere());
        let told = its_own.max(told).unwrap_or_default();
        if told > LONGEST_WAIT {
            return None;
        }
        let pause = backoff.max(told);
        let in_time = self
            .terms
            .deadline()
            .is_none_or(|deadline| later(now, pause) < deadline);
        // Without a runtime there is no timer.
        let can_wait = pause.is_zero() || tokio::runtime::Handle::try_current().is_ok();
        (in_time && can_wait && settings.budget.withdraw_at(now)).then_some(pause)
    }

    /// Makes another attempt, on a backend that has not had the request.
    fn again(mut self: Pin<&mut Self>, now: Instant) {
        let keeps = self.made + 1 < self.core.settings.attempts;
        let Some(attempt) = self.as_mut().next_attempt(now, keeps) else {
            return;
        };
        let this = self.project();
        if let Some(rare) = this.rare
            && let HedgeState::Armed(_) = rare.hedge
        {
            // The time that it runs for is that of the attempt before.
            rare.hedge = HedgeState::Unarmed;
        }
        let future = this.core.balance.attempt(attempt);
        *this.began = now;
        let mut slot = this.attempt;
        slot.set(Some(future));
    }

    fn next_attempt(self: Pin<&mut Self>, now: Instant, keeps: bool) -> Option<Attempt<Req>> {
        let this = self.project();
        let repeat = &this.core.repeat;
        // A copy of which no other can be made is the last; one of which there is more to come tells
        // whether that is waited for.
        let is_whole = |kept| repeat.can_send_beside(kept);
        let keeps = keeps || !this.kept.as_ref().is_none_or(is_whole);
        let copy = this.kept.as_ref().filter(|_| keeps);
        let copy = copy.and_then(|kept| repeat.copy(kept));
        let mut request = copy.or_else(|| this.kept.take())?;
        repeat.prepare(&mut request, *this.made, left(*this.told, now));
        *this.made += 1;
        let attempt = Attempt::with_terms(request, this.terms.clone());
        if this.terms.is_bound() {
            return Some(attempt);
        }
        let ended = this.rare.iter().flat_map(|rare| &rare.ended);
        Some(ended.fold(attempt, |attempt, ended| attempt.not_on(ended.handle())))
    }

    /// Gives the attempt that is pending its time, and then makes another beside it. Returns whether
    /// there is one to be polled.
    fn hedge(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let settings = &self.core.settings;
        let Some(hedge) = &settings.hedge else {
            return false;
        };
        if !self.safe
            || self.kept.is_none()
            || self.made >= settings.attempts
            || self.terms.is_bound()
        {
            return false;
        }
        let delay = hedge.delay();
        let began = self.began;
        let this = self.as_mut().rare();
        if matches!(this.hedge, HedgeState::Unarmed) {
            let timer = tokio::runtime::Handle::try_current();
            this.hedge = match delay {
                Some(delay) if timer.is_ok() => {
                    let at = later(began, delay);
                    HedgeState::Armed(Box::pin(tokio::time::sleep_until(at.into())))
                }
                _ => HedgeState::Over,
            };
        }
        let HedgeState::Armed(sleep) = &mut this.hedge else {
            return false;
        };
        if sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        this.hedge = HedgeState::Over;
        self.begin_hedge()
    }

    fn begin_hedge(mut self: Pin<&mut Self>) -> bool {
        let core = &self.core;
        let has_it = self.attempt.as_ref().and_then(ResponseFuture::backend);
        let Some(has_it) = has_it.map(|live| live.handle()) else {
            return false;
        };
        let now = now();
        let mut tried = self.handles();
        tried.push(has_it);
        let can_send = |copy| core.repeat.can_send_beside(copy);
        let wanted = core.balance.has_another(&tried) && self.kept.as_ref().is_some_and(can_send);
        if !wanted || !core.settings.budget.withdraw_at(now) {
            return false;
        }
        // The copy is kept: if all others turn out to be full, this was no attempt.
        let keeps = true;
        let Some(attempt) = self.as_mut().next_attempt(now, keeps) else {
            return false;
        };
        let attempt = attempt.not_on(has_it).strictly();
        let future = Box::pin(self.core.balance.attempt(attempt));
        self.rare().hedge = HedgeState::Running(future, now);
        true
    }

    fn succeed(
        mut self: Pin<&mut Self>,
        mut response: K::Response,
        live: &Live,
        began: Instant,
    ) -> K::Response {
        *self.as_mut().project().done = true;
        let settings = &self.core.settings;
        let learns = settings.hedge.as_ref().filter(|hedge| hedge.learns());
        if self.rare.is_none() && settings.observer.is_none() && learns.is_none() {
            return response;
        }
        let now = now();
        let took = now.saturating_duration_since(began);
        if let Some(hedge) = learns {
            hedge.record(took, now);
        }
        self.as_mut().cancel_pending(now);
        let observer = self.core.settings.observer.clone();
        let mut ended = self.as_mut().take_ended();
        if !ended.is_empty() {
            let tried = ended.clone().into_boxed_slice();
            self.core.balance.tracker().tried(&mut response, tried);
        }
        if let Some(observer) = observer {
            let attempt = Attempted::new(live, Outcome::Success, Some(took));
            observer.attempt(ended.len(), &attempt);
            ended.push(attempt);
            observer.request(&ended);
        }
        response
    }

    fn fail(mut self: Pin<&mut Self>, failed: Failed<K::Response>) -> Result<K::Response, Error> {
        *self.as_mut().project().done = true;
        let mut ended = self.as_mut().take_ended();
        if let Some(observer) = &self.core.settings.observer {
            observer.request(&ended);
        }
        match failed.result {
            Err(error) => Err(error.after(ended)),
            Ok(mut response) => {
                // The last one is that of the response itself.
                ended.pop();
                if !ended.is_empty() {
                    self.core
                        .balance
                        .tracker()
                        .tried(&mut response, ended.into());
                }
                Ok(response)
            }
        }
    }
}

impl<T, Req, R, K, P> RetryFuture<T, Req, R, K, P>
where
    R: Route<T, Req>,
{
    fn rare(self: Pin<&mut Self>) -> &mut Rare<T, Req, R, K> {
        self.project().rare.get_or_insert_with(|| {
            Box::new(Rare {
                ended: Vec::new(),
                forbidden: false,
                not_before: None,
                pause: None,
                hedge: HedgeState::Unarmed,
            })
        })
    }

    /// Those that had the request, or are not to have it.
    fn handles(&self) -> Vec<Handle> {
        let ended = self.rare.iter().flat_map(|rare| &rare.ended);
        ended
            .map(Attempted::handle)
            .chain(self.terms.tried().iter().copied())
            .collect()
    }

    fn is_hedging(&self) -> bool {
        let hedge = self.rare.as_ref().map(|rare| &rare.hedge);
        matches!(hedge, Some(HedgeState::Running(..)))
    }

    fn note(mut self: Pin<&mut Self>, attempt: Attempted) {
        let observer = self.core.settings.observer.clone();
        let ended = &mut self.as_mut().rare().ended;
        if let Some(observer) = observer {
            observer.attempt(ended.len(), &attempt);
        }
        ended.push(attempt);
    }

    fn take_ended(self: Pin<&mut Self>) -> Vec<Attempted> {
        let rare = self.project().rare.as_mut();
        rare.map_or_else(Vec::new, |rare| std::mem::take(&mut rare.ended))
    }

    /// Drops what is pending, and notes it down.
    fn cancel_pending(mut self: Pin<&mut Self>, now: Instant) {
        let cancelled = |live: &Live, began: Instant| {
            let took = now.saturating_duration_since(began);
            Attempted::new(live, Outcome::Cancelled, Some(took))
        };
        let mut pending = Vec::new();
        let this = self.as_mut().project();
        let mut attempt = this.attempt;
        if let Some(live) = attempt
            .as_ref()
            .get_ref()
            .as_ref()
            .and_then(ResponseFuture::backend)
        {
            pending.push(cancelled(live, *this.began));
        }
        attempt.set(None);
        if let Some(rare) = this.rare
            && let HedgeState::Running(future, began) = &rare.hedge
        {
            if let Some(live) = future.backend() {
                pending.push(cancelled(live, *began));
            }
            rare.hedge = HedgeState::Over;
        }
        for attempt in pending {
            if let (Some(hedge), Some(took)) = (&self.core.settings.hedge, attempt.took()) {
                hedge.record(took, now);
            }
            self.as_mut().note(attempt);
        }
    }

    /// Notes down what was pending of a request that nobody waits for any more, and tells the
    /// observer.
    #[cold]
    fn dropped(mut self: Pin<&mut Self>) {
        self.as_mut().cancel_pending(now());
        let ended = self.as_mut().take_ended();
        if let Some(observer) = &self.core.settings.observer {
            observer.request(&ended);
        }
    }
}

/// So long a backend's `Retry-After` is waited for, where there is no other. Who is told to wait
/// longer has the response at once.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Whether the caller is waited for, as far as the copy can tell.
fn awaited<Req, P: Repeat<Req>>(repeat: &P, kept: Option<&Req>) -> Awaited {
    kept.map_or(Awaited::Never, |kept| repeat.awaited(kept))
}

fn left(deadline: Option<Instant>, now: Instant) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(now))
}

impl<T, Req, R, K, P> Future for RetryFuture<T, Req, R, K, P>
where
    R: Route<T, Req> + Clone,
    <R::Service as Service<Req>>::Error: Into<BoxError>,
    K: Track<<R::Service as Service<Req>>::Response> + Clone,
    P: Repeat<Req>,
{
    type Output = Result<K::Response, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.done, "polled after it was ready");
        // A hedge is polled before the attempt beside it is polled again: whether somebody has it
        // is known before the other can end.
        let mut has_hedged = false;
        loop {
            let mut this = self.as_mut().project();
            if !has_hedged
                && let Some(future) = this.attempt.as_mut().as_pin_mut()
                && let Poll::Ready(result) = future.poll_keeping(
                    cx,
                    |of| Arc::clone(of.live()),
                    || awaited(&this.core.repeat, this.kept.as_ref()),
                )
            {
                let is_usual = this.rare.is_none() && !this.core.settings.looks_at_successes();
                let result = match result {
                    // Nobody has to know of it.
                    Ok((response, _))
                        if is_usual
                            && this
                                .core
                                .is_good::<<R::Service as Service<Req>>::Response>(&response) =>
                    {
                        *this.done = true;
                        return Poll::Ready(Ok(response));
                    }
                    result => result,
                };
                this.attempt.set(None);
                let began = *this.began;
                if let Some(answer) = self.as_mut().ended(result, began) {
                    return Poll::Ready(answer);
                }
                continue;
            }
            if let Some(rare) = this.rare {
                if let Some(pause) = &mut rare.pause {
                    ready!(pause.as_mut().poll(cx));
                    rare.pause = None;
                    self.as_mut().again(now());
                    continue;
                }
                if let HedgeState::Running(future, began) = &mut rare.hedge {
                    let result = future.as_mut().poll_keeping(
                        cx,
                        |of| Arc::clone(of.live()),
                        || awaited(&this.core.repeat, this.kept.as_ref()),
                    );
                    let Poll::Ready(result) = result else {
                        let repeat = &this.core.repeat;
                        let is_last = *this.made >= this.core.settings.attempts;
                        // A copy that tells, or may yet, when the caller has sent the rest is still
                        // needed.
                        let tells = awaited(repeat, this.kept.as_ref()) != Awaited::Never;
                        let is_whole = |kept| repeat.can_send_beside(kept);
                        if is_last && !tells && this.kept.as_ref().is_some_and(is_whole) {
                            *this.kept = None;
                        }
                        return Poll::Pending;
                    };
                    let began = *began;
                    rare.hedge = HedgeState::Over;
                    if let Err(error) = &result
                        && error.attempts().is_empty()
                        && !error.is_deadline_exceeded()
                    {
                        *this.made -= 1;
                    }
                    if let Some(answer) = self.as_mut().ended(result, began) {
                        return Poll::Ready(answer);
                    }
                    continue;
                }
            }
            if !self.as_mut().hedge(cx) {
                return Poll::Pending;
            }
            has_hedged = true;
        }
    }
}

impl<T, Req, R: Route<T, Req>, K, P> fmt::Debug for RetryFuture<T, Req, R, K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture")
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}
