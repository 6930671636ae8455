use super::{Context, Needs, Picker};
use crate::set::BackendSet;

/// Picks the backend with the fewest requests in flight of all, for its weight.
///
/// # When to use
///
/// When this program sends most of the traffic. With one client it is close to what a single queue
/// for all backends would give. With many clients each sees only its own share of the load, and
/// [`LeastRequests`](super::LeastRequests) does as well for less.
///
/// As with that, a backend that fails at once has few requests in flight, and draws traffic.
///
/// # Algorithm
///
/// The true minimum of in-flight / weight. Backends that tie are chosen between at random, in
/// proportion to their weights, so that no one is favoured for its place in the list.
///
/// The pool keeps an index of its backends by weight and by load (see
/// [`Needs::LOAD_INDEX`](super::Needs::LOAD_INDEX)), so a pick looks at one number for each
/// different weight, and then at a few backends. Where only few of very many backends share the
/// minimum, it looks at up to one word for 32 backends.
///
/// # Cost
///
/// A pick walks over all backends, O(n), where the index cannot tell:
///
/// - if the least loaded have 255 or more requests in flight each;
/// - if there are more than 64 different weights;
/// - for a request that is picked for again, because its first backend was not ready, if the least
///   loaded was that one;
/// - if the least loaded is one that takes only a part of its requests for now, after it has joined
///   or come back ([`SlowStart`](crate::set::SlowStart)) or because it has asked to be spared.
///
/// Sets other than a pool's have no index.
///
/// # Examples
///
/// ```
/// use evenkeel::{Balance, Backend, Pool};
/// # use tower::service_fn;
/// # let service = service_fn(|_request: ()| async { Ok::<_, std::io::Error>(()) });
/// let balance = Balance::<_, ()>::exact_least_requests(Pool::from([Backend::new("a", service)]));
/// # let _ = balance;
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct ExactLeastRequests(());

impl ExactLeastRequests {
    /// Creates the picker.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<Req: ?Sized> Picker<Req> for ExactLeastRequests {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        set.least_in_flight(cx.random())
    }

    fn needs(&self) -> Needs {
        Needs::LOAD_INDEX
    }

    fn rule(&self) -> &'static str {
        "fewest requests in flight for its weight, of all"
    }
}
