use std::task::Context;
use std::time::Duration;

use super::waits::Timer;

/// Tells those who wait in line that there may be room, while backends start slowly.
///
/// Their limits rise with time. When nothing ends meanwhile, nobody is called for that.
pub(super) struct Ramp(Option<Timer>);

/// Between two calls, however many wait: each of them waits so many times as long.
const TICK: Duration = Duration::from_millis(100);

impl Ramp {
    pub(super) fn new() -> Self {
        Self(None)
    }

    /// Whether it is time to call whoever is next, with so many in line.
    pub(super) fn is_up(&mut self, waiting: usize, cx: &mut Context<'_>) -> bool {
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX).max(1);
        let new = || Timer::new(TICK.saturating_mul(waiting));
        let timer = self.0.get_or_insert_with(new);
        let up = timer.is_up(cx);
        if up {
            self.0 = None;
        }
        up
    }

    pub(super) fn stop(&mut self) {
        self.0 = None;
    }
}
