//! Connections to others: messages go out.

use super::connection::{self, Connection};
use super::exchange::{Answer, Question};
use super::handshake::Purpose;
use super::incoming::{read_frame, write_frame};
use super::{Settings, failed, handshake, locked};
use crate::codec::{self, message_bytes};
use crate::error::TransportError;
use crate::members::Members;
use crate::security::Protection;
use kontiki::{Message, ServerId};
use kontiki_store::Identity;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// After a failure the first wait, which doubles each time up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Small messages that wait are sent together, up to so many bytes.
const TOGETHER: usize = 64 << 10;

/// What goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Everything but what follows.
    Usual,
    /// Bytes of snapshots: one message at a time, when nothing else waits.
    Bulk,
}

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

/// Another server, with what waits to be sent to it. When this is dropped, the connection is closed.
pub(crate) struct Peer {
    usual: Queue,
    bulk: Queue,
    status: Arc<Mutex<PeerStatus>>,
    task: AbortHandle,
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
        let (usual, usual_waits) = Queue::new(settings.peer_bytes);
        let (bulk, bulk_waits) = Queue::new(settings.peer_bytes);
        let address = members.addresses(server).into_iter().next().unwrap_or_default();
        let status = PeerStatus { server, address, connected: false, dropped: 0, last_error: None };
        let status = Arc::new(Mutex::new(status));
        let dialer = Dialer {
            server,
            members,
            settings,
            status: Arc::clone(&status),
            usual: usual_waits,
            bulk: bulk_waits,
        };
        Peer { usual, bulk, status, task: runtime.spawn(dialer.run()).abort_handle() }
    }

    /// Sends a message some time, or drops it.
    pub(crate) fn send(&self, message: Message, priority: Priority) {
        let queue = match priority {
            Priority::Usual => &self.usual,
            Priority::Bulk => &self.bulk,
        };
        if !queue.push(message) {
            let mut status = locked(&self.status);
            status.dropped = status.dropped.saturating_add(1);
        }
    }

    pub(crate) fn status(&self) -> PeerStatus {
        locked(&self.status).clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps a connection to another server.
struct Dialer {
    server: ServerId,
    members: Arc<Members>,
    settings: Settings,
    status: Arc<Mutex<PeerStatus>>,
    usual: UnboundedReceiver<Queued>,
    bulk: UnboundedReceiver<Queued>,
}

impl Dialer {
    async fn run(mut self) {
        let mut wait = FIRST_WAIT;
        loop {
            // What waits since before is out of date.
            while self.usual.try_recv().is_ok() || self.bulk.try_recv().is_ok() {}
            let mut protection = self.settings.protection.clone();
            let present = protection.borrow_and_update().clone();
            let error = match self.connect(&present).await {
                Ok(connection) => {
                    locked(&self.status).connected = true;
                    let start = Instant::now();
                    let error = self.send_all(connection, protection).await;
                    if start.elapsed() >= LONGEST_WAIT {
                        wait = FIRST_WAIT;
                    }
                    error
                }
                Err(error) => error,
            };
            tracing::debug!(peer = self.server.0, %error, "no connection");
            {
                let mut status = locked(&self.status);
                status.connected = false;
                status.last_error = Some(Arc::new(error));
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        }
    }

    /// Tries each address at which the server may be.
    async fn connect(&self, protection: &Protection) -> Result<Connection, TransportError> {
        let mut failure = TransportError::NoAddress { server: self.server };
        for address in self.members.addresses(self.server) {
            locked(&self.status).address.clone_from(&address);
            let call = Call {
                server: self.server,
                purpose: Purpose::Messages,
                settings: &self.settings,
                members: &self.members,
                protection,
            };
            match call.at(&address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = error,
            }
        }
        Err(failure)
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
        let mut told = self.members.told();
        told.mark_changed();
        loop {
            let first = tokio::select! {
                biased;
                read = read.read(&mut unexpected) => return closed(read),
                Ok(()) = protection.changed() => return TransportError::CertificatesReplaced,
                Ok(()) = told.changed() => {
                    let frame = told.borrow_and_update().clone();
                    let writing = write_frame(&mut write, &frame);
                    match self.settings.soon("send", writing).await {
                        Ok(()) => continue,
                        Err(error) => return error,
                    }
                }
                Some(queued) = self.usual.recv() => queued,
                Some(queued) = self.bulk.recv() => queued,
            };
            buffer.clear();
            // The permits are kept until the bytes are sent.
            let mut sending = vec![self.frame(first, &mut buffer)];
            while buffer.len() < TOGETHER
                && let Ok(queued) = self.usual.try_recv()
            {
                sending.push(self.frame(queued, &mut buffer));
            }
            let writing = async {
                write.write_all(&buffer).await.map_err(failed("send"))?;
                write.flush().await.map_err(failed("send"))
            };
            if let Err(error) = self.settings.soon("send", writing).await {
                return error;
            }
            drop(sending);
            buffer.shrink_to(TOGETHER);
        }
    }

    /// Writes the frame of a message. One that is too long is dropped.
    fn frame(&self, (message, permit): Queued, buffer: &mut Vec<u8>) -> OwnedSemaphorePermit {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; 4]);
        codec::encode(&message, buffer);
        let most = self.settings.frame_bytes;
        let bytes = buffer.len() - start - 4;
        match u32::try_from(bytes).ok().filter(|_| bytes <= most) {
            Some(bytes) => buffer[start..start + 4].copy_from_slice(&bytes.to_be_bytes()),
            None => {
                buffer.truncate(start);
                let mut status = locked(&self.status);
                status.dropped = status.dropped.saturating_add(1);
                status.last_error = Some(Arc::new(TransportError::FrameTooLong { most }));
            }
        }
        permit
    }
}

