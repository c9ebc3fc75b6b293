//! A replicated key-value server that speaks RESP, the protocol of Redis: Kontiki's demo.
//!
//! The program is `kontiki-kv`; this library is what it is made of, so that tests can run servers in process.

pub mod admin;
pub mod client;
pub mod cluster_report;
pub mod command;
pub mod config;
pub mod demo;
pub mod http;
pub mod machine;
pub mod open_files;
pub mod operation;
pub mod resp;
pub mod server;

use std::hash::{BuildHasher, Hasher, RandomState};

/// Waits until the process is told to end: by Ctrl-C, or as service managers do.
pub async fn ending() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminated.recv() => return,
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }
    // If this fails, the process ends as any other does.
    drop(tokio::signal::ctrl_c().await);
}

/// A number that nobody can foresee, good enough to tell clusters apart.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
