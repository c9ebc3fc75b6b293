//! The driver: single servers whose clock and disk the test holds, and clusters of drivers over a
//! network, disks and clocks that do as they like, in virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test unwraps, or cannot go on without, fails the test"
)]

mod cluster;
mod history;
mod machine;
mod random;
mod random_cluster;
