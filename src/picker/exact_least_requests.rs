use super::{Context, Needs, Picker};
use crate::set::BackendSet;

/// Picks the backend with the fewest requests in flight of all, for its weight.
///
/// # When to use
///
/// When this program sends most of the traffic and the backends are not thousands. With one client
/// it is close to what a single queue for all backends would give. With many clients each sees only
/// its own share of the load, and [`LeastRequests`](super::LeastRequests) does as well for less.
///
/// As with that, a backend that fails at once has few requests in flight, and draws traffic.
///
/// # Algorithm
///
/// The true minimum of in-flight / weight. Backends that tie are chosen between at random, in
/// proportion to their weights, so that no one is favoured for its place in the list.
///
/// While weights are equal the pool keeps an index of its backends by load, up to 14 requests in
/// flight each, and a pick reads one bit for each backend at worst. With different weights, or when
/// every backend has 15 or more, each pick walks over all backends: O(n).
///
/// A request that is picked for again, because its first backend was not ready, walks as well.
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
}
