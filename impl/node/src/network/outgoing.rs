//! Connections to others: messages go out.

use super::bulk::{self, Slot};
use super::caller::{Backoff, Caller, closed};
use super::connection::Connection;
use super::incoming::write_frame;
use super::{Lane, Settings, locked};
use crate::codec::message_bytes;
use crate::error::TransportError;
use crate::members::Members;
use crate::security::Protection;
use kontiki::{Message, ServerId};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncReadExt;
use tokio::runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::AbortHandle;

/// Small messages that wait are sent together, up to so many bytes.
const TOGETHER: usize = 64 << 10;

/// Another server, as far as it is reached.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// The server.
    pub server: ServerId,
    /// Where it is looked for, as `host:port`.
    pub address: String,
    /// Whether a connection to it stands.
    pub connected: bool,
    /// How many messages to it were dropped because too much waited.
    pub dropped: u64,
    /// Why the last connection was closed or not made.
    pub last_error: Option<Arc<TransportError>>,
}

/// Another server, with what waits to be sent to it. When this is dropped, its connections are closed.
pub(crate) struct Peer {
    queue: Queue,
    slot: Arc<Slot>,
    status: Arc<Mutex<PeerStatus>>,
    tasks: [AbortHandle; 2],
}

type Queued = (Message, OwnedSemaphorePermit);

/// What waits, bounded in bytes.
struct Queue {
    sender: UnboundedSender<Queued>,
    room: Arc<Semaphore>,
    bytes: usize,
}

impl Queue {
    fn new(bytes: usize) -> (Queue, UnboundedReceiver<Queued>) {
        let (sender, receiver) = unbounded_channel();
        (Queue { sender, room: Arc::new(Semaphore::new(bytes)), bytes }, receiver)
    }

    /// Whether there was room. An empty queue takes any message.
    fn push(&self, message: Message) -> bool {
        let bytes = message_bytes(&message).min(self.bytes);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.room).try_acquire_many_owned(bytes) else { return false };
        self.sender.send((message, permit)).is_ok()
    }
}

impl Peer {
    pub(crate) fn start(
        runtime: &runtime::Handle,
        server: ServerId,
        members: Arc<Members>,
        settings: Settings,
    ) -> Peer {
        let (queue, waiting) = Queue::new(settings.peer_bytes);
        let slot = Arc::new(Slot::default());
        let address = members.addresses(server).into_iter().next().unwrap_or_default();
        let status = PeerStatus { server, address, connected: false, dropped: 0, last_error: None };
        let status = Arc::new(Mutex::new(status));
        let caller = Caller { server, members, settings, status: Arc::clone(&status) };
        let usual = Dialer { caller: caller.clone(), waiting };
        let tasks = [
            runtime.spawn(usual.run()).abort_handle(),
            runtime.spawn(bulk::run(caller, Arc::clone(&slot))).abort_handle(),
        ];
        Peer { queue, slot, status, tasks }
    }

    /// Sends a message some time, or drops it.
    pub(crate) fn send(&self, message: Message, lane: Lane) {
        match lane {
            // Questions are asked elsewhere.
            Lane::Usual | Lane::Question => {
                if !self.queue.push(message) {
                    let mut status = locked(&self.status);
                    status.dropped = status.dropped.saturating_add(1);
                }
            }
            Lane::Bulk => self.slot.put(message),
        }
    }

    pub(crate) fn status(&self) -> PeerStatus {
        locked(&self.status).clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Keeps a connection to another server, for everything but the bytes of snapshots.
struct Dialer {
    caller: Caller,
    waiting: UnboundedReceiver<Queued>,
}

impl Dialer {
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            // What waits since before is out of date.
            while self.waiting.try_recv().is_ok() {}
            let error = match self.caller.connect(Lane::Usual).await {
                Ok((connection, protection)) => {
                    locked(&self.caller.status).connected = true;
                    backoff.connected();
                    self.send_all(connection, protection).await
                }
                Err(error) => error,
            };
            locked(&self.caller.status).connected = false;
            self.caller.note(error);
            backoff.wait().await;
        }
    }

    /// Sends what there is, until the connection breaks.
    async fn send_all(
        &mut self,
        connection: Connection,
        mut protection: watch::Receiver<Protection>,
    ) -> TransportError {
        let (mut read, mut write) = tokio::io::split(connection.stream);
        let mut unexpected = [0];
        let mut buffer = Vec::new();
        let mut told = self.caller.members.told();
        told.mark_changed();
        loop {
            let first = tokio::select! {
                biased;
                read = read.read(&mut unexpected) => return closed(read),
                Ok(()) = protection.changed() => return TransportError::CertificatesReplaced,
                Ok(()) = told.changed() => {
                    let frame = told.borrow_and_update().clone();
                    let writing = write_frame(&mut write, &frame);
                    match self.caller.settings.soon("send", writing).await {
                        Ok(()) => continue,
                        Err(error) => return error,
                    }
                }
                Some(queued) = self.waiting.recv() => queued,
            };
            buffer.clear();
            // The permits are kept until the bytes are sent.
            let mut sending = vec![self.frame(first, &mut buffer)];
            while buffer.len() < TOGETHER
                && let Ok(queued) = self.waiting.try_recv()
            {
                sending.push(self.frame(queued, &mut buffer));
            }
            if let Err(error) = self.caller.write(&mut write, &buffer, "send").await {
                return error;
            }
            drop(sending);
            buffer.shrink_to(TOGETHER);
        }
    }

    fn frame(&self, (message, permit): Queued, buffer: &mut Vec<u8>) -> OwnedSemaphorePermit {
        self.caller.frame(&message, buffer);
        permit
    }
}
