//! A node, and the handle that requests go through.

use crate::admission::{Admission, Told};
use crate::book::{Stage, check_address};
use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::error::{AddressError, AdmissionError, RequestError, StartError, TransportError};
use crate::machine::StateMachine;
use crate::members::{Members, open_book};
use crate::network::{self, Arrival, Incoming, PeerStatus, Settings, listen};
use crate::promise;
use crate::record::{Files, RecordTo};
use crate::request::{Request, Seen, Sender};
#[cfg(feature = "tls")]
use crate::security::Tls;
use crate::security::{CertificateError, Guard};
use crate::snapshot::SnapshotReader;
use crate::start::Standing;
use crate::telemetry::{DiskMetrics, Labels};
use crate::threads::driver::{DriverLoop, Shared, Threads};
use crate::threads::executor::Executor;
use crate::threads::{Signal, chunks, spawn, writer};
use kontiki::bytes::Bytes;
use kontiki::core::Raft;
use kontiki::driver::{Consistency, Doubt, Driver, Reason, Status, StopCause};
use kontiki::storage::LogStore;
use kontiki::{Configuration, LogPosition, MembershipChange, Recorder, RecorderError, ServerId};
use kontiki_store::{FileStore, Opened, RealDirectory, Torn};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::{self, JoinHandle};

/// What a request counts for besides its command, in bytes.
const REQUEST_OVERHEAD: usize = 256;

/// A server that runs. When this is dropped, the server stops at once, as in a crash: whoever waits is told
/// what can be said, and nothing that was acknowledged is lost. [`Node::shutdown`] is the better end.
pub struct Node<M: StateMachine> {
    handle: Handle<M>,
    address: SocketAddr,
    torn: Option<Torn>,
    /// Takes connections.
    listener: Option<JoinHandle<()>>,
    /// Brings the server into the cluster.
    admission: Option<JoinHandle<()>>,
}

/// How requests are made of a node. Clones ask the same node, from any thread.
pub struct Handle<M: StateMachine> {
    inbox: mpsc::Sender<Signal<M>>,
    room: Arc<Semaphore>,
    request_bytes: usize,
    members: Arc<Members>,
    published: watch::Receiver<NodeStatus>,
    guard: Arc<Guard>,
}

impl<M: StateMachine> fmt::Debug for Node<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, address) = (self.handle.members.own, self.address);
        f.debug_struct("Node").field("id", &id).field("address", &address).finish_non_exhaustive()
    }
}

impl<M: StateMachine> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("id", &self.members.own).finish_non_exhaustive()
    }
}

impl<M: StateMachine> Clone for Handle<M> {
    fn clone(&self) -> Self {
        let (inbox, room) = (self.inbox.clone(), Arc::clone(&self.room));
        let (members, published) = (Arc::clone(&self.members), self.published.clone());
        let (request_bytes, guard) = (self.request_bytes, Arc::clone(&self.guard));
        Handle { inbox, room, request_bytes, members, published, guard }
    }
}

/// A node at one moment.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// The server.
    pub server: Status,
    /// Whether it belongs to its cluster.
    pub standing: Standing,
    /// Why the server has stopped for good, if it has.
    pub stopped: Option<StopCause>,
    /// Why nothing more is recorded ([`NodeConfig::record`]), if something has gone wrong.
    pub record_failure: Option<String>,
    /// The other servers that this one keeps connections to, in the order of their ids.
    pub peers: Vec<PeerStatus>,
    /// How many connections from others were refused, or closed because of what came from them.
    pub refused_connections: u64,
    /// Why the last of them was.
    pub last_refusal: Option<Arc<TransportError>>,
    /// When this server's certificate ends, or one between it and the authority. `None` where there is no TLS.
    pub certificates_end: Option<SystemTime>,
}

