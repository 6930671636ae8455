//! What takes backends out, what brings them back, and when. On paused time.

mod ejection;
mod setup;
