//! Nodes over loopback, with files in temporary directories. Nothing here depends on how long something
//! takes: what has to come about is waited for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

mod admission;
#[cfg(feature = "tls")]
mod authority;
mod budgets;
#[cfg(feature = "tls")]
mod certificates;
mod clients;
mod cluster;
mod clusters;
mod failures;
mod journal;
mod recovery;
mod slow;
mod strangers;
#[cfg(feature = "tls")]
mod tls;
