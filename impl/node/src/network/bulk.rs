//! The connection for bytes of snapshots.
//!
//! One frame is under way at a time, and the other side says when it has taken it. On a slow network a frame
//! takes longer than the interval of heartbeats. Each heartbeat asks the follower how much has arrived, and the
//! leader has the same bytes sent again, since the follower does not have them yet. So bytes that are under
//! way are not sent once more, and of others that are to be sent only the newest wait.

use super::caller::{Backoff, Caller, closed};
use super::lane::TAKEN;
use super::{Lane, failed, locked};
use crate::error::TransportError;
use kontiki::{Message, SnapshotId};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::Notify;

/// A frame that is in the buffers of the system is waited for, so many times as long as the patience.
const LONGEST: u32 = 12;

/// The bytes that are to be sent next.
#[derive(Default)]
pub(super) struct Slot {
    waits: Mutex<Waits>,
    put: Notify,
}

#[derive(Default)]
struct Waits {
    next: Option<Message>,
    under_way: Option<(SnapshotId, u64)>,
}

/// Which bytes of which snapshot a message has.
fn part(message: &Message) -> Option<(SnapshotId, u64)> {
    match message {
        Message::InstallSnapshot { snapshot, offset, .. } => Some((snapshot.id, *offset)),
        _ => None,
    }
}

impl Slot {
    /// Sends a message next, in place of another one that waits.
    pub(super) fn put(&self, message: Message) {
        let mut waits = locked(&self.waits);
        if waits.under_way.is_none() || waits.under_way != part(&message) {
            waits.next = Some(message);
            self.put.notify_one();
        }
    }

    async fn take(&self) -> Message {
        loop {
            let notified = self.put.notified();
            {
                let mut waits = locked(&self.waits);
                if let Some(message) = waits.next.take() {
                    waits.under_way = part(&message);
                    return message;
                }
            }
            notified.await;
        }
    }

    fn done(&self) {
        locked(&self.waits).under_way = None;
    }
}

/// Sends what is put into the slot. A connection is made when there is something to send for the first time.
pub(super) async fn run(caller: Caller, slot: Arc<Slot>) {
    let mut backoff = Backoff::new();
    loop {
        let first = slot.take().await;
        let error = match caller.connect(Lane::Bulk).await {
            Ok((connection, mut protection)) => {
                backoff.connected();
                let (read, write) = tokio::io::split(connection.stream);
                tokio::select! {
                    error = send_all(&caller, &slot, first, read, write) => error,
                    Ok(()) = protection.changed() => TransportError::CertificatesReplaced,
                }
            }
            Err(error) => error,
        };
        slot.done();
        caller.note(error);
        backoff.wait().await;
    }
}

async fn send_all(
    caller: &Caller,
    slot: &Slot,
    first: Message,
    mut read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
) -> TransportError {
    let mut message = first;
    let mut said = [0];
    loop {
        if let Err(error) = send(caller, &message, &mut read, &mut write).await {
            return error;
        }
        slot.done();
        message = tokio::select! {
            message = slot.take() => message,
            read = read.read(&mut said) => return closed(read),
        };
    }
}

/// Sends a message and waits until the other side has taken it.
async fn send(
    caller: &Caller,
    message: &Message,
    read: &mut (impl AsyncRead + Unpin),
    write: &mut (impl AsyncWrite + Unpin),
) -> Result<(), TransportError> {
    let mut buffer = Vec::new();
    caller.frame(message, &mut buffer);
    if buffer.is_empty() {
        return Ok(()); // It is too long, and dropped.
    }
    caller.write(write, &buffer, "send a snapshot").await?;
    let waiting = async { read.read_u8().await.map_err(failed("learn what was taken")) };
    let longest = caller.settings.patience.saturating_mul(LONGEST);
    match tokio::time::timeout(longest, waiting).await {
        Ok(Ok(TAKEN)) => Ok(()),
        Ok(Ok(_)) => Err(TransportError::NotKontiki),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(TransportError::TimedOut { action: "learn what was taken" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki::bytes::Bytes;
    use kontiki::{Configuration, LogPosition, ServerId, Snapshot, Term};

    fn chunk(offset: u64) -> Message {
        let snapshot = Box::new(Snapshot {
            id: SnapshotId { last: LogPosition::default(), taken_by: ServerId(1) },
            configuration: Configuration::default(),
            configuration_position: LogPosition::default(),
            size: 10,
        });
        Message::InstallSnapshot { term: Term(1), snapshot, offset, data: Bytes::new() }
    }

    #[tokio::test]
    async fn what_is_under_way_is_not_sent_again_and_the_newest_waits() {
        let slot = Slot::default();
        slot.put(chunk(1));
        assert_eq!(slot.take().await, chunk(1));
        slot.put(chunk(1));
        assert!(locked(&slot.waits).next.is_none());
        slot.put(chunk(2));
        slot.put(chunk(3));
        assert_eq!(slot.take().await, chunk(3));
        slot.done();
        slot.put(chunk(3));
        assert_eq!(slot.take().await, chunk(3));
    }
}
