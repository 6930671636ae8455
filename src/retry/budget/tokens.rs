use crate::sync::{AtomicU64, Ordering};

/// A token, in the units of the line.
pub(super) const ONE: u64 = 1 << 32;

/// So many slots make a window.
pub(super) const SLOTS: u64 = if cfg!(evenkeel_loom) { 2 } else { 10 };

/// More samples than a window has slots, so that one is not replaced while it is looked at.
const SAMPLES: usize = if cfg!(evenkeel_loom) { 4 } else { 16 };

/// With so much to spend (a billion tokens) nothing more is added, so that the ends of the line are
/// never half the numbers apart and their difference is right though both wrap.
const MOST: u64 = 1 << 62;

/// What the requests paid in: a piece of a line of tokens, from what is spent to what is deposited.
///
/// ```text
///           spent or expired            to spend
/// ├──────────────────────────────┼───────────────────┤
///            S, up to where D was a window ago       D
/// ```
///
/// A withdrawal moves S by a token if that does not take it past D, so each has its own piece of the
/// line, and no interleaving can make two of one. D is sampled as each slot begins. Whoever comes
/// first in a slot moves S up to the sample of the slot that begins the window.
///
/// Neither S nor D goes back, and S never passes D. For the difference of the two, S is read before
/// D: `Acquire` on S sees the D that whoever moved S has seen, hence one that is not behind S.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Tokens {
    /// D. `Relaxed`: a sum; see above for what is read with it.
    deposited: AtomicU64,
    /// S. `Release` when it is moved, with the D that allowed it.
    spent: AtomicU64,
    /// The latest slot whose beginning has been dealt with; `Release` after all that it takes.
    slot: AtomicU64,
    /// D at the beginning of each of the latest slots. `Release`, for the D that it is.
    samples: [AtomicU64; SAMPLES],
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self::starting_at(0)
    }

    /// With the ends of the line elsewhere, for tests of what happens when they wrap.
    pub(super) fn starting_at(position: u64) -> Self {
        Self {
            deposited: AtomicU64::new(position),
            spent: AtomicU64::new(position),
            slot: AtomicU64::new(0),
            samples: std::array::from_fn(|_| AtomicU64::new(position)),
        }
    }

    #[inline]
    pub(super) fn deposit(&self, units: u64, slot: u64) {
        self.begin(slot);
        let (_, left) = self.spent_and_left();
        if left < MOST.cast_signed() {
            self.deposited.fetch_add(units, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn withdraw(&self, slot: u64) -> bool {
        self.begin(slot);
        loop {
            let (spent, left) = self.spent_and_left();
            if left < ONE.cast_signed() {
                return false;
            }
            if self.spend(spent, spent.wrapping_add(ONE)) {
                return true;
            }
        }
    }

    /// What there is to spend.
    pub(super) fn left(&self, slot: u64) -> u64 {
        self.begin(slot);
        self.spent_and_left().1.max(0).cast_unsigned()
    }

    #[inline]
    fn spent_and_left(&self) -> (u64, i64) {
        let spent = self.spent.load(Ordering::Acquire);
        let deposited = self.deposited.load(Ordering::Relaxed);
        (spent, deposited.wrapping_sub(spent).cast_signed())
    }

    #[inline]
    fn spend(&self, from: u64, to: u64) -> bool {
        self.spent
            .compare_exchange_weak(from, to, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Deals with the beginning of the slot, if nobody has. One in the past is the present one, seen
    /// by a clock that is behind.
    #[inline]
    fn begin(&self, slot: u64) {
        if self.slot.load(Ordering::Acquire) < slot {
            self.advance(slot);
        }
    }

    /// Several may do this at once, each of them all of it: what they store differs by what came in
    /// between, and nobody goes on before it is done.
    ///
    /// Who is suspended in the middle of it for more than half a window leaves samples that are too
    /// low. Tokens may then stay for up to a window longer; there are no more of them.
    #[cold]
    fn advance(&self, slot: u64) {
        // In this order, D is from before the slot was dealt with. `Acquire` keeps the order.
        let deposited = self.deposited.load(Ordering::Acquire);
        let last = self.slot.load(Ordering::Acquire);
        let begun = slot.saturating_sub(last).min(SAMPLES as u64);
        for back in 0..begun {
            self.sample(slot - back).store(deposited, Ordering::Release);
        }
        let first = self.sample(slot.wrapping_sub(SLOTS - 1));
        self.expire(first.load(Ordering::Acquire));
        self.slot.fetch_max(slot, Ordering::Release);
    }

    /// Moves S up to `until`, if it is not there yet.
    fn expire(&self, until: u64) {
        loop {
            let spent = self.spent.load(Ordering::Acquire);
            let deposited = self.deposited.load(Ordering::Relaxed);
            // By how far each is behind D, since all of them wrap.
            let behind = deposited.wrapping_sub(until) >= deposited.wrapping_sub(spent);
            if behind || self.spend(spent, until) {
                return;
            }
        }
    }

    fn sample(&self, slot: u64) -> &AtomicU64 {
        // The number of samples divides 2^64, so a slot from before the first is right too.
        &self.samples[slot as usize % SAMPLES]
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    /// How many can be withdrawn.
    fn withdraw_all(tokens: &Tokens, slot: u64) -> u64 {
        let mut withdrawn = 0;
        while tokens.withdraw(slot) {
            withdrawn += 1;
        }
        withdrawn
    }

    #[test]
    fn a_token_is_spent_once() {
        let tokens = Tokens::new();
        tokens.deposit(3 * ONE - 1, 0);
        assert_eq!(withdraw_all(&tokens, 0), 2);
        tokens.deposit(1, 0);
        assert_eq!(withdraw_all(&tokens, 0), 1);
    }

    #[test]
    fn a_token_is_there_for_nine_more_slots_and_gone_in_the_next() {
        for first in [0, 1, 7, 15, 16, 1_000_003] {
            let tokens = Tokens::new();
            tokens.deposit(ONE, first);
            tokens.deposit(2 * ONE, first + 4);
            assert_eq!(tokens.left(first + 9), 3 * ONE, "{first}");
            assert_eq!(tokens.left(first + 10), 2 * ONE, "{first}");
            assert_eq!(tokens.left(first + 13), 2 * ONE, "{first}");
            assert_eq!(tokens.left(first + 14), 0, "{first}");
        }
    }

    #[test]
    fn the_oldest_tokens_are_spent_first() {
        let tokens = Tokens::new();
        tokens.deposit(2 * ONE, 0);
        tokens.deposit(2 * ONE, 5);
        assert!(tokens.withdraw(5) && tokens.withdraw(5));
        // Those of slot 0 have been spent, those of slot 5 are there until their time ends.
        assert_eq!(tokens.left(14), 2 * ONE);
        assert_eq!(tokens.left(15), 0);
    }

    #[test]
    fn after_any_pause_nothing_is_left_and_all_begins_anew() {
        for pause in [10, 11, 15, 16, 17, 1_000_000, u64::MAX] {
            let tokens = Tokens::new();
            tokens.deposit(5 * ONE, 0);
            assert_eq!(tokens.left(pause), 0, "{pause}");
            tokens.deposit(2 * ONE, pause);
            assert_eq!(withdraw_all(&tokens, pause), 2, "{pause}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_takes_nothing_and_gives_nothing() {
        let tokens = Tokens::new();
        tokens.deposit(ONE, 1_000);
        tokens.deposit(ONE, 0);
        assert_eq!(tokens.left(3), 2 * ONE);
        assert_eq!(withdraw_all(&tokens, 1_000), 2);
        assert!(!tokens.withdraw(2));
    }

    #[test]
    fn the_line_may_wrap() {
        for start in [u64::MAX, u64::MAX - 5 * ONE, u64::MAX / 2, 1 << 63] {
            let tokens = Tokens::starting_at(start);
            for slot in 0..40 {
                tokens.deposit(3 * ONE, slot);
                assert!(tokens.withdraw(slot), "{start} {slot}");
                assert!(tokens.left(slot) < 30 * ONE, "{start} {slot}");
            }
            // Of the last nine slots; the withdrawals took what was about to expire.
            assert_eq!(withdraw_all(&tokens, 40), 27, "{start}");
            assert_eq!(tokens.left(60), 0, "{start}");
        }
    }

    #[test]
    fn years_of_deposits_that_nobody_spends_are_no_danger() {
        let tokens = Tokens::new();
        for slot in 0..1_000 {
            for _ in 0..1_000 {
                tokens.deposit(MOST / 64, slot);
                let left = tokens.left(slot);
                assert!(left <= MOST + MOST / 64, "{left}");
            }
            assert!(tokens.withdraw(slot));
        }
    }
}
