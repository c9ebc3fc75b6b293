//! The thread that decides. It owns the driver, tells it what happens, and hands on what it asks for.

use super::executor::MachineJob;
use super::writer::WriteJob;
use super::{DriverStatus, Signal};
use crate::clock::Clock;
use crate::machine::StateMachine;
use crate::network::{Lane, Peer, Settings};
use crate::record::Files;
use crate::request::{Request, Waiter, Waiting};
use kontiki::driver::{
    ChunkRequest, Driver, Effect, Event, Instant, Outcome, Status, Ticket, WriteGroup,
};
use kontiki::{Recorder, RoleKind, ServerId};
use kontiki_store::FileStore;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime;
use tokio::sync::oneshot;

/// The most signals that are taken together.
const BURST: usize = 256;
/// The longest wait. It matters to nobody.
const LONGEST: Duration = Duration::from_secs(3600);

/// The other threads. They end when nobody can ask anything of them any more.
pub(crate) struct Threads<M: StateMachine> {
    pub(crate) machine: Sender<MachineJob<M>>,
    pub(crate) machine_thread: JoinHandle<()>,
    pub(crate) writer: Sender<WriteJob>,
    pub(crate) writer_thread: JoinHandle<()>,
    pub(crate) chunks: SyncSender<ChunkRequest>,
    pub(crate) chunks_thread: JoinHandle<()>,
    pub(crate) stopping: Arc<AtomicBool>,
}

/// How far the node has come to its end.
enum Phase {
    Running,
    /// Another server is to lead.
    HandingOver {
        ticket: Ticket,
        deadline: Instant,
    },
    /// Those who wait are waited for.
    Closing {
        deadline: Instant,
    },
    Ended,
}

/// The driver, which may be recorded.
pub(crate) type RecordedDriver = Driver<FileStore, Option<Recorder<Files>>>;

/// The driver with all that it needs.
pub(crate) struct DriverLoop<M: StateMachine> {
    driver: RecordedDriver,
    clock: Clock,
    inbox: Receiver<Signal<M>>,
    threads: Threads<M>,
    runtime: runtime::Handle,
    settings: Settings,
    peers: BTreeMap<ServerId, Peer>,
    waiters: HashMap<Ticket, Waiter<M>>,
    next_ticket: u64,
    phase: Phase,
    ended: Vec<oneshot::Sender<()>>,
}

impl<M: StateMachine> DriverLoop<M> {
    pub(crate) fn new(
        driver: RecordedDriver,
        clock: Clock,
        inbox: Receiver<Signal<M>>,
        threads: Threads<M>,
        runtime: runtime::Handle,
        settings: Settings,
    ) -> Self {
        DriverLoop {
            driver,
            clock,
            inbox,
            threads,
            runtime,
            settings,
            peers: BTreeMap::new(),
            waiters: HashMap::new(),
            next_ticket: 0,
            phase: Phase::Running,
            ended: Vec::new(),
        }
    }

