//! The driver: single servers whose clock and disk the test holds, and clusters of drivers over a
//! network, disks and clocks that do as they like, in virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test unwraps, or cannot go on without, fails the test"
)]

mod clocks;
mod cluster;
mod clusters;
mod disk;
mod history;
mod lagging;
mod leases;
mod machine;
mod members;
mod proposals;
mod random;
mod random_cluster;
mod reads;
mod snapshots;
mod stopping;
mod support;
mod timings;
