//! A cluster of drivers in virtual time. Everything that happens is in one queue, ordered by time.

use crate::history::{History, Request};
use crate::machine::{Done, Machine};
use crate::random::Random;
use kontiki::bytes::Bytes;
use kontiki::core::Config;
use kontiki::driver::{
    Consistency, Driver, DriverConfig, Effect, Event, Instant, Notice, Ticket, WriteGroup,
};
use kontiki::storage::{LogStore, MemoryStore};
use kontiki::{
    LogIndex, MembershipChange, Message, Output, RoleKind, ServerId, Snapshot, SnapshotId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Microseconds since the beginning.
pub type Time = u64;

pub const MILLISECOND: Time = 1000;
pub const SECOND: Time = 1000 * MILLISECOND;

/// How bad things are, in thousandths, and how long they take at most.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub lost: u64,
    pub repeated: u64,
    pub delay: Time,
    pub write: Time,
    /// Writes that take very long.
    pub stalls: u64,
    pub execute: Time,
    pub failed_snapshots: u64,
}

pub const CALM: Weather = Weather {
    lost: 0,
    repeated: 0,
    delay: 2 * MILLISECOND,
    write: 3 * MILLISECOND,
    stalls: 0,
    execute: MILLISECOND,
    failed_snapshots: 0,
};

pub const STORM: Weather = Weather {
    lost: 100,
    repeated: 50,
    delay: 30 * MILLISECOND,
    write: 20 * MILLISECOND,
    stalls: 2,
    execute: 20 * MILLISECOND,
    failed_snapshots: 200,
};

#[derive(Clone, Debug)]
enum Happening {
    /// Something for one start of a server.
    Event {
        to: usize,
        start: u64,
        event: Event,
    },
    Message {
        from: ServerId,
        to: usize,
        message: Message,
    },
    /// A group of writes is done.
    Written {
        to: usize,
        start: u64,
    },
    /// The state machine does its next task.
    Work {
        to: usize,
        start: u64,
    },
    /// A snapshot is on disk, or has failed.
    Snapshot {
        to: usize,
        start: u64,
        snapshot: Snapshot,
        bytes: Vec<u8>,
    },
    /// The server's clock may have come to its next deadline.
    Wake {
        to: usize,
        start: u64,
    },
    Restart {
        to: usize,
    },
    /// A process that was stopped goes on.
    GoOn {
        to: usize,
    },
}

pub struct Node {
    pub driver: Driver<MemoryStore>,
    pub machine: Machine,
    works: bool,
    writing: Option<WriteGroup>,
    start: u64,
    up: bool,
    /// The process is stopped: what happens to it waits.
    asleep: Option<Vec<Happening>>,
    /// How fast its clock goes, in millionths more or less, and where it began.
    drift: i64,
    /// Whom it owes an outcome.
    pub open: BTreeSet<Ticket>,
    wakes_at: Option<Time>,
    pub notices: Vec<Notice>,
}

pub struct Cluster {
    pub now: Time,
    pub nodes: Vec<Node>,
    pub history: History,
    pub random: Random,
    pub weather: Weather,
    /// Links that are cut, one way.
    pub cut: BTreeSet<(usize, usize)>,
    queue: BTreeMap<(Time, u64), Happening>,
    queued: u64,
    commands: u64,
}

impl Cluster {
    /// So many servers, of which the first `voters` begin as a cluster.
    pub fn new(servers: u64, voters: u64, seed: u64, adjust: fn(&mut DriverConfig)) -> Cluster {
        let mut cluster = Cluster {
            now: 0,
            nodes: Vec::new(),
            history: History::default(),
            random: Random::new(seed),
            weather: CALM,
            cut: BTreeSet::new(),
            queue: BTreeMap::new(),
            queued: 0,
            commands: 0,
        };
        for id in (1..=servers).map(ServerId) {
            let mut config = Config::new(id, (1..=voters).map(ServerId));
            if id.0 > voters {
                config = Config::joining(id);
            }
            config.incarnation = 1;
            let mut config = DriverConfig::new(config, seed);
            adjust(&mut config);
            let drift = i64::try_from(cluster.random.below(20_000)).unwrap() - 10_000;
            let driver = Driver::start(config, MemoryStore::new(), local(0, drift)).unwrap();
            cluster.nodes.push(Node {
                driver,
                machine: Machine::default(),
                works: false,
                writing: None,
                start: 1,
                up: true,
                asleep: None,
                drift,
                open: BTreeSet::new(),
                wakes_at: None,
                notices: Vec::new(),
            });
        }
        (0..cluster.nodes.len()).for_each(|node| cluster.carry_out(node));
        cluster
    }

