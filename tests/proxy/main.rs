//! The reverse proxy on real sockets, in front of backends that are scripted to the byte.

mod backends;
mod bodies;
mod clients;
mod headers;
mod http2;
mod setup;
mod shapes;
mod shutdown;
mod upgrades;
