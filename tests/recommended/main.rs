//! The recommended stack, as it is used.

mod deadlines;
mod setup;
mod uploads;
mod watching;
