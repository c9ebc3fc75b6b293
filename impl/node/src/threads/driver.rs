//! The thread that decides. It owns the driver, tells it what happens, and hands on what it asks for.

use super::Signal;
use super::executor::MachineJob;
use super::writer::WriteJob;
use crate::clock::Clock;
use crate::error::RequestError;
use crate::machine::StateMachine;
use crate::members::Members;
use crate::network::{Incoming, Lane, Peer, Settings, locked};
use crate::node::NodeStatus;
use crate::record::Files;
use crate::request::{Request, Waiter, Waiting};
use crate::security::Guard;
use crate::start::Standing;
use crate::telemetry::{self, Labels, Metrics};
use kontiki::driver::{
    ChunkRequest, Driver, Effect, Event, Instant, Notice, Outcome, Reason, Ticket, WriteGroup,
};
use kontiki::{LogPosition, Recorder, RoleKind, ServerId};
use kontiki_store::FileStore;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime;
use tokio::sync::{oneshot, watch};

/// The most signals that are taken together.
const BURST: usize = 256;
/// How often the status is published while something happens. A change of what matters is published at
/// once.
const PUBLISHED: Duration = Duration::from_millis(100);
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

/// What the driver's thread shares with others.
pub(crate) struct Shared {
    pub(crate) runtime: runtime::Handle,
    pub(crate) members: Arc<Members>,
    pub(crate) incoming: Arc<Mutex<Incoming>>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) published: watch::Sender<NodeStatus>,
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
    pub(super) driver: RecordedDriver,
    pub(super) clock: Clock,
    inbox: Receiver<Signal<M>>,
    threads: Threads<M>,
    pub(super) settings: Settings,
    pub(super) shared: Shared,
    pub(super) standing: Standing,
    /// The server is or was a member, as far as it knows.
    pub(super) was_member: bool,
    /// Where the configuration stands that peers were chosen by, and whether it was committed then.
    pub(super) seen: Option<(LogPosition, bool)>,
    pub(super) peers: BTreeMap<ServerId, Peer>,
    /// Those of the peers that are no members here, and when something was to be sent to each last.
    pub(super) guests: BTreeMap<ServerId, Instant>,
    metrics: Metrics,
    /// When the status was published last, and whether something has happened since.
    published_at: Instant,
    is_published: bool,
    waiters: HashMap<Ticket, Waiter<M>>,
    tickets: u64,
    phase: Phase,
    ended: Vec<oneshot::Sender<()>>,
}

impl<M: StateMachine> DriverLoop<M> {
    pub(crate) fn new(
        driver: RecordedDriver,
        clock: Clock,
        inbox: Receiver<Signal<M>>,
        threads: Threads<M>,
        settings: Settings,
        shared: Shared,
        standing: Standing,
    ) -> Self {
        let was_member = standing == Standing::Member;
        DriverLoop {
            driver,
            metrics: Metrics::new(Labels::new(settings.identity)),
            published_at: clock.now(),
            is_published: false,
            shared,
            standing,
            was_member,
            seen: None,
            clock,
            inbox,
            threads,
            settings,
            peers: BTreeMap::new(),
            guests: BTreeMap::new(),
            waiters: HashMap::new(),
            tickets: 0,
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
            if self.keeps_time() {
                self.driver.tick(self.clock.now());
            }
            self.carry_out();
            self.look_at_membership();
            self.move_on();
            self.publish();
        }
        self.finish();
    }

    /// Whether timers run. At a server that does not take part they would only have it campaign; those who
    /// wait from before are told when their time is up.
    fn keeps_time(&self) -> bool {
        self.standing.takes_part() || self.driver.waiting() > 0
    }

