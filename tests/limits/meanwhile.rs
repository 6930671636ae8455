//! What happens between two steps of one who waits: room comes back after it looked, and before it
//! is in line.

use std::future::{Pending, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel::balance::{Attempt, Attempts, Direct, OnResponse, ResponseFuture};
use evenkeel::picker::Ordered;
use evenkeel::set::{Limits, Rules};
use evenkeel::{Backend, Balance, Pool};
use tower::{BoxError, Service};

use crate::setup::task;

/// Fills its backend when it is asked whether it is ready, and gives that back when it was of no
/// use.
#[derive(Clone)]
struct Sly(Arc<Tricks>);

#[derive(Default)]
struct Tricks {
    state: Mutex<Trick>,
    fill: OnceLock<Box<dyn Fn() -> Filling + Send + Sync>>,
}

#[derive(Default)]
enum Trick {
    #[default]
    None,
    Armed,
    /// Dropped, it gives back.
    Filled(#[allow(dead_code, reason = "held")] Filling),
}

type Filling = Pin<Box<ResponseFuture<Sly, u32, Direct, OnResponse>>>;

impl Tricks {
    fn arm(&self) {
        *self.state.lock().unwrap() = Trick::Armed;
    }

    fn take_if(&self, matches: fn(&Trick) -> bool) -> Option<Trick> {
        let mut state = self.state.lock().unwrap();
        matches(&state).then(|| std::mem::take(&mut *state))
    }

    fn are_done(&self) -> bool {
        matches!(*self.state.lock().unwrap(), Trick::None)
    }
}

impl Service<u32> for Sly {
    type Response = ();
    type Error = BoxError;
    type Future = Pending<Result<(), BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self
            .0
            .take_if(|trick| matches!(trick, Trick::Armed))
            .is_some()
        {
            let mut filling = self.0.fill.get().unwrap()();
            let mut cx = Context::from_waker(std::task::Waker::noop());
            assert!(filling.as_mut().poll(&mut cx).is_pending());
            *self.0.state.lock().unwrap() = Trick::Filled(filling);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: u32) -> Self::Future {
        pending()
    }
}

impl Drop for Sly {
    fn drop(&mut self) {
        drop(self.0.take_if(|trick| matches!(trick, Trick::Filled(_))));
    }
}

/// `a`, and `b` with its tricks, which take one request at once.
fn sly() -> (
    Pool<Sly>,
    Attempts<Sly, u32, Direct, OnResponse>,
    Arc<Tricks>,
) {
    let tricks = Arc::<Tricks>::default();
    let backends = [
        Backend::new("a", Sly(Arc::default())),
        Backend::new("b", Sly(Arc::clone(&tricks))),
    ];
    let pool = Pool::from(backends);
    pool.set_rules(Rules::new().limits(Limits::new().max_in_flight(1)));
    let balance = Balance::new(pool.clone(), Ordered::new()).max_wait(Duration::from_secs(3600));
    let attempts = balance.attempts();
    let (b, other) = (pool.get("b").unwrap().handle(), attempts.clone());
    let fill = move || Box::pin(other.clone().call(Attempt::new(99).only(b)));
    assert!(tricks.fill.set(Box::new(fill)).is_ok());
    (pool, attempts, tricks)
}

fn in_flight(pool: &Pool<Sly>) -> [usize; 2] {
    ["a", "b"].map(|id| pool.get(id).unwrap().in_flight())
}

#[tokio::test(start_paused = true)]
async fn room_that_comes_back_before_one_is_in_line_is_found() {
    for choosy in [false, true] {
        let (pool, mut attempts, tricks) = sly();
        let a = pool.get("a").unwrap().handle();
        let _held = attempts.call(Attempt::new(0));
        assert_eq!(in_flight(&pool), [1, 0]);
        let attempt = Attempt::new(1);
        let attempt = if choosy { attempt.not_on(a) } else { attempt };
        let mut request = task(attempts.call(attempt));
        tricks.arm();
        assert!(request.poll().is_pending());
        assert!(tricks.are_done());
        assert_eq!((in_flight(&pool), pool.queued()), ([1, 1], 0), "{choosy}");
    }
}

#[tokio::test(start_paused = true)]
async fn room_that_another_took_and_gives_back_is_found_by_who_was_called() {
    for choosy in [false, true] {
        let (pool, mut attempts, tricks) = sly();
        let a = pool.get("a").unwrap().handle();
        let _held = attempts.call(Attempt::new(0));
        let mut on_b = task(attempts.call(Attempt::new(1)));
        assert!(on_b.poll().is_pending());
        assert_eq!(in_flight(&pool), [1, 1]);
        let attempt = Attempt::new(1);
        let attempt = if choosy { attempt.not_on(a) } else { attempt };
        let mut request = task(attempts.call(attempt));
        assert!(request.poll().is_pending());
        assert_eq!(pool.queued(), 1);
        drop(on_b);
        assert_eq!(request.wakes(), 1);
        tricks.arm();
        assert!(request.poll().is_pending());
        assert!(tricks.are_done());
        assert_eq!((in_flight(&pool), pool.queued()), ([1, 1], 0), "{choosy}");
    }
}