impl<M: StateMachine> Node<M> {
    /// Starts a server over its directory, which is made if there is none. The state machine is in its first
    /// state, and is put into that of the server's snapshot. To be called within a tokio runtime that has
    /// IO and time; its tasks carry messages, and everything else has threads of its own.
    ///
    /// A server that had leases, and is started without them or with a shorter election timeout, first waits for
    /// the old election timeout: leaders may rely on what it promised before (rule C4).
    ///
    /// # Panics
    /// Outside of such a runtime.
    ///
    /// # Errors
    /// [`StartError`] says what is wrong, and what would be right.
    pub async fn start(config: NodeConfig, machine: M) -> Result<Node<M>, StartError> {
        let runtime = runtime::Handle::current();
        let opening = task::spawn_blocking(move || start(config, machine, runtime));
        let Started { mut node, listener, settings, incoming, admission } = match opening.await {
            Ok(started) => started?,
            Err(error) => {
                let source = io::Error::other(error);
                return Err(StartError::Io { action: "start the server", source });
            }
        };
        let failed = |source| StartError::Io { action: "listen", source };
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let inbox = node.handle.inbox.clone();
        let receiver = move |from, arrival| {
            // If the driver is gone, so is the node.
            drop(inbox.send(match arrival {
                Arrival::Message(message, permit) => Signal::Received { from, message, permit },
                Arrival::Question { wants, answer } => Signal::Question { from, wants, answer },
            }));
        };
        let members = Arc::clone(&node.handle.members);
        let listening = listen(listener, settings, incoming, members, receiver);
        node.listener = Some(tokio::spawn(listening));
        if let Err(refused) = admission.begin().await {
            node.shutdown().await;
            return Err(refused.into());
        }
        node.admission = Some(tokio::spawn(admission.run()));
        Ok(node)
    }

    /// A handle to make requests with.
    pub fn handle(&self) -> Handle<M> {
        self.handle.clone()
    }

    /// Where others connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The rest of a write that a crash had torn, if the store found one. Nothing that was acknowledged was
    /// in it.
    pub fn torn(&self) -> Option<&Torn> {
        self.torn.as_ref()
    }

    /// Shuts the node down. New requests are refused, and so are those that have not come to the log yet. A leader
    /// transfers leadership. Commands that are in the log are waited for, as long as a request may take, and all that
    /// was written is durable. Then the directory can be opened again.
    pub async fn shutdown(mut self) {
        if let Some(admission) = &self.admission {
            admission.abort();
        }
        let (ended, wait) = oneshot::channel();
        if self.handle.inbox.send(Signal::Shutdown(ended)).is_ok() {
            // If the driver's thread is gone, there is nothing to wait for.
            drop(wait.await);
        }
        if let Some(listener) = self.listener.take() {
            listener.abort();
            drop(listener.await); // The port is free now.
        }
    }
}

impl<M: StateMachine> Drop for Node<M> {
    fn drop(&mut self) {
        // After a shutdown nobody hears this.
        drop(self.handle.inbox.send(Signal::Abandoned));
        for task in [&self.listener, &self.admission].into_iter().flatten() {
            task.abort();
        }
    }
}

/// A node whose tasks have not begun.
struct Started<M: StateMachine> {
    node: Node<M>,
    listener: std::net::TcpListener,
    settings: Settings,
    incoming: Arc<Mutex<Incoming>>,
    admission: Admission,
}

