//! Three of Kontiki's drivers, each in a task, with stores in memory and channels between them.

use crate::load::Cluster;
use anyhow::{Result, bail};
use bytes::Bytes;
use kontiki::core::Config;
use kontiki::driver::{Driver, DriverConfig, Effect, Event, Instant, Outcome, Ticket};
use kontiki::storage::MemoryStore;
use kontiki::{Payload, ServerId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// What a server is told.
enum Told {
    Event(Event),
    Write { command: Bytes, answer: oneshot::Sender<Outcome> },
}

/// The servers. They end with the runtime.
pub struct KontikiCluster {
    servers: Vec<UnboundedSender<Told>>,
    executed: Vec<Arc<AtomicU64>>,
    leader: usize,
}

impl KontikiCluster {
    /// Starts them, and waits until one leads.
    pub async fn start() -> Result<KontikiCluster> {
        let ids: Vec<ServerId> = (1..=3).map(ServerId).collect();
        let (senders, receivers): (Vec<_>, Vec<_>) =
            ids.iter().map(|_| unbounded_channel()).unzip();
        let mut executed = Vec::new();
        for (id, receiver) in ids.iter().zip(receivers) {
            let mut raft = Config::new(*id, ids.iter().copied());
            raft.incarnation = 1;
            let mut config = DriverConfig::new(raft, 7);
            config.snapshots_when_due = false;
            let driver = Driver::start(config, MemoryStore::new(), Instant::ORIGIN)?;
            let counter = Arc::new(AtomicU64::new(0));
            executed.push(Arc::clone(&counter));
            let server = Server {
                id: *id,
                driver,
                others: senders.clone(),
                begun: std::time::Instant::now(),
                executed: counter,
                waiting: VecDeque::new(),
                oldest: 0,
            };
            tokio::spawn(server.run(receiver));
        }
        let mut cluster = KontikiCluster { servers: senders, executed, leader: 0 };
        for _ in 0..100 {
            for leader in 0..3 {
                cluster.leader = leader;
                if cluster.write(Bytes::new()).await {
                    return Ok(cluster);
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
        bail!("nobody leads")
    }
}

impl Cluster for KontikiCluster {
    async fn write(&self, command: Bytes) -> bool {
        let (answer, answered) = oneshot::channel();
        let Some(leader) = self.servers.get(self.leader) else { return false };
        let sent = leader.send(Told::Write { command, answer });
        sent.is_ok() && matches!(answered.await, Ok(Outcome::Applied { .. }))
    }

    fn executed(&self) -> impl Iterator<Item = u64> + Send {
        self.executed.iter().map(|executed| executed.load(Ordering::Relaxed))
    }
}

struct Server {
    id: ServerId,
    driver: Driver<MemoryStore>,
    others: Vec<UnboundedSender<Told>>,
    begun: std::time::Instant,
    executed: Arc<AtomicU64>,
    /// Who waits, from the oldest ticket that has no answer on.
    waiting: VecDeque<Option<oneshot::Sender<Outcome>>>,
    oldest: u64,
}

impl Server {
    /// What a shell does: tells the driver all that has happened, and carries out what it asks for.
    async fn run(mut self, mut heard: UnboundedReceiver<Told>) {
        let (mut told, mut effects) = (Vec::new(), Vec::new());
        loop {
            // Whoever else has something to ask does so first, so that it goes together.
            yield_now().await;
            let wait = match self.driver.next_deadline() {
                Some(deadline) => deadline.since(self.now()),
                None => Duration::from_secs(1),
            };
            if timeout(wait, heard.recv_many(&mut told, 1024)).await == Ok(0) {
                return;
            }
            let now = self.now();
            for one in told.drain(..) {
                self.tell(one, now);
            }
            self.driver.tick(now);
            loop {
                effects.extend(self.driver.effects());
                if effects.is_empty() {
                    break;
                }
                for effect in effects.drain(..) {
                    self.carry_out(effect, now);
                }
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::ORIGIN.plus(self.begun.elapsed())
    }

    fn tell(&mut self, told: Told, now: Instant) {
        let event = match told {
            Told::Event(event) => event,
            Told::Write { command, answer } => {
                let ticket = Ticket(self.oldest + self.waiting.len() as u64);
                self.waiting.push_back(Some(answer));
                Event::Propose { ticket, command, deadline: None }
            }
        };
        self.driver.handle(event, now);
    }

    fn carry_out(&mut self, effect: Effect, now: Instant) {
        match effect {
            Effect::Send { to, message } => {
                if let Some(other) = self.others.get(to.0 as usize - 1) {
                    // Nobody listens when the run is over.
                    drop(other.send(Told::Event(Event::Received { from: self.id, message })));
                }
            }
            Effect::Write(group) => {
                group.writes.iter().for_each(|write| self.driver.store_mut().write(write));
                self.driver.handle(Event::Written { group: group.number }, now);
            }
            Effect::Apply { entries } => {
                let commands =
                    entries.iter().filter(|entry| matches!(entry.payload, Payload::Command(_)));
                self.executed.fetch_add(commands.count() as u64, Ordering::Relaxed);
                if let Some(index) = entries.last_index() {
                    self.driver.handle(Event::Executed { index }, now);
                }
            }
            Effect::Answer { ticket, outcome } => {
                self.answer(ticket, outcome);
            }
            // There are no snapshots, and nobody to notice anything.
            _ => {}
        }
    }

    fn answer(&mut self, ticket: Ticket, outcome: Outcome) {
        let waits = self.waiting.get_mut((ticket.0 - self.oldest) as usize);
        if let Some(answer) = waits.and_then(Option::take) {
            drop(answer.send(outcome)); // Nobody waits any more when the run is over.
        }
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.oldest += 1;
        }
    }
}
