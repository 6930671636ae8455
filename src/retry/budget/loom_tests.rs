//! Every interleaving of the requests' tokens; see `backend/loom_tests.rs` for how to run it.

#[path = "tokens.rs"]
mod tokens;

use std::sync::Arc;

use loom::thread;

use self::tokens::{ONE, Tokens};

#[test]
fn a_token_is_never_spent_twice() {
    loom::model(|| {
        let tokens = Arc::new(Tokens::new());
        tokens.deposit(ONE, 0);
        let other = {
            let tokens = Arc::clone(&tokens);
            thread::spawn(move || tokens.withdraw(0))
        };
        let here = tokens.withdraw(0);
        assert!(here ^ other.join().unwrap(), "one of them gets it");
        assert_eq!(tokens.left(0), 0);
    });
}

// With two slots a window, a token is there in the slot after its own, and then gone.

#[test]
fn a_deposit_counts_whoever_begins_a_slot_meanwhile() {
    loom::model(|| {
        let tokens = Arc::new(Tokens::new());
        tokens.deposit(ONE, 0);
        let other = {
            let tokens = Arc::clone(&tokens);
            thread::spawn(move || tokens.deposit(ONE, 1))
        };
        tokens.deposit(ONE, 1);
        other.join().unwrap();
        assert_eq!(tokens.left(1), 3 * ONE);
        // What was deposited while the slot began may count as from just before it.
        assert!(tokens.left(2) <= 2 * ONE);
        assert_eq!(tokens.left(3), 0);
    });
}

#[test]
fn what_has_expired_is_not_spent_by_who_comes_while_the_slot_begins() {
    loom::model(|| {
        let tokens = Arc::new(Tokens::new());
        tokens.deposit(2 * ONE, 0);
        let other = {
            let tokens = Arc::clone(&tokens);
            thread::spawn(move || tokens.withdraw(2))
        };
        assert!(!tokens.withdraw(2));
        assert!(!other.join().unwrap());
        assert_eq!(tokens.left(2), 0);
    });
}

#[test]
fn spending_and_expiring_at_once_never_pass_what_was_deposited() {
    loom::model(|| {
        let tokens = Arc::new(Tokens::new());
        tokens.deposit(ONE, 0);
        let other = {
            let tokens = Arc::clone(&tokens);
            thread::spawn(move || {
                tokens.deposit(ONE, 2);
                tokens.withdraw(2)
            })
        };
        // By a clock that is behind.
        let here = tokens.withdraw(1);
        let there = other.join().unwrap();
        let left = tokens.left(2);
        let spent = u64::from(here) + u64::from(there);
        assert!(spent * ONE + left <= 2 * ONE, "{spent} spent, {left} left");
    });
}