/// What waits for the disk.
fn start<M: StateMachine>(
    config: NodeConfig,
    mut machine: M,
    runtime: runtime::Handle,
) -> Result<Started<M>, StartError> {
    let failed = |action| move |source| StartError::Io { action, source };
    let protection = config.check()?;
    let guard = Arc::new(Guard::new(config.identity(), config.security.clone(), protection));
    let settings = Settings {
        identity: config.identity(),
        lease_terms: network::lease_terms(&config.driver),
        frame_bytes: usize::try_from(config.frame_bytes()).unwrap_or(usize::MAX),
        peer_bytes: config.limits.peer_bytes,
        patience: config.limits.patience,
        protection: guard.watch(),
    };
    let NodeConfig { mut driver, directory, store, listener, start, addresses, .. } = config;
    let (limits, record, fixed) = (config.limits, config.record, config.fixed_addresses);
    let clock = Clock::start(config.clock_rate_ppm);
    driver.check().map_err(kontiki::driver::DriverStartError::from)?;
    let (own, address) =
        (driver.raft.id, listener.local_addr().map_err(failed("look at the listener"))?);
    addresses.values().try_for_each(|address| check_address(address))?;
    let directory = Arc::new(RealDirectory::at(directory)?);
    let mut book = open_book(&directory, own, &start)?;
    let opened = kontiki_store::open(Arc::clone(&directory) as _, settings.identity, store)?;
    let Opened { store, writer: file_writer, torn } = opened;
    if let Some(Torn { file, offset, bytes }) = &torn {
        tracing::warn!(server = own.0, file, offset, bytes, "a crash has torn the last write");
    }
    promise::keep(&mut book, promise::promised(&driver), &*directory, clock)?;
    driver.raft.incarnation = store.starts()?;
    // M2: what a founder was started with is what the cluster was formed with.
    let is_founder = book.founders.contains(&own);
    driver.raft.bootstrap = is_founder.then(|| Configuration::of_voters(book.founders.clone()));
    let silence = driver.timings.election_timeout.saturating_mul(2);
    let standing = standing_at(book.stage);
    restore(&store, &mut machine)?;
    let mut driver = Driver::observed(driver, store.clone(), clock.now(), |_| None)?;
    if let Some(to) = record {
        *driver.observer_mut() = Some(begin_recording(driver.server(), to)?);
    }

    let (inbox, signals) = mpsc::channel::<Signal<M>>();
    let members = {
        let (inbox, advertised) = (inbox.clone(), addresses.get(&own).cloned());
        let advertised = advertised.unwrap_or_else(|| address.to_string());
        check_address(&advertised)?;
        // If the driver is gone, so is the node.
        let changed = move || drop(inbox.send(Signal::BookChanged));
        Arc::new(Members::new(own, directory, book, (addresses, fixed), &advertised, changed)?)
    };
    let (writes, write_jobs) = mpsc::channel();
    let (machine_jobs, machine_waits) = mpsc::channel();
    let (chunk_requests, chunk_waits) = mpsc::sync_channel(chunks::WAITING);
    let stopping = Arc::new(AtomicBool::new(false));
    let writer_thread = {
        let (inbox, stopping) = (inbox.clone(), Arc::clone(&stopping));
        let metrics = DiskMetrics::new(&Labels::new(settings.identity));
        let run = move || writer::run(file_writer, &write_jobs, &inbox, &stopping, &metrics);
        spawn("writer", run).map_err(failed("start a thread"))?
    };
    let executor = Executor {
        machine,
        store: store.clone(),
        inbox: inbox.clone(),
        writer: writes.clone(),
        stopping: Arc::clone(&stopping),
        answers: VecDeque::new(),
        executed: driver.server().applied_index(),
        is_void: false,
    };
    let machine_thread =
        spawn("machine", move || executor.run(&machine_waits)).map_err(failed("start a thread"))?;
    let chunks_thread = {
        let inbox = inbox.clone();
        let run = move || chunks::run(&store, limits.chunk_bytes, &chunk_waits, &inbox);
        spawn("snapshots", run).map_err(failed("start a thread"))?
    };
    let threads = Threads {
        machine: machine_jobs,
        machine_thread,
        writer: writes,
        writer_thread,
        chunks: chunk_requests,
        chunks_thread,
        stopping,
    };
    let incoming = Incoming::new(limits.unknown_connections, limits.connections);
    let incoming = Arc::new(Mutex::new(incoming));
    let (published, status) = watch::channel(NodeStatus {
        server: driver.status(),
        standing: standing.clone(),
        stopped: None,
        record_failure: None,
        peers: Vec::new(),
        refused_connections: 0,
        last_refusal: None,
        certificates_end: guard.expires(),
    });
    let shared = Shared {
        runtime,
        members: Arc::clone(&members),
        incoming: Arc::clone(&incoming),
        guard: Arc::clone(&guard),
        published,
    };
    let deciding = {
        let settings = settings.clone();
        DriverLoop::new(driver, clock, signals, threads, settings, shared, standing)
    };
    spawn("driver", move || deciding.run()).map_err(failed("start a thread"))?;

    let tell = {
        let inbox = inbox.clone();
        Box::new(move |told: Told| drop(inbox.send(Signal::Told(told))))
    };
    let admission = Admission {
        members: Arc::clone(&members),
        settings: settings.clone(),
        status: status.clone(),
        silence,
        tell,
    };
    let request_bytes = limits.request_bytes;
    let room = Arc::new(Semaphore::new(request_bytes));
    let handle = Handle { inbox, room, request_bytes, members, published: status, guard };
    let node = Node { handle, address, torn, listener: None, admission: None };
    Ok(Started { node, listener, settings, incoming, admission })
}

