//! The limit on requests in flight in all: who is admitted, who waits, who is refused.

mod admitted;
mod bodies;
mod errors;
mod interleaving;
mod order;
mod setup;
