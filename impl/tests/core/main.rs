//! The core by itself: what it refuses, its limits, stores that fail, and any input at all. That
//! it follows the protocol is for the conformance suite to say.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test unwraps, or cannot go on without, fails the test"
)]

mod any_input;
mod cluster;
mod heartbeats;
mod install;
mod leases;
mod limits;
mod membership;
mod nonsense;
mod notices;
mod offer;
mod random_cluster;
mod reads;
mod snapshots;
mod stalls;
mod stores;
mod support;
mod transfer;