    /// Runs until the node ends.
    pub(crate) fn run(mut self) {
        while !matches!(self.phase, Phase::Ended) {
            match self.inbox.recv_timeout(self.wait()) {
                Ok(first) => {
                    self.take(first);
                    for _ in 1..BURST {
                        let Ok(signal) = self.inbox.try_recv() else { break };
                        self.take(signal);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.end(),
            }
            self.driver.tick(self.clock.now());
            self.carry_out();
            self.move_on();
        }
        self.finish();
    }

    /// How long nothing has to be done if nothing happens.
    fn wait(&self) -> Duration {
        let phase = match self.phase {
            Phase::HandingOver { deadline, .. } | Phase::Closing { deadline } => Some(deadline),
            Phase::Running | Phase::Ended => None,
        };
        let deadline = self.driver.next_deadline().into_iter().chain(phase).min();
        deadline.map_or(LONGEST, |deadline| deadline.since(self.clock.now()).min(LONGEST))
    }

    /// Tells the driver. The clock is read after whatever happened (rule C4).
    fn handle(&mut self, event: Event) {
        let now = self.clock.now();
        self.driver.handle(event, now);
    }

    fn take(&mut self, signal: Signal<M>) {
        match signal {
            Signal::Received { from, message, permit } => {
                self.handle(Event::Received { from, message });
                drop(permit);
            }
            Signal::Request { request, permit } => {
                self.next_ticket += 1;
                let ticket = Ticket(self.next_ticket);
                let (event, what) = begin(request, ticket);
                self.waiters.insert(ticket, Waiter { what, _permit: permit });
                self.handle(event);
            }
            Signal::Event(event) => self.handle(event),
            Signal::Chunk { to, message } => {
                if let Some(peer) = self.peers.get(&to) {
                    peer.send(message, Lane::Bulk);
                }
            }
            Signal::Address { server, address } => self.set_address(server, address),
            Signal::Status(answer) => {
                let status = self.status();
                drop(answer.send(status));
            }
            Signal::Shutdown(ended) => {
                self.ended.push(ended);
                self.begin_end();
            }
            Signal::Abandoned => self.end(),
        }
    }

    pub(crate) fn set_address(&mut self, server: ServerId, address: String) {
        if server != self.settings.identity.server {
            let peer = Peer::start(&self.runtime, server, address, self.settings.clone());
            self.peers.insert(server, peer);
        }
    }

    fn status(&mut self) -> DriverStatus {
        let recorder = self.driver.observer_mut().as_ref();
        let record_failure = recorder.and_then(Recorder::failure).map(ToString::to_string);
        DriverStatus {
            server: self.driver.status(),
            stopped: self.driver.stopped().cloned(),
            record_failure,
            peers: self.peers.values().map(Peer::status).collect(),
        }
    }

    fn carry_out(&mut self) {
        let effects: Vec<Effect> = self.driver.effects().collect();
        // Whatever leaves the server is in the recording before.
        if let Some(recorder) = self.driver.observer_mut() {
            recorder.flush();
        }
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    if let Some(peer) = self.peers.get(&to) {
                        peer.send(message, Lane::Usual);
                    }
                }
                // If too many wait already, the next heartbeat asks the follower again.
                Effect::SendChunk(request) => drop(self.threads.chunks.try_send(request)),
                Effect::Write(group) => self.write(group),
                Effect::DropEntries { through } => {
                    // A thread that has ended has said why.
                    drop(self.threads.writer.send(WriteJob::DropEntries(through)));
                }
                Effect::Apply { entries } => self.execute(MachineJob::Apply(entries)),
                Effect::Restore { snapshot } => self.execute(MachineJob::Restore(snapshot)),
                Effect::TakeSnapshot { snapshot } => {
                    self.execute(MachineJob::TakeSnapshot(snapshot));
                }
                Effect::Answer { ticket, outcome } => self.answer(ticket, outcome),
                Effect::Notice(_) => {} // The status says most of it.
            }
        }
    }

    fn write(&self, group: WriteGroup) {
        // A thread that has ended has said why.
        drop(self.threads.writer.send(WriteJob::Group(group)));
    }

    fn execute(&self, job: MachineJob<M>) {
        // A thread that has ended has said why. Whoever waits finds its answer dropped.
        drop(self.threads.machine.send(job));
    }

    fn answer(&mut self, ticket: Ticket, outcome: Outcome) {
        if let Phase::HandingOver { ticket: awaited, .. } = self.phase
            && awaited == ticket
        {
            return self.close();
        }
        let Some(waiter) = self.waiters.remove(&ticket) else { return };
        match outcome {
            Outcome::Applied { .. } | Outcome::Readable { .. } => {
                self.execute(MachineJob::Answer(waiter, outcome));
            }
            outcome => waiter.what.tell(&outcome),
        }
    }

    /// The node is to end in good order: a leader hands over first.
    fn begin_end(&mut self) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        match best_successor(&self.driver.status()) {
            Some(to) => {
                self.next_ticket += 1;
                let ticket = Ticket(self.next_ticket);
                let patience = self.driver.config().timings.election_timeout.saturating_mul(2);
                let deadline = self.clock.now().plus(patience);
                self.phase = Phase::HandingOver { ticket, deadline };
                self.handle(Event::TransferLeadership { ticket, to });
            }
            None => self.close(),
        }
    }

    fn close(&mut self) {
        let patience = self.driver.config().timings.request_timeout;
        self.phase = Phase::Closing { deadline: self.clock.now().plus(patience) };
        self.driver.close();
    }

    fn move_on(&mut self) {
        let now = self.clock.now();
        if let Phase::HandingOver { deadline, .. } = self.phase
            && now >= deadline
        {
            self.close();
            self.carry_out();
        }
        if let Phase::Closing { deadline } = self.phase
            && (self.driver.waiting() == 0 || now >= deadline)
        {
            self.end();
        }
    }

    fn end(&mut self) {
        self.driver.stop();
        self.phase = Phase::Ended;
    }

    /// Tells all who wait, and lets the other threads do what they have been asked.
    fn finish(mut self) {
        self.carry_out();
        if let Some(recorder) = self.driver.observer_mut() {
            recorder.end();
        }
        let DriverLoop { driver, inbox, threads, peers, waiters, mut ended, .. } = self;
        drop((peers, waiters));
        threads.stopping.store(true, Ordering::Relaxed);
        // A thread that has panicked has said so.
        drop(threads.chunks);
        drop(threads.chunks_thread.join());
        drop(threads.machine);
        drop(threads.machine_thread.join());
        drop(threads.writer);
        drop(threads.writer_thread.join());
        drop(driver);
        for signal in inbox.try_iter() {
            match signal {
                Signal::Request { request, .. } => request.refuse(),
                Signal::Shutdown(asked) => ended.push(asked),
                _ => {}
            }
        }
        // Whoever asks something after the end finds nobody, and knows that nothing was done.
        drop(inbox);
        for ended in ended {
            let _ = ended.send(());
        }
    }
}

/// Who is to lead when a leader ends: of the other voters the one that lags least.
fn best_successor(status: &Status) -> Option<ServerId> {
    if status.role != RoleKind::Leader {
        return None;
    }
    let voters = &status.configuration.voters;
    let others = status.followers.iter().filter(|follower| voters.contains(&follower.id));
    others.min_by_key(|follower| follower.lag).map(|follower| follower.id)
}

/// What the driver is told of a request, and what whoever asks waits for.
fn begin<M: StateMachine>(request: Request<M>, ticket: Ticket) -> (Event, Waiting<M>) {
    let deadline = None;
    match request {
        Request::Write { command, answer } => {
            (Event::Propose { ticket, command, deadline }, Waiting::Write(answer))
        }
        Request::Read { consistency, query, answer } => {
            (Event::Read { ticket, consistency, deadline }, Waiting::Read(query, answer))
        }
        Request::Change { change, expected, answer } => {
            let event = Event::ChangeMembership { ticket, change, expected, deadline };
            (event, Waiting::Position(answer))
        }
        Request::Transfer { to, answer } => {
            (Event::TransferLeadership { ticket, to }, Waiting::Transfer(answer))
        }
        Request::Snapshot { answer } => (Event::TakeSnapshot { ticket }, Waiting::Position(answer)),
    }
}
