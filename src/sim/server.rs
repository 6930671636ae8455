use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Instant;

use crate::load::LoadMeter;

/// How a server shares itself among its requests.
///
/// # Examples
///
/// ```
/// use evenkeel::sim::{Discipline, Scenario};
///
/// let scenario = Scenario::builder(10)
///     .discipline(Discipline::ProcessorSharing { slots: 4 })
///     .build()?;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discipline {
    /// In the order in which they come, so many at once, each at the server's full speed; the
    /// others wait. 1 slot is the default of a scenario.
    Fifo {
        /// How many at once; 1 or more.
        slots: u32,
    },
    /// All at once. Up to so many get the server's full speed, more share it equally, as threads
    /// share processors.
    ProcessorSharing {
        /// How many get the full speed; 1 or more.
        slots: u32,
    },
}

impl Discipline {
    pub(super) fn slots(self) -> u32 {
        match self {
            Self::Fifo { slots } | Self::ProcessorSharing { slots } => slots,
        }
    }
}

/// One server: what it works on, and what waits for it.
///
/// All requests in work progress at the same rate, so that it keeps one number, the work that each
/// has had since the server was last idle. A request is over when that number has reached what it
/// was when the request began, plus the request's own work. Only the next one to end needs a place
/// in the agenda.
#[derive(Debug)]
pub(super) struct Server {
    discipline: Discipline,
    pub(super) speed: f64,
    /// Of its slots, or of its speed if it does one after the other.
    pub(super) capacity: f64,
    pub(super) disturbed: f64,
    pub(super) hangs: bool,
    /// The share of requests that it fails.
    pub(super) fails: f64,
    /// If anyone wants to know: it is large.
    pub(super) meter: Option<LoadMeter>,
    working: BinaryHeap<Reverse<Task>>,
    waiting: VecDeque<Task>,
    /// The work that each has had, in nanoseconds at speed 1, and when that was so.
    had: f64,
    at: u64,
    /// When the next one ends, if it is known to the agenda, and the number of that entry there.
    due: Option<u64>,
    entry: u32,
}

/// What is still to do for a job, or when it is done. Positive numbers compare as their bits do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    work: u64,
    job: u32,
}

impl Server {
    pub(super) fn new(discipline: Discipline, speed: f64) -> Self {
        Self {
            discipline,
            speed,
            capacity: 1.0,
            disturbed: 1.0,
            hangs: false,
            fails: 0.0,
            meter: None,
            working: BinaryHeap::new(),
            waiting: VecDeque::new(),
            had: 0.0,
            at: 0,
            due: None,
            entry: 0,
        }
    }

    /// Lets it measure its load.
    pub(super) fn measured(mut self, start: Instant) -> Self {
        self.meter = Some(LoadMeter::new_at(start));
        self
    }

    /// Whether a request that came now would be begun at once.
    pub(super) fn has_room(&self) -> bool {
        self.working.len() < self.discipline.slots() as usize
    }

    pub(super) fn full_speed(&self) -> f64 {
        match self.discipline {
            _ if self.hangs => 0.0,
            Discipline::Fifo { .. } => self.speed * self.disturbed * self.capacity,
            Discipline::ProcessorSharing { .. } => self.speed * self.disturbed,
        }
    }

    /// Takes a job with so much work. To be followed by a [`reschedule`](Self::reschedule).
    pub(super) fn add(&mut self, now: u64, job: u32, work: f64) {
        let task = Task {
            work: work.to_bits(),
            job,
        };
        match self.discipline {
            Discipline::Fifo { .. } if !self.has_room() => self.waiting.push_back(task),
            _ => self.begin(now, task),
        }
    }

    /// Ends the job that is due. To be followed by a [`reschedule`](Self::reschedule).
    pub(super) fn take_due(&mut self, now: u64) -> Option<u32> {
        self.due = None;
        self.progress(now);
        let Reverse(task) = self.working.pop()?;
        // Times are whole nanoseconds, work is not.
        self.had = self.had.max(f64::from_bits(task.work));
        if let Some(next) = self.waiting.pop_front() {
            self.begin(now, next);
        }
        Some(task.job)
    }

    /// Brings the work done up to the present, before the speed changes.
    pub(super) fn progress(&mut self, now: u64) {
        if self.working.is_empty() {
            self.had = 0.0;
        } else {
            self.had += now.saturating_sub(self.at) as f64 * self.rate();
        }
        self.at = now;
    }

    /// Returns when the next job ends, and the number to know it by, if that has changed.
    pub(super) fn reschedule(&mut self, now: u64) -> Option<(u64, u32)> {
        let due = self.next_end(now);
        if due == self.due {
            return None;
        }
        self.due = due;
        self.entry = self.entry.wrapping_add(1);
        due.map(|due| (due, self.entry))
    }

    /// Whether an entry of the agenda still holds.
    pub(super) fn expects(&self, entry: u32) -> bool {
        self.entry == entry && self.due.is_some()
    }

    fn begin(&mut self, now: u64, task: Task) {
        self.progress(now);
        self.working.push(Reverse(Task {
            work: (self.had + f64::from_bits(task.work)).to_bits(),
            job: task.job,
        }));
    }

    fn next_end(&self, now: u64) -> Option<u64> {
        let Reverse(first) = self.working.peek()?;
        let rate = self.rate();
        if rate <= 0.0 {
            return None;
        }
        let left = (f64::from_bits(first.work) - self.had) / rate;
        let end = self.at.saturating_add(left.max(0.0).ceil() as u64);
        Some(end.max(now))
    }

    /// How fast each request in work progresses.
    fn rate(&self) -> f64 {
        match self.discipline {
            Discipline::Fifo { .. } => self.full_speed(),
            Discipline::ProcessorSharing { slots } => {
                let share = self.capacity * f64::from(slots) / self.working.len() as f64;
                self.full_speed() * share.min(1.0)
            }
        }
    }
}
