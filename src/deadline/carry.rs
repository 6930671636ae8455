use std::time::Instant;

/// How a request carries its deadline.
///
/// # Examples
///
/// ```
/// use evenkeel::deadline::{Carry, DeadlineLayer};
/// use std::time::{Duration, Instant};
///
/// struct Job {
///     until: Option<Instant>,
/// }
///
/// #[derive(Clone)]
/// struct InJob;
///
/// impl Carry<Job> for InJob {
///     fn deadline(&self, job: &Job) -> Option<Instant> {
///         job.until
///     }
///     fn pass_on(&self, job: &mut Job, deadline: Instant) {
///         job.until = Some(deadline);
///     }
/// }
///
/// let layer = DeadlineLayer::new(Duration::from_secs(10)).carried(InJob);
/// # let _ = layer;
/// ```
pub trait Carry<Req> {
    /// Returns the deadline that the request has come with.
    fn deadline(&self, request: &Req) -> Option<Instant>;

    /// Writes the deadline that holds into the request, for those further in.
    fn pass_on(&self, request: &mut Req, deadline: Instant);
}

/// Requests carry no deadline, and none is passed on.
///
/// # Examples
///
/// ```
/// use evenkeel::deadline::{Carry, Nowhere};
///
/// assert_eq!(Nowhere.deadline(&"a request"), None);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

impl<Req> Carry<Req> for Nowhere {
    fn deadline(&self, _request: &Req) -> Option<Instant> {
        None
    }

    fn pass_on(&self, _request: &mut Req, _deadline: Instant) {}
}