    /// How long nothing has to be done if nothing happens.
    fn wait(&self) -> Duration {
        let phase = match self.phase {
            Phase::HandingOver { deadline, .. } | Phase::Closing { deadline } => Some(deadline),
            Phase::Running | Phase::Ended => None,
        };
        let timers = self.driver.next_deadline().filter(|_| self.keeps_time());
        let publish = (!self.is_published).then(|| self.published_at.plus(PUBLISHED));
        let deadline = timers.into_iter().chain(phase).chain(publish).min();
        deadline.map_or(LONGEST, |deadline| self.clock.until(deadline).min(LONGEST))
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Tells the driver. The clock is read after whatever happened (rule C4).
    pub(super) fn handle(&mut self, event: Event) {
        let now = self.clock.now();
        self.driver.handle(event, now);
    }

    fn take(&mut self, signal: Signal<M>) {
        self.is_published = false;
        match signal {
            Signal::Received { from, message, permit } => {
                // M9: before it has come into the cluster, a server promises nothing.
                if self.standing.listens() {
                    self.handle(Event::Received { from, message });
                }
                drop(permit);
            }
            Signal::Request { request, .. } if !self.standing.takes_part() => {
                request.refuse(RequestError::NotLeader { leader: None });
            }
            Signal::Request { request, permit } => {
                let ticket = self.next_ticket();
                let (event, what) = begin(request, ticket);
                self.waiters.insert(ticket, Waiter { what, _permit: permit });
                self.handle(event);
            }
            Signal::Event(event) => self.handle(event),
            Signal::Chunk { to, message } => {
                self.send(to, message, Lane::Bulk);
            }
            Signal::BookChanged => self.choose_peers(),
            Signal::Told(told) => self.hear(told),
            Signal::Question { from, wants, answer } => {
                // Whoever asked may be gone.
                drop(answer.send(self.facts(from, wants)));
            }
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

    fn status(&mut self) -> NodeStatus {
        let recorder = self.driver.observer_mut().as_ref();
        let record_failure = recorder.and_then(Recorder::failure).map(ToString::to_string);
        let incoming = locked(&self.shared.incoming);
        NodeStatus {
            server: self.driver.status(),
            standing: self.standing.clone(),
            stopped: self.driver.stopped().cloned(),
            record_failure,
            peers: self.peers.values().map(Peer::status).collect(),
            refused_connections: incoming.refused,
            last_refusal: incoming.last.clone(),
            certificates_end: self.shared.guard.expires(),
        }
    }

    /// Publishes the status, if it is time.
    fn publish(&mut self) {
        let now = self.clock.now();
        if !self.is_published && now >= self.published_at.plus(PUBLISHED) {
            self.part_with_guests();
            let status = self.status();
            self.metrics.set(&status);
            self.shared.published.send_replace(status);
            self.published_at = now;
            self.is_published = true;
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
                Effect::Send { to, message } => self.send(to, message, Lane::Usual),
                // If too many wait already, the next heartbeat asks the follower again.
                Effect::SendChunk(request) => drop(self.threads.chunks.try_send(request)),
                Effect::Write(group) => self.write(group),
                Effect::DropEntries { through } => {
                    // A thread that has ended has said why.
                    drop(self.threads.writer.send(WriteJob::DropEntries(through)));
                }
                Effect::Apply { entries } => {
                    self.look_at_executed(&entries);
                    self.execute(MachineJob::Apply(entries));
                }
                Effect::Restore { snapshot } => self.execute(MachineJob::Restore(snapshot)),
                Effect::TakeSnapshot { snapshot } => {
                    self.execute(MachineJob::TakeSnapshot(snapshot));
                }
                Effect::Answer { ticket, outcome } => self.answer(ticket, outcome),
                Effect::Notice(notice) => self.notice(&notice),
            }
        }
    }

    fn notice(&mut self, notice: &Notice) {
        telemetry::notice(self.shared.members.own, notice);
        if !matches!(notice, Notice::Rejected { .. }) {
            self.publish_at_once();
        }
    }

    pub(super) fn publish_at_once(&mut self) {
        self.is_published = false;
        self.published_at = Instant::ORIGIN;
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
        match best_successor(&self.status()) {
            Some(to) => {
                let ticket = self.next_ticket();
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
        let status = self.status();
        self.metrics.set(&status);
        self.shared.published.send_replace(status);
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
                Signal::Request { request, .. } => {
                    request.refuse(RequestError::Refused(Reason::Stopping));
                }
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

/// Who is to lead when a leader ends: of the other voters that are reached the one that lags least, or of
/// all of them if none is.
fn best_successor(NodeStatus { server, peers, .. }: &NodeStatus) -> Option<ServerId> {
    if server.role != RoleKind::Leader {
        return None;
    }
    let is_away = |id| !peers.iter().any(|peer| peer.server == id && peer.connected);
    let voters = &server.configuration.voters;
    let others = server.followers.iter().filter(|follower| voters.contains(&follower.id));
    others.min_by_key(|other| (is_away(other.id), other.lag)).map(|follower| follower.id)
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