/// How a server is reached.
struct Call<'a> {
    server: ServerId,
    purpose: Purpose,
    settings: &'a Settings,
    members: &'a Arc<Members>,
    protection: &'a Protection,
}

impl Call<'_> {
    /// Connects at one address.
    async fn at(&self, address: &str) -> Result<Connection, TransportError> {
        let Call { settings, protection, .. } = self;
        let finding = async {
            let found = tokio::net::lookup_host(address).await;
            found.map(Vec::from_iter).map_err(failed("look up the address"))
        };
        let addresses = settings.soon("look up the address", finding).await?;
        if let Some(address) = addresses.iter().find(|address| !protection.allows(**address)) {
            return Err(TransportError::PlaintextBeyondLoopback { address: *address });
        }
        let connecting =
            async { TcpStream::connect(&addresses[..]).await.map_err(failed("connect")) };
        let socket = settings.soon("connect", connecting).await?;
        // Messages are small, and each is waited for.
        socket.set_nodelay(true).map_err(failed("set up the connection"))?;
        let wanted = Identity { server: self.server, ..settings.identity };
        let introducing = async {
            let mut connection = connection::call(socket, wanted, protection).await?;
            handshake::introduce(&mut connection, self.purpose, wanted, self.members).await?;
            Ok(connection)
        };
        settings.soon("be welcomed by the other side", introducing).await
    }

    /// Asks at one address.
    async fn ask(&self, address: &str, joins: bool) -> Result<Answer, TransportError> {
        let Connection { mut stream, .. } = self.at(address).await?;
        let question = Question { joins, entries: self.members.book().entries };
        let asking = async {
            write_frame(&mut stream, &question.encode()).await?;
            Ok(Answer::decode(&read_frame(&mut stream).await?)?)
        };
        self.settings.soon("be answered by the other side", asking).await
    }
}

/// Asks a server, at each address at which it may be until it answers.
pub(crate) async fn ask(
    server: ServerId,
    joins: bool,
    settings: Settings,
    members: Arc<Members>,
) -> Result<Answer, TransportError> {
    let protection = settings.protection.borrow().clone();
    let (settings, members) = (&settings, &members);
    let (purpose, protection) = (Purpose::Question, &protection);
    let call = Call { server, purpose, settings, members, protection };
    let mut failure = TransportError::NoAddress { server };
    for address in members.addresses(server) {
        match call.ask(&address, joins).await {
            Ok(answer) => return Ok(answer),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The other side never sends anything here.
fn closed(read: std::io::Result<usize>) -> TransportError {
    match read {
        Ok(0) => TransportError::Refused("it has closed the connection"),
        Ok(_) => TransportError::NotKontiki,
        Err(source) => failed("keep the connection")(source),
    }
}
