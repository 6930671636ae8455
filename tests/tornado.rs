//! Real servers: Tornado, behind `BalanceLayer` in this process and behind the example
//! `reverse_proxy`.
//!
//! The servers run in a virtual environment that the first test makes under the target directory.
//! Where Python or the package index is missing, the tests say `skipped` and why; with `CI` set
//! they fail.

#![cfg(feature = "http")]

mod tornado {
    mod arguments;
    mod balanced;
    mod client;
    mod example;
    #[cfg(unix)]
    mod failing;
    #[cfg(unix)]
    mod load;
    mod proxied;
    mod server;
    mod venv;
}