    pub fn id(node: usize) -> ServerId {
        ServerId(node as u64 + 1)
    }

    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].up && self.nodes[node].asleep.is_none()
    }

    /// A server that leads in the latest term in which any does.
    pub fn leader(&self) -> Option<usize> {
        let leads = |node: &usize| {
            self.is_up(*node) && self.nodes[*node].driver.server().role() == RoleKind::Leader
        };
        let leaders = (0..self.nodes.len()).filter(leads);
        leaders.max_by_key(|node| self.nodes[*node].driver.server().term())
    }

    /// Everything happens until a moment.
    pub fn run_until(&mut self, until: Time) {
        while let Some(next) = self.queue.first_entry().filter(|next| next.key().0 <= until) {
            let ((time, _), happening) = next.remove_entry();
            self.now = time;
            self.happen(happening);
        }
        self.now = until;
    }

    /// Everything happens until something holds, which it does before so much time has passed.
    pub fn run_till(&mut self, longest: Time, holds: impl Fn(&Cluster) -> bool) {
        let until = self.now + longest;
        while !holds(self) {
            assert!(self.now < until, "in {} s it has not come to pass", longest / SECOND);
            self.run_until(self.now + MILLISECOND);
        }
    }

    fn at(&mut self, time: Time, happening: Happening) {
        self.queued += 1;
        self.queue.insert((time, self.queued), happening);
    }

    fn happen(&mut self, happening: Happening) {
        let (to, start) = match &happening {
            Happening::Event { to, start, .. }
            | Happening::Written { to, start }
            | Happening::Work { to, start }
            | Happening::Snapshot { to, start, .. }
            | Happening::Wake { to, start } => (*to, Some(*start)),
            Happening::Message { to, .. } => (*to, None),
            Happening::Restart { to } => return self.restart(*to),
            Happening::GoOn { to } => return self.go_on(*to),
        };
        let node = &mut self.nodes[to];
        if !node.up || start.is_some_and(|start| start != node.start) {
            return;
        }
        if let Some(waiting) = &mut node.asleep {
            return waiting.push(happening);
        }
        match happening {
            Happening::Event { event, .. } => self.handle(to, event),
            Happening::Message { from, message, .. } => {
                self.handle(to, Event::Received { from, message });
            }
            Happening::Written { .. } => self.written(to),
            Happening::Work { .. } => self.work(to),
            Happening::Snapshot { snapshot, bytes, .. } => self.snapshot(to, snapshot, bytes),
            Happening::Wake { .. } => self.wake(to),
            Happening::Restart { .. } | Happening::GoOn { .. } => {}
        }
    }

    /// A server is told something, as one of a burst or as all of it.
    pub fn handle(&mut self, to: usize, event: Event) {
        let now = self.local(to);
        self.nodes[to].driver.handle(event, now);
        self.carry_out(to);
    }

    fn local(&self, node: usize) -> Instant {
        local(self.now, self.nodes[node].drift)
    }

    /// Carries out what a driver asks for.
    fn carry_out(&mut self, of: usize) {
        let effects: Vec<Effect> = self.nodes[of].driver.effects().collect();
        for effect in effects {
            let Some(effect) = self.nodes[of].machine.ask(effect) else { continue };
            match effect {
                Effect::Send { to, message } => self.send(of, to, message),
                Effect::SendChunk(request) => {
                    if let Some(data) = self.chunk(of, request.snapshot.id, request.offset) {
                        self.send(of, request.to, request.message(data));
                    }
                }
                Effect::Write(group) => self.write(of, group),
                Effect::DropEntries { through } => {
                    let output = Output::DropEntries { through };
                    self.nodes[of].driver.store_mut().write(&output);
                }
                Effect::Answer { ticket, outcome } => {
                    assert!(self.nodes[of].open.remove(&ticket));
                    let executed = self.nodes[of].machine.executed;
                    self.history.told(ticket, outcome, executed);
                }
                Effect::Notice(notice) => self.nodes[of].notices.push(notice),
                Effect::Apply { .. } | Effect::Restore { .. } | Effect::TakeSnapshot { .. } => {}
            }
        }
        let start = self.nodes[of].start;
        if !self.nodes[of].machine.is_idle() && !self.nodes[of].works {
            self.nodes[of].works = true;
            let time = self.now + self.random.below(self.weather.execute + 1);
            self.at(time, Happening::Work { to: of, start });
        }
        let committed = self.nodes[of].driver.server().commit_index();
        self.history.committed = self.history.committed.max(committed);
        let wakes_at = self.nodes[of].driver.next_deadline();
        let wakes_at = wakes_at.map(|at| global(at, self.nodes[of].drift).max(self.now + 1));
        if wakes_at != self.nodes[of].wakes_at {
            self.nodes[of].wakes_at = wakes_at;
            wakes_at.into_iter().for_each(|time| self.at(time, Happening::Wake { to: of, start }));
        }
    }

    fn wake(&mut self, node: usize) {
        if self.nodes[node].wakes_at != Some(self.now) {
            return; // It has been set to another moment since.
        }
        self.nodes[node].wakes_at = None;
        self.tick(node);
    }

    fn tick(&mut self, node: usize) {
        let now = self.local(node);
        self.nodes[node].driver.tick(now);
        self.carry_out(node);
    }

    fn send(&mut self, of: usize, to: ServerId, message: Message) {
        let Weather { lost, repeated, delay, .. } = self.weather;
        let to = usize::try_from(to.0 - 1).unwrap();
        if self.cut.contains(&(of, to)) {
            return;
        }
        let copies = if self.random.per_mille(repeated) { 2 } else { 1 };
        for _ in 0..copies {
            if !self.random.per_mille(lost) {
                let time = self.now + 100 + self.random.below(delay);
                let message = message.clone();
                self.at(time, Happening::Message { from: Cluster::id(of), to, message });
            }
        }
    }

    fn chunk(&self, of: usize, snapshot: SnapshotId, offset: u64) -> Option<Bytes> {
        let store = self.nodes[of].driver.server().store();
        store.snapshot().unwrap().filter(|own| own.id == snapshot)?;
        let bytes = store.snapshot_bytes().unwrap();
        let offset = usize::try_from(offset).unwrap();
        Some(bytes.slice(offset..bytes.len().min(offset + 100)))
    }

    fn write(&mut self, of: usize, group: WriteGroup) {
        let Weather { write, stalls, .. } = self.weather;
        let stalls = self.random.per_mille(stalls);
        let takes = self.random.between(write / 4, write) + if stalls { 4 * SECOND } else { 0 };
        let start = self.nodes[of].start;
        assert!(self.nodes[of].writing.replace(group).is_none(), "two groups are under way");
        self.at(self.now + takes, Happening::Written { to: of, start });
    }

    fn written(&mut self, node: usize) {
        let group = self.nodes[node].writing.take().unwrap();
        let store = self.nodes[node].driver.store_mut();
        group.writes.iter().for_each(|write| store.write(write));
        self.handle(node, Event::Written { group: group.number });
    }

    fn work(&mut self, node: usize) {
        let Node { machine, driver, .. } = &mut self.nodes[node];
        let Done { event, entries, snapshot } = machine.work(driver.server().store()).unwrap();
        entries.iter().for_each(|entry| self.history.executes(entry));
        self.nodes[node].works = false;
        if let Some((snapshot, bytes)) = snapshot {
            let start = self.nodes[node].start;
            let time = self.now + self.random.between(1, 10 * (self.weather.write + 1));
            self.at(time, Happening::Snapshot { to: node, start, snapshot, bytes });
        }
        if let Some(event) = event {
            let start = self.nodes[node].start;
            // It is told by another thread.
            let time = self.now + self.random.below(100);
            self.at(time, Happening::Event { to: node, start, event });
        }
        self.carry_out(node);
    }

    fn snapshot(&mut self, node: usize, snapshot: Snapshot, bytes: Vec<u8>) {
        let (id, size) = (snapshot.id, snapshot.size);
        if self.random.per_mille(self.weather.failed_snapshots) {
            return self.handle(node, Event::SnapshotFailed { snapshot: id });
        }
        self.nodes[node].driver.store_mut().keep_snapshot(snapshot, bytes.into());
        self.handle(node, Event::SnapshotTaken { snapshot: id, size });
    }

    /// A server goes down. The first of the writes under way are done, and the next one in part.
    pub fn crash(&mut self, node: usize, down: Time) {
        if !self.is_up(node) {
            return;
        }
        self.nodes[node].up = false;
        if let Some(group) = self.nodes[node].writing.take() {
            let done = self.random.below(group.writes.len() as u64 + 1);
            let done = usize::try_from(done).unwrap();
            let torn = usize::try_from(self.random.below(3)).unwrap();
            let store = self.nodes[node].driver.store_mut();
            group.writes[..done].iter().for_each(|write| store.write(write));
            if let Some(write) = group.writes.get(done).filter(|_| torn > 0) {
                store.tear(write, torn - 1);
            }
        }
        let open = std::mem::take(&mut self.nodes[node].open);
        self.history.lost(open);
        self.at(self.now + down, Happening::Restart { to: node });
    }

    pub fn restart(&mut self, node: usize) {
        if self.nodes[node].up {
            return;
        }
        let now = self.local(node);
        let one = &mut self.nodes[node];
        let store = one.driver.server().store().clone();
        one.start += 1;
        let mut config = one.driver.config().clone();
        config.raft.incarnation = one.start;
        one.machine = Machine::start(&store);
        one.driver = Driver::start(config, store, now).unwrap();
        (one.up, one.works, one.wakes_at) = (true, false, None);
        self.carry_out(node);
    }

    /// A process is stopped for a while, and goes on as if nothing had happened.
    pub fn sleep(&mut self, node: usize, asleep: Time) {
        if self.is_up(node) {
            self.nodes[node].asleep = Some(Vec::new());
            self.at(self.now + asleep, Happening::GoOn { to: node });
        }
    }

    /// The timers may come first, or what was sent meanwhile.
    fn go_on(&mut self, node: usize) {
        let Some(mut waiting) = self.nodes[node].asleep.take() else { return };
        if self.random.per_mille(500) {
            self.tick(node);
        }
        // A socket holds so much.
        waiting.truncate(1000);
        waiting.into_iter().for_each(|happening| self.happen(happening));
        self.nodes[node].wakes_at = None;
        self.tick(node);
    }

    /// A client proposes the next command, with so many bytes behind its number.
    pub fn propose(&mut self, node: usize, bytes: usize, patience: Option<Time>) -> Ticket {
        self.commands += 1;
        let mut command = self.commands.to_le_bytes().to_vec();
        command.resize(command.len() + bytes, 0);
        let ticket = self.history.asks(Request::Command(self.commands));
        let deadline = self.deadline(node, patience);
        self.ask(node, ticket, Event::Propose { ticket, command: command.into(), deadline })
    }

    pub fn read(&mut self, node: usize, patience: Option<Time>) -> Ticket {
        let ticket = self.history.asks(Request::Read { committed: self.history.committed });
        let deadline = self.deadline(node, patience);
        let consistency = Consistency::Linearizable;
        self.ask(node, ticket, Event::Read { ticket, consistency, deadline })
    }

    pub fn read_at_least(&mut self, node: usize, index: LogIndex) -> Ticket {
        let ticket = self.history.asks(Request::AtLeast(index));
        let consistency = Consistency::AtLeast(index);
        self.ask(node, ticket, Event::Read { ticket, consistency, deadline: None })
    }

    pub fn change(&mut self, node: usize, change: MembershipChange) -> Ticket {
        let ticket = self.history.asks(Request::Other);
        let (expected, deadline) = (None, None);
        self.ask(node, ticket, Event::ChangeMembership { ticket, change, expected, deadline })
    }

    pub fn transfer(&mut self, node: usize, to: ServerId) -> Ticket {
        let ticket = self.history.asks(Request::Other);
        self.ask(node, ticket, Event::TransferLeadership { ticket, to })
    }

    pub fn take_snapshot(&mut self, node: usize) -> Ticket {
        let ticket = self.history.asks(Request::Other);
        self.ask(node, ticket, Event::TakeSnapshot { ticket })
    }

    fn deadline(&self, node: usize, patience: Option<Time>) -> Option<Instant> {
        patience.map(|patience| self.local(node).plus(Duration::from_micros(patience)))
    }

    fn ask(&mut self, node: usize, ticket: Ticket, event: Event) -> Ticket {
        self.nodes[node].open.insert(ticket);
        self.handle(node, event);
        ticket
    }

    /// From now on nothing goes wrong: all are up, links are whole, disks get on.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.weather = CALM;
        for node in 0..self.nodes.len() {
            self.restart(node);
            self.go_on(node);
        }
    }
}

/// What a clock with this drift shows.
fn local(now: Time, drift: i64) -> Instant {
    let now = i128::from(now) * i128::from(1_000_000 + drift) / 1000;
    Instant::after_origin(Duration::from_nanos(u64::try_from(now).unwrap()))
}

/// When a clock with this drift shows so much, at the latest.
fn global(local: Instant, drift: i64) -> Time {
    let nanoseconds = i128::try_from(local.since_origin().as_nanos()).unwrap();
    u64::try_from(nanoseconds * 1000 / i128::from(1_000_000 + drift)).unwrap() + 1
}
