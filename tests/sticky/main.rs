//! Sticky sessions: who stays where, and what is no session.

mod learned;
mod retried;
mod settings;
mod setup;
mod tokens;
mod where_they_go;
