//! Servers in this process, driven by a client that knows nothing of Kontiki.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what fails in a helper fails the test"
)]

mod cluster;
mod commands;
mod crowds;
mod demo;
mod faults;
mod floods;
mod operators;
mod programs;
mod protocol;
mod sessions;
