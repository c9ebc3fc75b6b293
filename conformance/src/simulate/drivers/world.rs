//! A cluster of drivers, and all that lies between and around them.

use super::clients::{Clients, Request};
use super::clock::{MILLISECOND, Time};
use super::happening::{Happening, Own, Queue};
use super::node::{Done, Node};
use super::plan::{Plan, Weather};
use super::watcher::Record;
use crate::simulate::fault::Fault;
use crate::simulate::problem::{Invariant, Problem};
use bytes::Bytes;
use kontiki::driver::{Consistency, Effect, Event, Instant, Ticket, WriteGroup};
use kontiki_model::actor::servers;
use kontiki_specs::{LogIndex, MembershipChange, Message, RoleKind, ServerId};
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::BTreeSet;
use std::time::Duration;

/// How many messages wait for a process that is stopped. Those that come when so many wait are lost.
const INBOX: usize = 100;

/// Everything.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) weather: Weather,
    pub(super) now: Time,
    pub(super) nodes: Vec<Node>,
    pub(super) clients: Clients,
    pub(super) random: StdRng,
    /// Links that are cut, one way, by places.
    pub(super) cut: BTreeSet<(usize, usize)>,
    queue: Queue,
    commands: u64,
}

impl World {
    /// A cluster that starts for the first time.
    pub(super) fn new(plan: Plan, mut random: StdRng) -> Result<World, Box<Problem>> {
        let mut nodes = Vec::new();
        for model in servers(&plan.scope(), None) {
            nodes.push(Node::boot(model, &plan, &mut random)?);
        }
        let mut world = World {
            plan,
            weather: Weather::CALM,
            now: 0,
            nodes,
            clients: Clients::default(),
            random,
            cut: BTreeSet::new(),
            queue: Queue::default(),
            commands: 0,
        };
        for node in 0..world.nodes.len() {
            world.carry_out(node)?;
        }
        Ok(world)
    }

    /// From now on the steps of all servers are recorded.
    pub(super) fn record(&mut self) -> Record {
        let record = Record::default();
        for node in &mut self.nodes {
            node.driver.observer_mut().record = Some(Record::clone(&record));
        }
        record
    }

    /// How many steps all servers have taken.
    pub(super) fn steps(&mut self) -> u64 {
        self.nodes.iter_mut().map(|node| node.driver.observer_mut().steps).sum()
    }

