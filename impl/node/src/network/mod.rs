//! How servers reach each other: TCP, a connection in each direction.
//!
//! Whoever has something to say connects, and says who it is and whom it wants. After that it sends frames:
//! a length of four bytes, big-endian, and a message ([`crate::codec`]) or what it knows of servers'
//! addresses ([`exchange`]). Nothing comes back on that connection. A connection that breaks is made anew
//! after a while, and messages may be lost: Raft copes with that.
//!
//! A connection may also be for one question and its answer.

mod exchange;
mod handshake;
mod incoming;
mod outgoing;

pub(crate) use exchange::{Answer, Facts, Joining, entries_frame};
pub(crate) use incoming::{Arrival, Incoming, listen};
pub use outgoing::PeerStatus;
pub(crate) use outgoing::{Peer, Priority, ask};

use crate::error::TransportError;
use kontiki_store::Identity;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How long the two sides of a connection wait for each other until it stands, and for bytes to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// What both directions are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) identity: Identity,
    pub(crate) frame_bytes: usize,
    pub(crate) peer_bytes: usize,
    pub(crate) plaintext_beyond_loopback: bool,
}

/// Does something with the network that must not take forever.
async fn soon<T>(
    action: &'static str,
    doing: impl Future<Output = std::io::Result<T>>,
) -> Result<T, TransportError> {
    match timeout(PATIENCE, doing).await {
        Ok(done) => done.map_err(|source| TransportError::Io { action, source }),
        Err(_) => Err(TransportError::TimedOut { action }),
    }
}

/// What is behind such locks is whole at every moment, so a panic of another thread does no harm.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
