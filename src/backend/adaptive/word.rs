//! What was learnt about one backend's limit, as 64 bits.

/// The state, out of its word.
///
/// ```text
/// 63         47       33       20       7      2      1      0
/// │ limit 17 │ seen 14│ long 13│ short 13│ phase 5│ held │ busy │
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// In eighths of a request.
    pub(super) limit: u32,
    /// The samples of this round.
    pub(crate) seen: u32,
    /// The latency without a queue.
    pub(super) long: Latency,
    /// The mean latency of this round.
    pub(super) short: Latency,
    pub(super) phase: Phase,
    /// In this round the limit was lowered, or follows from that: it is left as it is.
    pub(super) held: bool,
    /// In this round at least half of the limit was in flight.
    pub(super) busy: bool,
}

/// One request, in the unit of [`State::limit`].
pub(super) const ONE: u32 = 8;

/// The longest round.
pub(super) const LONGEST: u32 = (1 << 14) - 1;

impl State {
    #[inline]
    pub(super) fn of(word: u64) -> Self {
        let field = |at: u32, bits: u32| (word >> at) as u32 & ((1 << bits) - 1);
        Self {
            limit: field(47, 17),
            seen: field(33, 14),
            long: Latency(field(20, 13)),
            short: Latency(field(7, 13)),
            phase: Phase(field(2, 5)),
            held: field(1, 1) != 0,
            busy: field(0, 1) != 0,
        }
    }

    #[inline]
    pub(super) fn word(self) -> u64 {
        u64::from(self.limit) << 47
            | u64::from(self.seen) << 33
            | u64::from(self.long.0) << 20
            | u64::from(self.short.0) << 7
            | u64::from(self.phase.0) << 2
            | u64::from(self.held) << 1
            | u64::from(self.busy)
    }

    /// The limit that is in force, in eighths: lower while latency is measured.
    #[inline]
    pub(super) fn in_force(self) -> u32 {
        self.limit >> self.phase.shift()
    }
}

/// A latency to 0.2 %, from 256 ns to 18 minutes: a float of 5 bits of exponent and 8 of mantissa.
/// What is outside counts as the nearest that there is. Zero means "not measured".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latency(u32);

const MANTISSA: u32 = 8;
/// What a code lacks to be the upper half of an `f32` of nanoseconds: its exponent begins at 2^8.
const BIAS: u32 = (127 + 8) << MANTISSA;
const LARGEST: u32 = (1 << 13) - 1;

impl Latency {
    pub(super) const NONE: Self = Self(0);

    #[inline]
    pub(super) fn new(nanoseconds: f32) -> Self {
        let shift = f32::MANTISSA_DIGITS - 1 - MANTISSA;
        let half = 1 << (shift - 1);
        let code = ((nanoseconds.to_bits() + half) >> shift).saturating_sub(BIAS);
        Self(code.clamp(1, LARGEST))
    }

    /// In nanoseconds.
    #[inline]
    pub(super) fn get(self) -> Option<f32> {
        let shift = f32::MANTISSA_DIGITS - 1 - MANTISSA;
        (self != Self::NONE).then(|| f32::from_bits((self.0 + BIAS) << shift))
    }
}

/// What the rounds are for.
///
/// ```text
/// 0 ──> 1 ──> … ──> 23 ──> draining ──> measuring ──> 0
/// └─ rounds in doubt ─┘    └─ at limit / 2^shift ─┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phase(u32);

impl Phase {
    /// There is no doubt about the latency without a queue.
    pub(super) const SURE: Self = Self(0);

    const DOUBTS: u32 = 24;
    pub(super) const DEEPEST: u32 = 3;

    /// One more round that leaves doubt; none if it is time to measure.
    pub(super) fn doubt(self) -> Option<Self> {
        (self.0 + 1 < Self::DOUBTS).then_some(Self(self.0 + 1))
    }

    /// The first round at a limit divided by 2^shift.
    pub(super) fn drain(shift: u32) -> Self {
        Self(Self::DOUBTS + 2 * shift.min(Self::DEEPEST))
    }

    /// The round after that of [`drain`](Self::drain).
    pub(super) fn measure(self) -> Self {
        Self(self.0 | 1)
    }

    pub(super) fn is_draining(self) -> bool {
        self.0 >= Self::DOUBTS && !self.is_measuring()
    }

    pub(super) fn is_measuring(self) -> bool {
        self.0 >= Self::DOUBTS && self.0 & 1 != 0
    }

    #[inline]
    fn shift(self) -> u32 {
        self.0.saturating_sub(Self::DOUBTS) / 2
    }
}
