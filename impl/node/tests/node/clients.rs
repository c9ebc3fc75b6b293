//! Clients that find the leader and try again.

use crate::cluster::{CLUSTER, eventually};
use crate::journal::Journal;
use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::kontiki::driver::{Consistency, Doubt, Reason};
use kontiki_node::kontiki::sessions::Outcome;
use kontiki_node::kontiki::{LogIndex, LogPosition, Refusal, ServerId, SessionId, Term};
use kontiki_node::{
    Client, Handle, Node, NodeConfig, Patience, RequestError, Security, Seen, Servers,
    SessionError, WithSessions,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::TcpListener;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tempfile::TempDir;

type Machine = WithSessions<Journal>;

const MANY: NonZeroU64 = NonZeroU64::new(100).unwrap();
const FEW: NonZeroU64 = NonZeroU64::new(4).unwrap();

/// Servers which are stopped and started, and a network that loses answers.
#[derive(Clone)]
struct Changing {
    handles: Arc<Mutex<BTreeMap<ServerId, Handle<Machine>>>>,
    /// Of so many answers to writes, one is lost.
    one_lost_of: u64,
    answers: Arc<AtomicU64>,
}

impl Changing {
    fn handles(&self) -> MutexGuard<'_, BTreeMap<ServerId, Handle<Machine>>> {
        self.handles.lock().unwrap()
    }

    fn at(&self, server: ServerId) -> Result<Handle<Machine>, RequestError> {
        self.handles().get(&server).cloned().ok_or(RequestError::Unreachable { server })
    }
}

impl Servers for Changing {
    type Answer = Outcome<u64>;
    type Query = ();
    type Reply = Vec<u64>;

    fn ids(&self) -> Vec<ServerId> {
        vec![ServerId(1), ServerId(2), ServerId(3)]
    }

    async fn write(
        &self,
        at: ServerId,
        command: Bytes,
    ) -> Result<Seen<Self::Answer>, RequestError> {
        let handle = self.at(at)?;
        let answer = handle.write_seen(command).await?;
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        match number % self.one_lost_of {
            0 => Err(RequestError::Unknown(Doubt::DeadlinePassed)),
            _ => Ok(answer),
        }
    }

    async fn read(
        &self,
        at: ServerId,
        consistency: Consistency,
        query: (),
    ) -> Result<Seen<Vec<u64>>, RequestError> {
        let handle = self.at(at)?;
        handle.read_seen(consistency, query).await
    }
}

struct Cluster {
    directory: TempDir,
    addresses: BTreeMap<ServerId, String>,
    nodes: BTreeMap<ServerId, Node<Machine>>,
    servers: Changing,
}

impl Cluster {
    async fn start(one_lost_of: u64) -> Cluster {
        let listeners: BTreeMap<_, _> =
            (1..=3).map(|id| (ServerId(id), TcpListener::bind("127.0.0.1:0").unwrap())).collect();
        let addresses = listeners.iter();
        let addresses =
            addresses.map(|(id, at)| (*id, at.local_addr().unwrap().to_string())).collect();
        let (handles, answers) = (Arc::default(), Arc::default());
        let mut cluster = Cluster {
            directory: tempfile::tempdir().unwrap(),
            addresses,
            nodes: BTreeMap::new(),
            servers: Changing { handles, one_lost_of, answers },
        };
        for (id, listener) in listeners {
            cluster.open(id, listener).await.unwrap();
        }
        cluster
    }

    async fn open(
        &mut self,
        id: ServerId,
        listener: TcpListener,
    ) -> Result<(), kontiki_node::StartError> {
        let directory = self.directory.path().join(id.to_string());
        let mut config = NodeConfig::new(
            CLUSTER,
            id,
            self.addresses.clone(),
            directory,
            listener,
            Security::Plaintext,
        );
        config.driver.raft.snapshot_bytes = 2_000;
        config.driver.raft.kept_entries = 4;
        let node = Node::start(config, Machine::new(Journal::default())).await?;
        self.servers.handles().insert(id, node.handle());
        self.nodes.insert(id, node);
        Ok(())
    }

    /// The server ends as in a crash, and is started again over its disk.
    async fn crash(&mut self, id: ServerId) {
        self.servers.handles().remove(&id);
        drop(self.nodes.remove(&id));
        let address = self.addresses[&id].clone();
        let listener = eventually("a port", async || TcpListener::bind(&address).ok()).await;
        for _ in 0..3_000 {
            if self.open(id, listener.try_clone().unwrap()).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await; // The directory is not free yet.
        }
        panic!("{id} does not start");
    }

