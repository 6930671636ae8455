use std::fmt;
use std::num::NonZeroU32;
use std::time::Instant;

use crate::backend::Handle;
use crate::random::{below, mix};
use crate::time::{now, since_epoch};

/// What a pick may use besides the set and the request: the time, chance, and which attempt it is.
///
/// Both the clock and the random source are read only when asked for, so a picker that needs
/// neither does not pay for them.
///
/// # Examples
///
/// A context with a seed makes a pick repeatable:
///
/// ```
/// use evenkeel::Picker;
/// use evenkeel::picker::{Context, Random};
///
/// let set = ["a", "b", "c", "d"];
/// let pick = |seed| Random::new().pick(&set, &(), &mut Context::new().seed(seed));
/// assert_eq!(pick(7), pick(7));
/// ```
#[must_use]
pub struct Context {
    attempt: u32,
    /// And the same in nanoseconds since the epoch.
    now: Option<(Instant, u64)>,
    random: Option<fastrand::Rng>,
    keyed: bool,
    /// A backend that does not take all of its requests yet has left this one.
    passed_over: bool,
    /// Which trial of the picked backend this request is, if it is one.
    trial: Option<NonZeroU32>,
    /// Whose load is to be asked for, if anybody can ask.
    probes: Option<Probes>,
}

#[derive(Default)]
struct Probes {
    len: usize,
    handles: [Option<Handle>; Context::MAX_PROBES],
}

impl Context {
    /// A first attempt, at the present time, with the thread's random source.
    #[inline]
    pub fn new() -> Self {
        Self {
            attempt: 0,
            now: None,
            random: None,
            keyed: false,
            passed_over: false,
            trial: None,
            probes: None,
        }
    }

    pub(crate) fn set_trial(&mut self, trial: Option<NonZeroU32>) {
        self.trial = trial;
    }

    /// Whoever takes it has to see to it that the trial ends.
    #[inline]
    pub(crate) fn take_trial(&mut self) -> Option<NonZeroU32> {
        // Looks before it writes: there hardly ever is one.
        self.trial?;
        self.trial.take()
    }

    #[cfg(feature = "tower")]
    pub(crate) fn set_attempt(&mut self, attempt: u32) {
        self.attempt = attempt;
        self.passed_over = false;
    }

    /// Someone who was picked has left the request to the others.
    pub(super) fn pass_over(&mut self) {
        self.attempt += 1;
        self.passed_over = true;
    }

    /// Whether that was so before.
    #[inline]
    pub(super) fn is_passed_over(&self) -> bool {
        self.passed_over
    }

    /// Sets the random source's seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = Some(fastrand::Rng::with_seed(mix(seed)));
        self
    }

    /// Sets the time.
    pub fn at(mut self, now: Instant) -> Self {
        self.now = Some((now, since_epoch(now)));
        self
    }

    /// Sets the attempt's number; see [`attempt`](Self::attempt).
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Returns how often this request was picked for before: 0 at first. From 1 on, the backends
    /// that were tried are no longer in the set.
    #[inline]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Says that the choice follows from the request, so that another backend would do less well: a
    /// balance may then wait for it for a while, see
    /// [`Balance::affinity_wait`](crate::Balance::affinity_wait). For pickers that go by a key.
    #[inline]
    pub fn set_keyed(&mut self) {
        self.keyed = true;
    }

    /// Returns whether the picker has said so.
    #[inline]
    pub fn is_keyed(&self) -> bool {
        self.keyed
    }

    /// Returns the time. It stays the same for as long as the context lives.
    pub fn now(&mut self) -> Instant {
        self.moment().0
    }

    /// The time, and the same in nanoseconds since the epoch.
    #[inline]
    pub(crate) fn moment(&mut self) -> (Instant, u64) {
        *self.now.get_or_insert_with(|| {
            let now = now();
            (now, since_epoch(now))
        })
    }

    /// How many backends one pick can [`probe`](Self::probe).
    pub const MAX_PROBES: usize = 8;

    /// Lets pickers ask for probes: whoever calls this sends them; see [`probes`](Self::probes).
    pub fn with_probes(mut self) -> Self {
        self.probes = Some(Probes::default());
        self
    }

    /// Returns whether somebody sends [probes](Self::probe).
    #[inline]
    pub fn can_probe(&self) -> bool {
        self.probes.is_some()
    }

    /// Asks that a backend be asked for its load, once this pick is over. What it answers comes as
    /// an [`Event::Probed`](crate::backend::Event::Probed), if it does.
    ///
    /// The picker is told of it even if it [needs](super::Needs) no observations. The backend may
    /// have left by then.
    ///
    /// Does nothing if nobody sends probes, and beyond [`MAX_PROBES`](Self::MAX_PROBES) of them.
    pub fn probe(&mut self, backend: Handle) {
        if let Some(probes) = &mut self.probes
            && let Some(place) = probes.handles.get_mut(probes.len)
        {
            *place = Some(backend);
            probes.len += 1;
        }
    }

    /// Returns whom the pickers want to be [probed](Self::probe), in the order in which they said
    /// so.
    pub fn probes(&self) -> impl Iterator<Item = Handle> {
        let handles = self.probes.iter().flat_map(|probes| probes.handles);
        handles.flatten()
    }

    /// Returns 64 random bits.
    #[inline]
    pub fn random(&mut self) -> u64 {
        self.random.get_or_insert_with(fastrand::Rng::new).u64(..)
    }

    /// Returns a random number below `end`, or 0 when `end` is 0.
    pub fn random_below(&mut self, end: usize) -> usize {
        below(self.random(), end as u64) as usize
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("attempt", &self.attempt)
            .field("now", &self.now.map(|(now, _)| now))
            .finish_non_exhaustive()
    }
}
