//! How another server is called: what all connections to it have in common.

use super::connection::{self, Connection};
use super::exchange::{Answer, Question, Wants};
use super::incoming::{read_frame, write_frame};
use super::outgoing::PeerStatus;
use super::{Lane, Settings, failed, handshake, locked, socket};
use crate::codec;
use crate::doubling::Doubling;
use crate::error::TransportError;
use crate::members::Members;
use crate::security::Protection;
use kontiki::{Message, ServerId};
use kontiki_store::Identity;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// After a failure the first wait, which doubles each time up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// So much has to go out within the patience of a connection: more would exclude slow networks.
const PIECE: usize = 16 << 10;

/// Calls another server.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) server: ServerId,
    pub(super) members: Arc<Members>,
    pub(super) settings: Settings,
    pub(super) status: Arc<Mutex<PeerStatus>>,
}

impl Caller {
    /// Makes a connection. What comes with it tells when it has to be made anew.
    pub(super) async fn connect(
        &self,
        lane: Lane,
    ) -> Result<(Connection, watch::Receiver<Protection>), TransportError> {
        let mut protection = self.settings.protection.clone();
        let present = protection.borrow_and_update().clone();
        let mut failure = TransportError::NoAddress { server: self.server };
        // The server may be at any of its addresses.
        for address in self.members.addresses(self.server) {
            locked(&self.status).address.clone_from(&address);
            let call = Call {
                server: self.server,
                lane,
                settings: &self.settings,
                members: &self.members,
                protection: &present,
            };
            match call.at(&address).await {
                Ok(connection) => return Ok((connection, protection)),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Keeps why a connection was closed or not made.
    pub(super) fn note(&self, error: TransportError) {
        tracing::debug!(peer = self.server.0, %error, "no connection");
        locked(&self.status).last_error = Some(Arc::new(error));
    }

    /// Sends bytes, as long as the other side takes some of them in time. On a slow network all of them
    /// together may take longer.
    pub(super) async fn write(
        &self,
        to: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
        action: &'static str,
    ) -> Result<(), TransportError> {
        for piece in bytes.chunks(PIECE) {
            let writing = async { to.write_all(piece).await.map_err(failed(action)) };
            self.settings.soon(action, writing).await?;
        }
        let flushing = async { to.flush().await.map_err(failed(action)) };
        self.settings.soon(action, flushing).await
    }

    /// Writes the frame of a message. One that is too long is dropped.
    pub(super) fn frame(&self, message: &Message, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; 4]);
        codec::encode(self.settings.identity.group, message, buffer);
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
    }
}

/// How a server is reached.
struct Call<'a> {
    server: ServerId,
    lane: Lane,
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
        let socket = connect(&addresses, settings.patience).await?;
        socket::set_up(&socket, settings.patience)?;
        let wanted = Identity { server: self.server, ..settings.identity };
        let introducing = async {
            let mut connection = connection::call(socket, wanted, protection).await?;
            let terms = settings.lease_terms;
            handshake::introduce(&mut connection, self.lane, wanted, terms, self.members).await?;
            Ok(connection)
        };
        settings.soon("be welcomed by the other side", introducing).await
    }

    /// Asks at one address.
    async fn ask(&self, address: &str, wants: Wants) -> Result<Answer, TransportError> {
        let Connection { mut stream, .. } = self.at(address).await?;
        let question = Question { wants, entries: self.members.book().entries };
        let asking = async {
            write_frame(&mut stream, &question.encode()).await?;
            Ok(Answer::decode(&read_frame(&mut stream).await?)?)
        };
        self.settings.soon("be answered by the other side", asking).await
    }
}

/// Connects to the first of these addresses that takes a connection. Each has its part of the patience: one of
/// them may swallow all that is sent to it.
async fn connect(
    addresses: &[SocketAddr],
    patience: Duration,
) -> Result<TcpStream, TransportError> {
    const ACTION: &str = "connect";
    let part = patience / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut failure = failed(ACTION)(io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        failure = match timeout(part, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(source)) => failed(ACTION)(source),
            Err(_) => TransportError::TimedOut { action: ACTION },
        };
    }
    Err(failure)
}

/// Asks a server, at each address at which it may be until it answers.
pub(crate) async fn ask(
    server: ServerId,
    wants: Wants,
    settings: Settings,
    members: Arc<Members>,
) -> Result<Answer, TransportError> {
    let protection = settings.protection.borrow().clone();
    let (settings, members) = (&settings, &members);
    let (lane, protection) = (Lane::Question, &protection);
    let call = Call { server, lane, settings, members, protection };
    let mut failure = TransportError::NoAddress { server };
    for address in members.addresses(server) {
        match call.ask(&address, wants).await {
            Ok(answer) => return Ok(answer),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// How long to wait until another connection is tried.
pub(super) struct Backoff {
    waits: Doubling,
    connected: Option<Instant>,
}

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff { waits: Doubling::new(FIRST_WAIT, LONGEST_WAIT), connected: None }
    }

    /// A connection stands from now on.
    pub(super) fn connected(&mut self) {
        self.connected = Some(Instant::now());
    }

    /// There is no connection any more, or none was made.
    pub(super) async fn wait(&mut self) {
        if self.connected.take().is_some_and(|start| start.elapsed() >= LONGEST_WAIT) {
            self.waits.begin_again();
        }
        tokio::time::sleep(self.waits.wait()).await;
    }
}

/// The other side has closed a connection, or has said what it never says.
pub(super) fn closed(read: io::Result<usize>) -> TransportError {
    match read {
        Ok(0) => TransportError::Refused("it has closed the connection"),
        Ok(_) => TransportError::NotKontiki,
        Err(source) => failed("keep the connection")(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn of_several_addresses_the_first_that_answers_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let patience = Duration::from_secs(60);
        let socket = connect(&[closed, open], patience).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), open);
        assert!(connect(&[closed], patience).await.is_err());
        assert!(connect(&[], patience).await.is_err());
    }
}