/// How a server stands before it has asked anybody.
fn standing_at(stage: Stage) -> Standing {
    let waits = "it has asked nobody yet".into();
    match stage {
        Stage::Forming => Standing::Forming { missing: Default::default() },
        Stage::Joining => Standing::Joining { admitted: false, waits },
        Stage::Admitted => Standing::Joining { admitted: true, waits },
        Stage::Member => Standing::Member,
    }
}

fn begin_recording(server: &Raft<FileStore>, to: RecordTo) -> Result<Recorder<Files>, StartError> {
    let directory = to.directory.clone();
    let files = Files::open(to, server.id()).map_err(RecorderError::from);
    let recorder = files.and_then(|files| Recorder::begin(server, files));
    recorder.map_err(|source| StartError::Record { directory, source })
}

/// The driver expects the state machine in the state of the snapshot.
fn restore(store: &FileStore, machine: &mut impl StateMachine) -> Result<(), StartError> {
    let own = store.snapshot().map_err(kontiki::core::StartError::from);
    let own = own.map_err(kontiki::driver::DriverStartError::from)?;
    let Some(own) = own else { return Ok(()) };
    let restored = SnapshotReader::new(store.clone(), own.id).restore(machine);
    restored.map_err(|source| StartError::Restore { snapshot: own.id, source })
}

impl<M: StateMachine> Handle<M> {
    /// Has a command replicated and executed, and gives the state machine's answer. Only the leader takes
    /// commands.
    ///
    /// # Errors
    /// [`RequestError`] says whether the command was executed, was not, or may have been.
    pub async fn write(&self, command: impl Into<Bytes>) -> Result<M::Answer, RequestError> {
        Ok(self.write_seen(command).await?.value)
    }

    /// As [`Handle::write`], with the index of the command.
    ///
    /// # Errors
    /// As there.
    pub async fn write_seen(
        &self,
        command: impl Into<Bytes>,
    ) -> Result<Seen<M::Answer>, RequestError> {
        let command = command.into();
        let bytes = command.len();
        self.ask(bytes, |answer| Request::Write { command, answer }).await
    }

    /// Reads the state machine of this server, when it has come as far as is asked. Any server takes reads that
    /// is in its cluster: others say that they do not lead.
    ///
    /// # Errors
    /// If that did not come about in time, or the server stops. Nothing has changed.
    pub async fn read(
        &self,
        consistency: Consistency,
        query: M::Query,
    ) -> Result<M::Reply, RequestError> {
        Ok(self.read_seen(consistency, query).await?.value)
    }

    /// As [`Handle::read`], with the index of the last command that was executed before.
    ///
    /// # Errors
    /// As there.
    pub async fn read_seen(
        &self,
        consistency: Consistency,
        query: M::Query,
    ) -> Result<Seen<M::Reply>, RequestError> {
        self.ask(0, |answer| Request::Read { consistency, query, answer }).await
    }

    /// Changes the membership of the cluster, and waits until the change is complete. `expected` is the
    /// position of the configuration that the change is meant for, as in [`Status::configuration_position`].
    /// The address of a server that is added has to be known ([`Handle::set_address`]), or be told by the
    /// server itself.
    ///
    /// # Errors
    /// [`RequestError`] says whether the change was begun. One that was begun may go on.
    pub async fn change_membership(
        &self,
        change: MembershipChange,
        expected: Option<LogPosition>,
    ) -> Result<LogPosition, RequestError> {
        self.ask(0, |answer| Request::Change { change, expected, answer }).await
    }