    /// A server that leads, in the latest term in which any does that runs.
    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |place: &usize| {
            let node = &self.nodes[*place];
            node.runs() && node.driver.server().role() == RoleKind::Leader
        };
        let leaders = (0..self.nodes.len()).filter(leads);
        leaders.max_by_key(|place| self.nodes[*place].driver.server().term())
    }

    /// Everything happens until a moment.
    pub(super) fn run_until(&mut self, until: Time) -> Result<(), Box<Problem>> {
        while let Some((at, to, happening)) = self.queue.next(until) {
            self.now = at;
            self.happen(to, happening)?;
        }
        self.now = until;
        Ok(())
    }

    /// Everything happens until something holds, at most for so long. Whether it does.
    pub(super) fn run_till(
        &mut self,
        longest: Time,
        holds: impl Fn(&World) -> bool,
    ) -> Result<bool, Box<Problem>> {
        let until = self.now + longest;
        while !holds(self) {
            if self.now >= until {
                return Ok(false);
            }
            self.run_until(self.now + MILLISECOND)?;
        }
        Ok(true)
    }

    fn after(&mut self, passed: Time, to: usize, what: Own) {
        let start = self.nodes[to].start;
        self.queue.put(self.now + passed, to, Happening::OfStart { start, what });
    }

    /// A time up to the longest.
    fn up_to(&mut self, longest: Time) -> Time {
        self.random.random_range(0..=longest)
    }

    pub(super) fn per_mille(&mut self, times: u32) -> bool {
        self.random.random_ratio(times.min(1000), 1000)
    }

    fn happen(&mut self, to: usize, happening: Happening) -> Result<(), Box<Problem>> {
        let node = &mut self.nodes[to];
        match &happening {
            Happening::Start => return self.start(to),
            Happening::GoOn => return self.go_on(to),
            _ if !node.up => return Ok(()),
            Happening::OfStart { start, .. } if *start != node.start => return Ok(()),
            _ => {}
        }
        if let Some(waiting) = &mut node.asleep {
            let is_message = matches!(happening, Happening::Message { .. });
            if !is_message || waiting.len() < INBOX {
                waiting.push(happening);
            }
            return Ok(());
        }
        match happening {
            Happening::Message { from, message } => {
                self.handle(to, Event::Received { from, message })
            }
            Happening::OfStart { what, .. } => self.own(to, what),
            Happening::Start | Happening::GoOn => Ok(()),
        }
    }

    fn own(&mut self, to: usize, what: Own) -> Result<(), Box<Problem>> {
        match what {
            Own::Told(event) => self.handle(to, event),
            Own::Written { fails: false } => match self.nodes[to].end_writes() {
                Some(group) => self.handle(to, Event::Written { group }),
                None => Ok(()),
            },
            Own::Written { fails: true } => {
                self.stops(to, Event::DiskFailed { how: "simulated".to_string() })
            }
            Own::Work => self.work(to),
            Own::Snapshot { snapshot, fails: true, .. } => {
                self.handle(to, Event::SnapshotFailed { snapshot: snapshot.id })
            }
            Own::Snapshot { snapshot, bytes, fails: false } => {
                let (id, size) = (snapshot.id, snapshot.size);
                self.nodes[to].driver.store_mut().keep_snapshot(snapshot, bytes);
                self.handle(to, Event::SnapshotTaken { snapshot: id, size })
            }
            Own::Wake if self.nodes[to].wakes_at == Some(self.now) => {
                self.nodes[to].wakes_at = None;
                self.tick(to)
            }
            Own::Wake => Ok(()), // The driver waits for another moment since.
        }
    }

    /// A driver is told something.
    fn handle(&mut self, to: usize, event: Event) -> Result<(), Box<Problem>> {
        let now = self.shown(to);
        self.nodes[to].driver.handle(event, now);
        self.carry_out(to)
    }

    fn tick(&mut self, to: usize) -> Result<(), Box<Problem>> {
        let now = self.shown(to);
        self.nodes[to].driver.tick(now);
        self.carry_out(to)
    }

    fn shown(&self, by: usize) -> Instant {
        self.nodes[by].clock.shows(self.now)
    }

    /// Carries out what a driver asks for, and looks whether all is well.
    fn carry_out(&mut self, of: usize) -> Result<(), Box<Problem>> {
        let effects: Vec<Effect> = self.nodes[of].driver.effects().collect();
        if let Some(problem) = self.nodes[of].driver.observer_mut().problem.take() {
            return Err(problem);
        }
        for effect in effects {
            if let Effect::Apply { entries } = &effect
                && self.nodes[of].has(Fault::ReadsBeforeApplied)
                && let Some(index) = entries.last_index()
            {
                self.after(1, of, Own::Told(Event::Executed { index }));
            }
            if let Some(effect) = self.nodes[of].ask(effect) {
                self.carry_out_one(of, effect)?;
            }
        }
        if self.nodes[of].has_tasks() && !self.nodes[of].works {
            self.nodes[of].works = true;
            let takes = self.up_to(self.weather.execute);
            self.after(takes, of, Own::Work);
        }
        let node = &mut self.nodes[of];
        self.clients.committed = self.clients.committed.max(node.driver.server().commit_index());
        let wakes_at = node.driver.next_deadline().map(|at| node.clock.when(at));
        let wakes_at = wakes_at.map(|at| at.max(self.now + 1));
        if wakes_at != node.wakes_at {
            node.wakes_at = wakes_at;
            if let Some(at) = wakes_at {
                self.after(at - self.now, of, Own::Wake);
            }
        }
        Ok(())
    }

    fn carry_out_one(&mut self, of: usize, effect: Effect) -> Result<(), Box<Problem>> {
        let node = &mut self.nodes[of];
        match effect {
            Effect::Send { to, message } => self.send(of, to, message),
            Effect::SendChunk(request) => {
                let most = self.plan.parameters.chunk_bytes;
                if let Some(data) = node.chunk(&request.snapshot, request.offset, most) {
                    self.send(of, request.to, request.message(data));
                }
            }
            Effect::Write(group) => return self.write(of, group),
            Effect::DropEntries { through } => node.drop_entries(through),
            Effect::Answer { ticket, outcome } => {
                let (id, (seen, _)) = (node.id, node.executed());
                return self.clients.told(id, ticket, outcome, seen);
            }
            Effect::Notice(_)
            | Effect::Apply { .. }
            | Effect::Restore { .. }
            | Effect::TakeSnapshot { .. } => {}
        }
        Ok(())
    }

    fn send(&mut self, of: usize, to: ServerId, message: Message) {
        let Some(to) = place(to).filter(|to| *to < self.nodes.len()) else { return };
        if self.cut.contains(&(of, to)) {
            return;
        }
        let Weather { lost, repeated, delay, .. } = self.weather;
        let copies = if self.per_mille(repeated) { 2 } else { 1 };
        for _ in 0..copies {
            if !self.per_mille(lost) {
                let at = self.now + 100 + self.up_to(delay);
                let (from, message) = (self.nodes[of].id, message.clone());
                self.queue.put(at, to, Happening::Message { from, message });
            }
        }
    }

    fn write(&mut self, of: usize, group: WriteGroup) -> Result<(), Box<Problem>> {
        self.nodes[of].begin_writes(group)?;
        let Weather { write, stalls, failures, .. } = self.weather;
        let stalls = if self.per_mille(stalls) { Weather::STALL } else { 0 };
        let (takes, fails) = (self.up_to(write) + stalls, self.per_mille(failures));
        self.after(takes, of, Own::Written { fails });
        Ok(())
    }

    fn work(&mut self, of: usize) -> Result<(), Box<Problem>> {
        self.nodes[of].works = false;
        let (id, done) = (self.nodes[of].id, self.nodes[of].work()?);
        match done {
            Some(Done::Applied(applied)) => {
                for (entry, content) in applied {
                    self.clients.executes(id, &entry, content)?;
                }
            }
            Some(Done::Restored(index, content)) => {
                self.clients.told.count("state machines restored");
                self.clients.restored(id, index, content)?;
            }
            Some(Done::Taken(snapshot, bytes)) => {
                let (takes, fails) = (
                    self.up_to(10 * self.weather.write),
                    self.per_mille(self.weather.failed_snapshots),
                );
                self.clients.told.count(if fails { "snapshots failed" } else { "snapshots taken" });
                self.after(takes, of, Own::Snapshot { snapshot, bytes, fails });
                return self.carry_out(of);
            }
            None => return Ok(()),
        }
        if self.nodes[of].has_executed_all() {
            // It is told by another thread.
            let (index, _) = self.nodes[of].executed();
            let takes = self.up_to(MILLISECOND / 10);
            self.after(takes, of, Own::Told(Event::Executed { index }));
        }
        self.carry_out(of)
    }

    /// A server crashes, and starts again after a while.
    pub(super) fn crash(&mut self, node: usize, down: Time) {
        if self.nodes[node].runs() {
            self.clients.told.count("crashes");
            self.clients.lost(self.nodes[node].id);
            self.nodes[node].goes_down(&mut self.random);
            self.queue.put(self.now + down, node, Happening::Start);
        }
    }

    /// A driver stops for good, and tells everybody; then the server is started again.
    pub(super) fn stops(&mut self, node: usize, event: Event) -> Result<(), Box<Problem>> {
        if !self.nodes[node].runs() {
            return Ok(());
        }
        self.clients.told.count("servers that stopped by themselves");
        self.handle(node, event)?;
        self.goes_down_in_order(node)
    }

    /// A server is shut down, in two steps or in one; then it is started again.
    pub(super) fn shut_down(&mut self, node: usize) -> Result<(), Box<Problem>> {
        if !self.nodes[node].runs() {
            return Ok(());
        }
        self.clients.told.count("servers shut down");
        if self.random.random() {
            self.nodes[node].driver.close();
            self.carry_out(node)?;
            let patience = self.up_to(200 * MILLISECOND);
            self.run_until(self.now + patience)?;
            if !self.nodes[node].runs() {
                return Ok(());
            }
        }
        self.nodes[node].driver.stop();
        self.carry_out(node)?;
        self.goes_down_in_order(node)
    }

    fn goes_down_in_order(&mut self, node: usize) -> Result<(), Box<Problem>> {
        let (id, stopped) = (self.nodes[node].id, self.nodes[node].driver.stopped().is_some());
        let waiting = self.clients.waiting(id);
        if waiting > 0 || !stopped {
            let how = format!("it has stopped ({stopped}), and {waiting} requests wait");
            return Err(self.nodes[node].broken(Invariant::OneOutcome, how));
        }
        self.nodes[node].goes_down(&mut self.random);
        self.queue.put(self.now + MILLISECOND, node, Happening::Start);
        Ok(())
    }

    /// A server that is down starts.
    pub(super) fn start(&mut self, node: usize) -> Result<(), Box<Problem>> {
        if self.nodes[node].up {
            return Ok(());
        }
        self.nodes[node].starts(&self.plan, self.now)?;
        self.carry_out(node)
    }

    /// A process is stopped for a while, and goes on as if nothing had happened.
    pub(super) fn sleep(&mut self, node: usize, asleep: Time) {
        if self.nodes[node].runs() {
            self.clients.told.count("processes stopped for a while");
            self.nodes[node].asleep = Some(Vec::new());
            self.queue.put(self.now + asleep, node, Happening::GoOn);
        }
    }

    /// Timers may come first, or what was sent meanwhile.
    pub(super) fn go_on(&mut self, node: usize) -> Result<(), Box<Problem>> {
        let Some(waiting) = self.nodes[node].asleep.take() else { return Ok(()) };
        if self.random.random() {
            self.tick(node)?;
        }
        for happening in waiting {
            self.happen(node, happening)?;
        }
        if self.nodes[node].runs() {
            self.nodes[node].wakes_at = None;
            self.tick(node)?;
        }
        Ok(())
    }

    /// A clock jumps.
    pub(super) fn jump(&mut self, node: usize, microseconds: i64) -> Result<(), Box<Problem>> {
        self.clients.told.count("jumps of clocks");
        self.nodes[node].clock.jump(microseconds);
        if self.nodes[node].runs() { self.tick(node) } else { Ok(()) }
    }

    /// A client proposes the next command, with so many bytes behind its number.
    pub(super) fn propose(
        &mut self,
        node: usize,
        bytes: usize,
        patience: Option<Time>,
    ) -> Result<Ticket, Box<Problem>> {
        self.commands += 1;
        let mut command = self.commands.to_le_bytes().to_vec();
        command.resize(command.len() + bytes, 0);
        let (command, deadline) = (Bytes::from(command), self.deadline(node, patience));
        let ticket = self.clients.asks(self.nodes[node].id, Request::Command(self.commands));
        self.handle(node, Event::Propose { ticket, command, deadline })?;
        Ok(ticket)
    }

    /// A client reads. A linearizable read must see all that any server knows to be committed.
    pub(super) fn read(
        &mut self,
        node: usize,
        consistency: Consistency,
        patience: Option<Time>,
    ) -> Result<Ticket, Box<Problem>> {
        let at_least = match consistency {
            Consistency::Linearizable => self.clients.committed,
            Consistency::AtLeast(index) => index,
            Consistency::Stale => LogIndex::ZERO,
        };
        let ticket = self.clients.asks(self.nodes[node].id, Request::Read { at_least });
        let deadline = self.deadline(node, patience);
        self.handle(node, Event::Read { ticket, consistency, deadline })?;
        Ok(ticket)
    }

    pub(super) fn change(
        &mut self,
        node: usize,
        change: MembershipChange,
    ) -> Result<(), Box<Problem>> {
        let asked = Request::Change { change: change.clone(), appended: None };
        let ticket = self.clients.asks(self.nodes[node].id, asked);
        let before = self.nodes[node].driver.server().configuration_position();
        let (expected, deadline) = (None, None);
        self.handle(node, Event::ChangeMembership { ticket, change, expected, deadline })?;
        let after = self.nodes[node].driver.server().configuration_position();
        if after != before {
            self.clients.appends(ticket, after);
        }
        Ok(())
    }

    pub(super) fn transfer(&mut self, node: usize, to: ServerId) -> Result<(), Box<Problem>> {
        let ticket = self.clients.asks(self.nodes[node].id, Request::Transfer);
        self.handle(node, Event::TransferLeadership { ticket, to })
    }

    pub(super) fn take_snapshot(&mut self, node: usize) -> Result<(), Box<Problem>> {
        let ticket = self.clients.asks(self.nodes[node].id, Request::Snapshot);
        self.handle(node, Event::TakeSnapshot { ticket })
    }

    fn deadline(&self, node: usize, patience: Option<Time>) -> Option<Instant> {
        patience.map(|patience| self.shown(node).plus(Duration::from_micros(patience)))
    }
}

/// Where a server stands among the nodes.
pub(super) fn place(server: ServerId) -> Option<usize> {
    usize::try_from(server.0.checked_sub(1)?).ok()
}
