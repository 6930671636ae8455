#![doc = include_str!("../README.md")]

mod breaks;
mod endpoint;
mod name;
mod port;
mod slices;
mod source;
mod updates;

pub use self::port::Port;
pub use self::source::{EndpointSlices, IpFamily};
