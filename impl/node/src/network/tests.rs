//! The two ends of connections, each with another end that misbehaves.

use super::connection::Connection;
use super::handshake::{introduce, welcome};
use super::*;
use crate::book::{Book, Entry, Stage};
use crate::codec::MESSAGE_OVERHEAD;
use crate::members::{Disk, Members};
use kontiki::bytes::Bytes;
use kontiki::core::Config;
use kontiki::driver::DriverConfig;
use kontiki::{Configuration, LogPosition, Message, ServerId, Snapshot, SnapshotId, Term};
use kontiki_store::RealDirectory;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

const CLUSTER: u128 = 77;

/// Of a server, with a patience that never ends.
fn settings(server: u64) -> Settings {
    let (_, protection) = watch::channel(Protection::Plaintext { beyond_loopback: false });
    let server = ServerId(server);
    Settings {
        identity: Identity { cluster: CLUSTER, group: 5, server },
        lease_terms: 0,
        frame_bytes: 1 << 20,
        peer_bytes: 1 << 20,
        patience: Duration::from_secs(60),
        protection,
    }
}

/// With a patience that a test can wait for.
fn impatient(server: u64) -> Settings {
    Settings { patience: Duration::from_millis(300), ..settings(server) }
}

fn chunk(offset: u64, bytes: usize) -> Message {
    let snapshot = Snapshot {
        id: SnapshotId { last: LogPosition::default(), taken_by: ServerId(1) },
        configuration: Configuration::default(),
        configuration_position: LogPosition::default(),
        size: 10,
    };
    let data = Bytes::from(vec![7; bytes]);
    Message::InstallSnapshot { term: Term(1), snapshot: Box::new(snapshot), offset, data }
}

/// The book of a server that has come into no cluster yet.
fn members(directory: &TempDir, server: u64, address: &str) -> Arc<Members> {
    let directory = directory.path().join(server.to_string());
    let directory = Arc::new(RealDirectory::at(directory).unwrap());
    let book = Book::new(Stage::Joining, BTreeSet::new());
    let configured = BTreeMap::from([(ServerId(1), address.to_owned())]);
    Arc::new(
        Members::new(ServerId(server), directory, book, (configured, false), address, || ())
            .unwrap(),
    )
}

/// Waits until something has come about.
async fn eventually<T>(mut found: impl FnMut() -> Option<T>) -> T {
    for _ in 0..6000 {
        if let Some(found) = found() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come about")
}

/// Server 1, which takes connections.
struct Listening {
    address: SocketAddr,
    incoming: Arc<Mutex<Incoming>>,
    received: UnboundedReceiver<(ServerId, Message)>,
    task: JoinHandle<()>,
    directory: TempDir,
}

async fn listening(unknown: usize, known: usize) -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listening_at(listener, (unknown, known), settings(1))
}

