//! How servers reach each other: TCP, a connection in each direction.
//!
//! Whoever has something to say connects. Where there is TLS, both sides show certificates ([`tls`]). Then
//! whoever connects says who it is, whom it wants and what for ([`handshake`]). After that it sends frames:
//! a length of four bytes, big-endian, and a message ([`crate::codec`]) or what it knows of servers'
//! addresses ([`exchange`]). Nothing comes back on that connection. A connection that breaks is made anew
//! after a while, and messages may be lost: Raft copes with that.
//!
//! Bytes of snapshots have a connection of their own ([`bulk`]). A connection may also be for one question and
//! its answer.

mod bulk;
mod caller;
mod connection;
mod exchange;
pub(crate) mod fuzzing;
mod handshake;
mod incoming;
mod lane;
mod outgoing;
mod places;
mod socket;
#[cfg(feature = "tls")]
mod tls;

pub(crate) use caller::ask;
pub(crate) use exchange::{Answer, Facts, Joining, Wants, entries_frame};
pub(crate) use handshake::lease_terms;
pub(crate) use incoming::{Arrival, Incoming, listen};
pub(crate) use lane::Lane;
pub(crate) use outgoing::Peer;
pub use outgoing::PeerStatus;

use crate::error::TransportError;
use crate::security::Protection;
use kontiki_store::Identity;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// What both directions are told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) identity: Identity,
    /// What leases rest on, which has to be the same at all servers.
    pub(crate) lease_terms: u64,
    pub(crate) frame_bytes: usize,
    pub(crate) peer_bytes: usize,
    /// How long the two sides of a connection wait for each other until it stands, and for bytes to be taken.
    pub(crate) patience: Duration,
    pub(crate) protection: watch::Receiver<Protection>,
}

impl Settings {
    /// Does something with the network that must not take forever.
    async fn soon<T>(
        &self,
        action: &'static str,
        doing: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        timeout(self.patience, doing).await.unwrap_or(Err(TransportError::TimedOut { action }))
    }
}

/// Says what failed.
fn failed(action: &'static str) -> impl Fn(io::Error) -> TransportError {
    move |source| {
        #[cfg(feature = "tls")]
        if let Some(reason) = tls::reason(&source) {
            return reason;
        }
        TransportError::Io { action, source }
    }
}

/// What is behind such locks is whole at every moment, so a panic of another thread does no harm.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
