//! Reports of load over real HTTP: from a backend's meter to the client's picker.

mod backend;
mod believing;
mod cost;
mod probes;
mod setup;
mod shares;