fn listening_at(
    listener: TcpListener,
    (unknown, known): (usize, usize),
    settings: Settings,
) -> Listening {
    let address = listener.local_addr().unwrap();
    let incoming = Arc::new(Mutex::new(Incoming::new(unknown, known)));
    let (sender, received) = unbounded_channel();
    let receiver = move |from, arrival| {
        if let Arrival::Message(message, _) = arrival {
            drop(sender.send((from, message)));
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let members = members(&directory, 1, &address.to_string());
    let task = tokio::spawn(listen(listener, settings, Arc::clone(&incoming), members, receiver));
    Listening { address, incoming, received, task, directory }
}

impl Listening {
    fn refused(&self) -> u64 {
        locked(&self.incoming).refused
    }

    async fn refusal(&self, more_than: u64) -> Arc<TransportError> {
        eventually(|| {
            let incoming = locked(&self.incoming);
            incoming.last.clone().filter(|_| incoming.refused > more_than)
        })
        .await
    }

    /// Another server, which sends to this one.
    fn peer(&self, server: u64) -> Peer {
        calling(self.address, &self.directory, settings(server))
    }
}

/// A server that sends to server 1 at an address.
fn calling(address: SocketAddr, directory: &TempDir, settings: Settings) -> Peer {
    let runtime = tokio::runtime::Handle::current();
    let members = members(directory, settings.identity.server.0, &address.to_string());
    Peer::start(&runtime, ServerId(1), members, settings)
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes a connection as server 1 would.
async fn taken(listener: &TcpListener, directory: &TempDir) -> (Lane, Connection) {
    let address = listener.local_addr().unwrap().to_string();
    let (socket, _) = listener.accept().await.unwrap();
    let mut connection = Connection { stream: Box::new(socket), names: None };
    let (own, members) = (settings(1).identity, members(directory, 1, &address));
    let hello = welcome(&mut connection, own, 0, &members, |_, _| Ok(())).await.unwrap();
    (hello.lane, connection)
}

/// Somebody who takes connections as server 1 would and then never reads.
async fn deaf() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let directory = tempfile::tempdir().unwrap();
        let mut kept = Vec::new();
        loop {
            kept.push(taken(&listener, &directory).await);
        }
    });
    (address, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_arrive_on_both_lanes() {
    let mut listening = listening(4, 4).await;
    let peer = listening.peer(2);
    eventually(|| peer.status().connected.then_some(())).await;
    for number in 1..50 {
        let sent = [Message::TimeoutNow { term: Term(number) }, chunk(number, 100_000)];
        peer.send(sent[0].clone(), Lane::Usual);
        peer.send(sent[1].clone(), Lane::Bulk);
        let mut received = Vec::new();
        while received.len() < 2 {
            let (from, message) = listening.received.recv().await.unwrap();
            assert_eq!(from, ServerId(2));
            received.push(message);
        }
        assert!(sent.iter().all(|one| received.contains(one)), "{received:?}");
    }
    assert_eq!((peer.status().dropped, listening.refused()), (0, 0));
}

/// As long as a chunk is on its way it is not sent again. When its connection breaks it is not on its way any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_whose_connection_breaks_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let peer = calling(listener.local_addr().unwrap(), &directory, settings(2));
    let sent = chunk(5, 100_000);
    peer.send(sent.clone(), Lane::Bulk);
    let (mut lane, mut connection) = taken(&listener, &directory).await;
    while lane != Lane::Bulk {
        (lane, connection) = taken(&listener, &directory).await;
    }
    connection.stream.read_exact(&mut [0; 50_000]).await.unwrap();
    drop(connection);
    let mut listening = listening_at(listener, (4, 4), settings(1));
    let received = eventually(|| {
        // The leader does so with each heartbeat, until the follower has it.
        peer.send(sent.clone(), Lane::Bulk);
        listening.received.try_recv().ok()
    });
    assert_eq!(received.await, (ServerId(2), sent));
}

/// There is room for a few messages, and each finds some when those before it have been sent.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_leaves_its_room_to_others() {
    let mut listening = listening(4, 4).await;
    let narrow = Settings { peer_bytes: 4 * MESSAGE_OVERHEAD, ..settings(2) };
    let peer = calling(listening.address, &listening.directory, narrow);
    eventually(|| peer.status().connected.then_some(())).await;
    for term in 1..200 {
        let message = Message::TimeoutNow { term: Term(term) };
        peer.send(message.clone(), Lane::Usual);
        assert_eq!(peer.status().dropped, 0, "there is no room for message {term}");
        assert_eq!(listening.received.recv().await, Some((ServerId(2), message)));
    }
}

/// A peer that never reads has as much wait as may, and is given up after a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_reads_takes_no_memory_without_bound() {
    let (address, task) = deaf().await;
    let directory = tempfile::tempdir().unwrap();
    let peer = calling(address, &directory, impatient(2));
    let timed_out = |action: &'static str| {
        let status = peer.status();
        let is_that = |error: &&Arc<TransportError>| matches!(&***error, TransportError::TimedOut { action: found } if *found == action);
        status.last_error.as_ref().filter(is_that).map(|_| ())
    };
    eventually(|| {
        peer.send(chunk(1, 500_000), Lane::Usual);
        timed_out("send")
    })
    .await;
    assert!(peer.status().dropped > 0, "the queue has no bound");
    task.abort();
}

/// A server whose disk cannot be noted could come back with another one, and nobody would know.
#[tokio::test]
async fn who_cannot_be_noted_is_not_listened_to() {
    let directory = tempfile::tempdir().unwrap();
    let members = members(&directory, 1, "127.0.0.1:1");
    let entry = Entry { address: "127.0.0.1:2".to_owned(), version: 1, disk: None };
    let many = (2..=2000).map(|id| (ServerId(id), entry.clone())).collect();
    members.learn(many).await.unwrap();
    assert_eq!(members.meet(ServerId(2), 7).await.unwrap(), Disk::Known);
    let refused = members.meet(ServerId(2000), 7).await;
    assert!(matches!(refused, Err(TransportError::TooManyServers { most: 1024 })), "{refused:?}");
}

/// Whoever says nothing, or says it slowly, is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_dribbles_is_refused_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listening = listening_at(listener, (4, 4), impatient(1));
    let silent = TcpStream::connect(listening.address).await.unwrap();
    let refusal = listening.refusal(0).await;
    assert!(matches!(*refusal, TransportError::TimedOut { .. }), "{refusal}");
    drop(silent);
    let before = listening.refused();
    let mut slow = TcpStream::connect(listening.address).await.unwrap();
    for byte in b"kontiki\n\x01\x00".iter().chain(&[0; 64]) {
        if slow.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(30)).await; // 1.5 seconds in all.
    }
    let refusal = listening.refusal(before).await;
    assert!(matches!(*refusal, TransportError::TimedOut { .. }), "{refusal}");
}

