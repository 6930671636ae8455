use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use super::{Adaptive, AdaptiveLimit, Line, Outcome};

/// How many requests a backend takes at once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MaxInFlight {
    Fixed(u32),
    Adaptive(Arc<AdaptiveLimit>),
}

/// Who waits for room at the backends of a pool.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Any backend will do for them, so they are served in their order.
    pub(crate) anyone: Arc<Line>,
    /// It has to be a certain one, or must not be.
    pub(crate) choosy: Arc<Line>,
}

/// What a backend with a limit has besides the limit itself.
#[derive(Debug)]
pub(super) struct Room {
    lines: Arc<Lines>,
    /// What was learnt stays while the settings change.
    adaptive: OnceLock<Adaptive>,
    settings: ArcSwapOption<AdaptiveLimit>,
}

impl Lines {
    pub(crate) fn new(length: u32, newest_first: bool) -> Self {
        let line = || Arc::new(Line::new(length, newest_first));
        Self {
            anyone: line(),
            choosy: line(),
        }
    }

    pub(crate) fn set(&self, length: u32, newest_first: bool) {
        self.anyone.set(length, newest_first);
        self.choosy.set(length, newest_first);
    }

    /// A backend has given room back, by a step of `SeqCst` just before.
    #[inline]
    pub(super) fn call_next_after_step(&self) {
        self.anyone.call_next_after_step();
        self.choosy.call_next_after_step();
    }

    /// There may be room for one more at some backend.
    #[inline]
    pub(crate) fn call_next(&self) {
        self.anyone.call_next();
        self.choosy.call_next();
    }

    /// What is room may be something else from now on.
    pub(crate) fn call_all(&self) {
        self.anyone.call_all();
        self.choosy.call_all();
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.anyone.len() as usize + self.choosy.len() as usize
    }
}

impl Room {
    pub(super) fn new(lines: Arc<Lines>) -> Self {
        Self {
            lines,
            adaptive: OnceLock::new(),
            settings: ArcSwapOption::empty(),
        }
    }

    pub(super) fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Sets who finds the limit, if it finds itself; returns the limit.
    pub(super) fn set(&self, max: MaxInFlight) -> u32 {
        match max {
            MaxInFlight::Fixed(max) => {
                self.settings.store(None);
                max
            }
            MaxInFlight::Adaptive(settings) => {
                let adaptive = self.adaptive.get_or_init(|| Adaptive::new(&settings));
                adaptive.bound(&settings);
                self.settings.store(Some(settings));
                adaptive.limit()
            }
        }
    }

    pub(super) fn is_adaptive(&self) -> bool {
        self.settings.load().is_some()
    }

    /// What a request shows; returns the limit that follows from it.
    pub(super) fn sample(&self, latency: u64, in_flight: u32, outcome: Outcome) -> Option<u32> {
        let settings = self.settings.load();
        let (settings, adaptive) = (settings.as_deref()?, self.adaptive.get()?);
        adaptive.sample(settings, latency, in_flight, outcome);
        Some(adaptive.limit())
    }
}
