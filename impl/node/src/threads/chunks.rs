//! The thread that reads snapshots to send them. The driver does not wait for the disk.

use super::{Signal, Watch};
use crate::machine::StateMachine;
use kontiki::driver::{ChunkRequest, Event};
use kontiki::storage::SnapshotStore;
use kontiki_store::FileStore;
use std::sync::mpsc::{Receiver, Sender};

/// How many requests may wait. Those beyond that are dropped, and the next heartbeat asks again.
pub(crate) const WAITING: usize = 16;

/// Reads until nobody asks for anything any more.
pub(crate) fn run<M: StateMachine>(
    store: &FileStore,
    chunk_bytes: usize,
    requests: &Receiver<ChunkRequest>,
    inbox: &Sender<Signal<M>>,
) {
    let failure = |how| Event::DiskFailed { how };
    let _watch = Watch { inbox: inbox.clone(), failure, thread: "snapshots" };
    for request in requests {
        let signal = match store.chunk(request.snapshot.id, request.offset, chunk_bytes) {
            Ok(Some(data)) if !data.is_empty() => {
                Signal::Chunk { to: request.to, message: request.message(data) }
            }
            Ok(_) => continue, // There is a newer snapshot.
            // A server whose snapshot is damaged could not start from it. That must not stay unnoticed.
            Err(error) => Signal::Event(Event::DiskFailed { how: error.to_string() }),
        };
        if inbox.send(signal).is_err() {
            return;
        }
    }
}
