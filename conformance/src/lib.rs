//! The comparison of Kontiki's implementation with its model: see `conformance/README.md`.

// What is printed goes through `console`, which puts up with a reader that has gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod atlas;
pub mod consecutive;
pub mod divergence;
pub mod fields;
pub mod hidden;
pub mod ill_formed;
pub mod implementation;
pub mod nonsense;
pub mod premise;
pub mod real_runs;
pub mod record;
pub mod recorded;
pub mod replay;
mod sessions;
pub mod shadow;
pub mod simulate;
pub mod stories;
pub mod tell;
pub mod verified;
pub mod verify;
