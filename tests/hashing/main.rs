//! Hash pickers: where keys go, and what makes them move.

mod bounded;
mod moves;
mod odd_sets;
mod rebuilds;
mod recorded;
mod settings;
mod setup;
mod shares;
mod stepping;
mod vectors;