    /// Has another server lead, and waits until this one does not.
    ///
    /// # Errors
    /// If this server does not lead, or the transfer is refused or given up.
    pub async fn transfer(&self, to: ServerId) -> Result<(), RequestError> {
        self.ask(0, |answer| Request::Transfer { to, answer }).await
    }

    /// Takes a snapshot, and waits until it is durable. It is taken by itself, too, when enough was executed
    /// ([`kontiki::core::Config::snapshot_bytes`]).
    ///
    /// # Errors
    /// If there is none to take, or it was not written.
    pub async fn snapshot(&self) -> Result<LogPosition, RequestError> {
        self.ask(0, |answer| Request::Snapshot { answer }).await
    }

    /// A server is reached at this address from now on, `host:port`. That is kept on disk, and the other
    /// servers learn of it. It waits for the disk.
    ///
    /// If the server that is named runs, with another address, it takes this back at once. So stop it first.
    ///
    /// # Errors
    /// If it is no address, or cannot be kept.
    pub fn set_address(&self, server: ServerId, address: &str) -> Result<(), AddressError> {
        self.members.set_address(server, address)
    }

    /// Where the servers are reached that this one knows of, itself included.
    pub fn addresses(&self) -> BTreeMap<ServerId, String> {
        let entries = self.members.book().entries.into_iter();
        let known = entries.map(|(server, entry)| (server, entry.address));
        known.filter(|(_, address)| !address.is_empty()).collect()
    }

    /// Reads the files with certificates, key and authority again, and uses what they hold from now on. All
    /// connections are closed and made anew, so what stood before is judged by the new authority. If something
    /// is wrong with the files, nothing changes. This waits for the disk.
    ///
    /// # Errors
    /// [`CertificateError`] says what is wrong, and what would be right.
    pub fn reload_certificates(&self) -> Result<(), CertificateError> {
        self.guard.reload()
    }

    /// Uses other certificates from now on, as [`Handle::reload_certificates`] does.
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "tls")]
    pub fn replace_certificates(&self, tls: Tls) -> Result<(), CertificateError> {
        self.guard.replace(tls)
    }

    /// How the server is.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn status(&self) -> Result<NodeStatus, RequestError> {
        let stopping = RequestError::Refused(Reason::Stopping);
        let (answer, wait) = oneshot::channel();
        self.inbox.send(Signal::Status(answer)).map_err(|_| stopping.clone())?;
        wait.await.map_err(|_| stopping)
    }

    /// How the server is, again and again: at once when its role, its leader, its membership or its standing
    /// has changed, and otherwise some ten times in a second while something happens.
    pub fn watch(&self) -> watch::Receiver<NodeStatus> {
        self.published.clone()
    }

    /// Waits until the server has come into its cluster, even if it was taken out of it again.
    ///
    /// # Errors
    /// If it must not, or the node ends before.
    pub async fn admitted(&self) -> Result<(), AdmissionError> {
        let mut status = self.watch();
        let is_decided = |status: &NodeStatus| match &status.standing {
            Standing::Forming { .. } | Standing::Joining { .. } => false,
            Standing::Member | Standing::Removed { .. } | Standing::Refused(_) => true,
        };
        let decided = status.wait_for(is_decided).await.map_err(|_| AdmissionError::Ended)?;
        match &decided.standing {
            Standing::Refused(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    async fn ask<T>(
        &self,
        bytes: usize,
        request: impl FnOnce(Sender<T>) -> Request<M>,
    ) -> Result<T, RequestError> {
        let too_many =
            RequestError::Refused(Reason::TooManyWaiting { limit: self.request_bytes as u64 });
        // A request alone is taken, whatever its size: the driver has a limit on that.
        let bytes = bytes.saturating_add(REQUEST_OVERHEAD).min(self.request_bytes);
        let bytes = u32::try_from(bytes).map_err(|_| too_many.clone())?;
        let permit = Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| too_many)?;
        let (answer, wait) = oneshot::channel();
        let signal = Signal::Request { request: request(answer), permit };
        if self.inbox.send(signal).is_err() {
            return Err(RequestError::Refused(Reason::Stopping));
        }
        wait.await.unwrap_or(Err(RequestError::Unknown(Doubt::Stopped)))
    }
}