    fn client(&self) -> Client<Changing> {
        let total = Duration::from_secs(60);
        Client::new(self.servers.clone(), Patience { total, ..Patience::default() })
    }
}

/// Servers that are not there. What they answer has these indices.
#[derive(Clone, Default)]
struct Given {
    write: u64,
    /// A write is answered that it is done, and no more.
    without_answer: bool,
    read: u64,
    /// How was read.
    asked: Arc<Mutex<Vec<Consistency>>>,
}

impl Servers for Given {
    type Answer = ();
    type Query = ();
    type Reply = ();

    fn ids(&self) -> Vec<ServerId> {
        vec![ServerId(1)]
    }

    async fn write(&self, _: ServerId, _: Bytes) -> Result<Seen<()>, RequestError> {
        let index = LogIndex(self.write);
        if self.without_answer {
            return Err(RequestError::Done { position: LogPosition { index, term: Term(1) } });
        }
        Ok(Seen { index, value: () })
    }

    async fn read(
        &self,
        _: ServerId,
        consistency: Consistency,
        (): (),
    ) -> Result<Seen<()>, RequestError> {
        self.asked.lock().unwrap().push(consistency);
        Ok(Seen { index: LogIndex(self.read), value: () })
    }
}

type Answered = Result<Outcome<u64>, RequestError>;

/// Servers that are not there, and what they answer to writes, one after the other.
#[derive(Clone)]
struct Scripted(Arc<Mutex<VecDeque<Answered>>>);

impl Servers for Scripted {
    type Answer = Outcome<u64>;
    type Query = ();
    type Reply = ();

    fn ids(&self) -> Vec<ServerId> {
        vec![ServerId(1)]
    }

    async fn write(&self, _: ServerId, _: Bytes) -> Result<Seen<Outcome<u64>>, RequestError> {
        let answer = self.0.lock().unwrap().pop_front().unwrap();
        answer.map(|value| Seen { index: LogIndex(9), value })
    }

    async fn read(&self, _: ServerId, _: Consistency, (): ()) -> Result<Seen<()>, RequestError> {
        unreachable!("nobody reads")
    }
}

/// C2: one copy in doubt makes all of it doubtful, whatever is said of the copies after it.
#[tokio::test]
async fn what_was_in_doubt_once_stays_in_doubt() {
    let unknown = || Err(RequestError::Unknown(Doubt::DeadlinePassed));
    let passing = || Err(RequestError::Refused(Reason::Stopping));
    let lasting = || RequestError::Refused(Reason::Refused(Refusal::NothingProposed));
    let ended = || Ok(Outcome::SessionEnded);
    let said_ended = |may_have_been_executed| SessionError::Ended { may_have_been_executed };
    let table: [(Vec<Answered>, SessionError); 6] = [
        (vec![unknown(), Err(lasting())], SessionError::Unknown(lasting())),
        (vec![unknown(), passing(), Err(lasting())], SessionError::Unknown(lasting())),
        (vec![passing(), Err(lasting())], SessionError::NotDone(lasting())),
        (vec![unknown(), ended()], said_ended(true)),
        (vec![unknown(), passing(), ended()], said_ended(true)),
        (vec![passing(), ended()], said_ended(false)),
    ];
    for (answers, expected) in table {
        let case = format!("{answers:?}");
        let opened = Ok(Outcome::Opened(SessionId(LogIndex(2))));
        let servers = Scripted(Arc::new(Mutex::new([opened].into_iter().chain(answers).collect())));
        let client = Client::new(servers.clone(), Patience::default());
        let session = client.open_session(FEW, FEW).await.unwrap();
        assert_eq!(session.write(number(1)).await, Err(expected), "{case}");
        assert!(servers.0.lock().unwrap().is_empty(), "{case}");
    }
}

/// C6: a client carries the highest index that it has seen, whatever it has seen since.
#[tokio::test]
async fn a_client_reads_at_least_what_it_has_written_and_read() {
    for (write, without_answer, read) in
        [(7, false, 3), (3, false, 7), (0, false, 7), (7, false, 0), (7, true, 3), (3, true, 7)]
    {
        let servers = Given { write, without_answer, read, ..Given::default() };
        let client = Client::new(servers.clone(), Patience::default());
        client.read(Consistency::Stale, ()).await.unwrap();
        let written = client.write(number(1)).await;
        assert_eq!(written.is_err(), without_answer);
        client.read(Consistency::Stale, ()).await.unwrap();
        client.read_own(()).await.unwrap();
        let carried = servers.asked.lock().unwrap().last().copied();
        assert_eq!(
            carried,
            Some(Consistency::AtLeast(LogIndex(7))),
            "{write}, {without_answer}, {read}"
        );
    }
}