/// Connections that say nothing are many more than there are places, and do not keep a server out. They come
/// from another address of this machine.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_strangers_does_not_keep_a_server_out() {
    let mut listening = listening(8, 4).await;
    let crowd = async |count| {
        let mut sockets = Vec::new();
        for _ in 0..count {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
            sockets.push(socket.connect(listening.address).await.unwrap());
        }
        sockets
    };
    let crowd = crowd(200).await;
    let refusal = listening.refusal(150).await;
    let most = 8;
    assert!(
        matches!(*refusal, TransportError::TooManyConnections { most: m, known: false } if m == most)
    );
    let peer = listening.peer(2);
    eventually(|| peer.status().connected.then_some(())).await;
    peer.send(Message::TimeoutNow { term: Term(3) }, Lane::Usual);
    let (from, _) = listening.received.recv().await.unwrap();
    assert_eq!((from, peer.status().last_error.is_some()), (ServerId(2), false));
    drop(crowd);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_beyond_the_places_is_told_so() {
    let listening = listening(4, 1).await;
    let first = listening.peer(2);
    eventually(|| first.status().connected.then_some(())).await;
    let second = listening.peer(3);
    let error = eventually(|| second.status().last_error).await;
    assert!(error.to_string().contains("too many connections"), "{error}");
    let refusal = listening.refusal(0).await;
    assert!(
        matches!(*refusal, TransportError::TooManyConnections { known: true, .. }),
        "{refusal}"
    );
}

impl Listening {
    /// Somebody who says what server 2 would say, and may then say anything.
    async fn introduced(&self, lane: Lane) -> Connection {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let mut connection = Connection { stream: Box::new(socket), names: None };
        let members = members(&self.directory, 2, "127.0.0.1:1");
        introduce(&mut connection, lane, settings(1).identity, 0, &members).await.unwrap();
        connection
    }
}

/// With leases all servers have the same election timeout and drift, or a read could be stale.
#[tokio::test(flavor = "multi_thread")]
async fn servers_with_other_leases_are_refused() {
    let mut config = DriverConfig::new(Config::new(ServerId(1), [ServerId(1)]), 1);
    assert_eq!(lease_terms(&config), 0);
    config.raft.leases = true;
    let terms = lease_terms(&config);
    config.timings.drift_ppm += 1;
    let drifts = lease_terms(&config);
    config.timings.election_timeout += Duration::from_nanos(1);
    assert_eq!(BTreeSet::from([0, terms, drifts, lease_terms(&config)]).len(), 4);

    let listening = listening(4, 4).await;
    let other = Settings { lease_terms: terms, ..settings(2) };
    let peer = calling(listening.address, &listening.directory, other);
    let refusal = listening.refusal(0).await;
    assert!(matches!(*refusal, TransportError::OtherLeases { server: ServerId(2) }), "{refusal}");
    let told = eventually(|| peer.status().last_error).await;
    assert!(matches!(*told, TransportError::OtherLeases { server: ServerId(1) }), "{told}");
}

/// Whoever says that he has a long frame, and does not send it, has no memory taken but that.
#[tokio::test(flavor = "multi_thread")]
async fn the_length_of_a_frame_is_looked_at_first() {
    let listening = listening(4, 4).await;
    for length in [(1 << 20) + 1, u32::MAX] {
        let before = listening.refused();
        let mut connection = listening.introduced(Lane::Bulk).await;
        connection.stream.write_all(&length.to_be_bytes()).await.unwrap();
        let refusal = listening.refusal(before).await;
        assert!(matches!(*refusal, TransportError::FrameTooLong { most } if most == 1 << 20));
        assert!(connection.stream.read_u8().await.is_err(), "it is not closed");
    }
}

/// Whoever is who he says and then talks nonsense is parted with, as often as he comes. The server itself is
/// let in afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_behind_a_good_hello_ends_the_connection() {
    let mut listening = listening(4, 4).await;
    let nonsense: [&[u8]; 4] = [b"", &[0; 40], &[255; 40], b"\x01\x80nonsense of a list"];
    for (number, frame) in (0_u64..200).zip(nonsense.into_iter().cycle()) {
        let lane = if number % 2 == 0 { Lane::Usual } else { Lane::Bulk };
        let mut connection = listening.introduced(lane).await;
        let length = u32::try_from(frame.len()).unwrap();
        connection.stream.write_all(&[&length.to_be_bytes(), frame].concat()).await.unwrap();
        assert!(connection.stream.read_u8().await.is_err(), "it is not closed");
        let refusal = listening.refusal(number).await;
        assert!(matches!(*refusal, TransportError::Frame(_)), "{refusal}");
    }
    let peer = listening.peer(2);
    eventually(|| peer.status().connected.then_some(())).await;
    peer.send(Message::TimeoutNow { term: Term(3) }, Lane::Usual);
    let (from, message) = listening.received.recv().await.unwrap();
    assert_eq!((from, message), (ServerId(2), Message::TimeoutNow { term: Term(3) }));
}
