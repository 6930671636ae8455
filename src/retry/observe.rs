use crate::balance::Attempted;

/// Is told of attempts; see [`RetryLayer::observer`](super::RetryLayer::observer).
///
/// A closure is told of each request when it has a response, or fails, or is dropped. It is a `Fn`
/// that many tasks call at once: one that captures an `Arc` is how to keep counters.
///
/// # Examples
///
/// ```
/// use evenkeel::balance::Attempted;
/// use evenkeel::retry::RetryLayer;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// let more_than_one = Arc::new(AtomicUsize::new(0));
/// let counter = Arc::clone(&more_than_one);
/// let layer = RetryLayer::new(|_request: &u64| true).observer(move |attempts: &[Attempted]| {
///     if attempts.len() > 1 {
///         counter.fetch_add(1, Ordering::Relaxed);
///         for attempt in attempts {
///             eprintln!("{attempt}");
///         }
///     }
/// });
/// // For whoever shows them, at any time:
/// println!("{} requests with more than one attempt", more_than_one.load(Ordering::Relaxed));
/// # let _ = layer;
/// ```
pub trait ObserveAttempts: Send + Sync {
    /// An attempt has ended, the `number`-th of its request from 0 on, in the order of their ends.
    /// A success is one of its response's head. Default: nothing is done.
    fn attempt(&self, number: usize, attempt: &Attempted) {
        let _ = (number, attempt);
    }

    /// A request has its response, or has failed, or was dropped. The last attempt is how it ended;
    /// there are none if no backend had it.
    fn request(&self, attempts: &[Attempted]);
}

impl<F: Fn(&[Attempted]) + Send + Sync> ObserveAttempts for F {
    fn request(&self, attempts: &[Attempted]) {
        self(attempts);
    }
}

/// Two, one after the other.
///
/// # Examples
///
/// ```
/// use evenkeel::balance::Attempted;
/// use evenkeel::retry::{ObserveAttempts, RetryLayer};
///
/// let count = |attempts: &[Attempted]| println!("{} attempts", attempts.len());
/// let list = |attempts: &[Attempted]| println!("{attempts:?}");
/// let layer = RetryLayer::new(|_request: &u64| true).observer((count, list));
/// # let _ = layer;
/// ```
impl<A: ObserveAttempts, B: ObserveAttempts> ObserveAttempts for (A, B) {
    fn attempt(&self, number: usize, attempt: &Attempted) {
        self.0.attempt(number, attempt);
        self.1.attempt(number, attempt);
    }

    fn request(&self, attempts: &[Attempted]) {
        self.0.request(attempts);
        self.1.request(attempts);
    }
}