/// C6: what a client carries is what its answers depend on.
#[tokio::test]
async fn an_answer_has_the_index_of_its_command() {
    let mut cluster = crate::cluster::Cluster::start(1).await;
    cluster.write().await;
    let handle = cluster.handle(ServerId(1));
    for _ in 0..3 {
        cluster.next += 1;
        let written = handle.write_seen(number(cluster.next)).await.unwrap();
        let last = cluster.status(ServerId(1)).await.server.last_index;
        assert_eq!(written, Seen { index: last, value: cluster.next });
        let read = handle.read_seen(Consistency::AtLeast(last), ()).await.unwrap();
        assert_eq!((read.index, read.value.len() as u64), (last, cluster.next));
    }
}

fn number(of: u64) -> Bytes {
    of.to_le_bytes().to_vec().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_executes_each_command_once_whatever_is_lost() {
    let mut cluster = Cluster::start(3).await;
    let client = cluster.client();
    let session = Arc::new(client.open_session(MANY, FEW).await.unwrap());
    // More than the session may have under way at once.
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let session = Arc::clone(&session);
            tokio::spawn(async move {
                for command in 0..40 {
                    session.write(number(writer * 1_000 + command)).await.unwrap();
                }
            })
        })
        .collect();
    for id in [1, 2, 3, 1] {
        cluster.crash(ServerId(id)).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let mut executed = client.read(Consistency::Linearizable, ()).await.unwrap();
    executed.sort_unstable();
    let all: Vec<_> = (0..8).flat_map(|writer| (0..40).map(move |n| writer * 1_000 + n)).collect();
    assert_eq!(executed, all);
    let session = Arc::into_inner(session).unwrap();
    session.end().await.unwrap();
    let own = client.read_own(()).await.unwrap();
    assert_eq!(own.len(), all.len());
}

#[tokio::test]
async fn outside_of_sessions_what_is_in_doubt_is_left_to_the_caller() {
    let cluster = Cluster::start(2).await;
    let client = cluster.client();
    let mut doubts = 0;
    for command in 0..6 {
        while let Err(error) = client.write_outside(number(command)).await {
            // Whoever tries again all the same has the command executed twice.
            assert_eq!(error, SessionError::Unknown(RequestError::Unknown(Doubt::DeadlinePassed)));
            doubts += 1;
        }
    }
    let executed = client.read_own(()).await.unwrap();
    assert_eq!(executed.len(), 6 + doubts);
    assert!(doubts > 0);
}

#[tokio::test]
async fn a_session_that_made_room_for_others_says_so() {
    let cluster = Cluster::start(u64::MAX).await;
    let client = cluster.client();
    let one = NonZeroU64::MIN;
    // The first answer of all is lost.
    let first = client.open_session(one, one).await.unwrap();
    first.write(number(1)).await.unwrap();
    let second = client.open_session(one, one).await.unwrap();
    assert_ne!(first.id(), second.id());
    let ended = first.write(number(2)).await.unwrap_err();
    assert_eq!(ended, SessionError::Ended { may_have_been_executed: false });
    second.write(number(3)).await.unwrap();
    assert_eq!(client.read_own(()).await.unwrap(), [1, 3]);
    first.end().await.unwrap();
}

#[tokio::test]
async fn a_client_that_knows_nobody_says_so_at_once() {
    let none: BTreeMap<ServerId, Handle<Machine>> = BTreeMap::new();
    let client = Client::new(none, Patience::default());
    assert_eq!(client.write(number(1)).await.unwrap_err(), RequestError::NoServers);
    let gone: BTreeMap<ServerId, Handle<Journal>> = BTreeMap::new();
    let client = Client::new(gone, Patience::default());
    assert_eq!(client.read_own(()).await.unwrap_err(), RequestError::NoServers);
}

#[tokio::test]
async fn a_command_that_is_too_large_is_not_tried_again() {
    let cluster = Cluster::start(u64::MAX).await;
    let client = cluster.client();
    let error = client.write(vec![0; 2 << 20]).await.unwrap_err();
    let refused = |reason: &Reason| {
        matches!(reason, Reason::Refused(Refusal::CommandTooLarge { size: 0x20_0000, .. }))
    };
    assert!(matches!(&error, RequestError::Refused(reason) if refused(reason)), "{error}");
}
