//! The Raft model of Kontiki.
//!
//! * [`server`] is the definition of the protocol: one server, rule by rule.
//! * [`environment`] is what a scope lets happen to a server; [`actor`] makes it a stateright
//!   actor; [`cluster`] explores all interleavings of several.
//! * [`properties`] is what must hold; [`scopes`] loads the bounds within which it is checked.

// What is printed goes through `console`, which puts up with a reader that has gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod actor;
pub mod bounded;
pub mod check;
pub mod claims;
pub mod cluster;
pub mod console;
pub mod environment;
pub mod explore;
pub mod jobs;
pub mod mutants;
pub mod outcome;
pub mod path;
pub mod properties;
pub mod resources;
pub mod scopes;
pub mod server;
pub mod simulate;
pub mod walker;
