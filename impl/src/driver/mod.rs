//! The driver: what a server needs around it, without IO.
//!
//! [`crate::core::Raft`] takes inputs and says what is to be done. A [`Driver`] owns one, decides when it
//! is given which input, and keeps account of all that waits. It is told of time, and draws random
//! timeouts from a seed. So one seed and one sequence of events make one run.
//!
//! What is left for the *shell*, which owns sockets, files and threads, is a loop:
//!
//! 1. Tell the driver what has happened, as much as there is: [`Driver::handle`].
//! 2. Carry out all [`Driver::effects`]. This ends a burst. Commands and reads of one burst are taken
//!    together, and what is to be written goes to the disk in one group.
//! 3. Wait for the next event, or until [`Driver::next_deadline`]; then [`Driver::tick`].
//!
//! What a driver looks after:
//!
//! * *Timers*: election timeouts, leader contact, heartbeats, quorum checks, transfers, and a disk that
//!   stalls. The shell may be late, and its process may be stopped and go on.
//! * *The disk*: writes go to it in order, in groups, one group at a time. While a group is under way
//!   the next one gathers.
//! * *The state machine*: what it is handed is bounded and in order. A snapshot to restore it from is on
//!   disk when it is asked to.
//! * *Clients*: every [`Ticket`] gets one [`Outcome`]: done, certainly not done, or not known.
//! * *Reads*: linearizable ones, of one burst with one question, asked again until answered; session
//!   reads and stale reads.
//! * *Snapshots*: one at a time, when one is due or an operator asks. One that is due is put off for a
//!   follower that catches up.
//! * *Operators*: [`Status`], [`Notice`]s.
//!
//! If the store, the disk or the state machine fails, the driver stops for good: all who wait are told
//! what can be said, and nothing more is put out. To go on, start another driver over the same disk, with
//! a larger incarnation, when no write of the old one can happen any more.
//!
//! # Example
//!
//! A cluster of one server, with a disk in memory and a state machine that prints.
//!
//! ```
//! use kontiki::core::Config;
//! use kontiki::driver::{Driver, DriverConfig, Effect, Event, Instant, Ticket};
//! use kontiki::storage::MemoryStore;
//! use kontiki::ServerId;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut raft = Config::new(ServerId(1), [ServerId(1)]);
//! raft.incarnation = 1; // Count the starts of the server, on disk.
//! let config = DriverConfig::new(raft, 7);
//! let mut driver = Driver::start(config, MemoryStore::new(), Instant::ORIGIN)?;
//!
//! let mut now = driver.next_deadline().ok_or("no timer is set")?;
//! driver.tick(now); // The election timeout.
//! let mut proposed = false;
//! let mut outcomes = Vec::new();
//! loop {
//!     let mut events = Vec::new();
//!     for effect in driver.effects().collect::<Vec<_>>() {
//!         match effect {
//!             Effect::Write(group) => {
//!                 group.writes.iter().for_each(|write| driver.store_mut().write(write));
//!                 events.push(Event::Written { group: group.number });
//!             }
//!             Effect::Apply { entries } => {
//!                 entries.iter().for_each(|entry| println!("{entry}"));
//!                 events.extend(entries.last_index().map(|index| Event::Executed { index }));
//!             }
//!             Effect::Answer { ticket, outcome } => outcomes.push((ticket, outcome)),
//!             _ => {}
//!         }
//!     }
//!     if events.is_empty() && !proposed {
//!         let (ticket, command) = (Ticket(1), b"x = 1".as_slice().into());
//!         events.push(Event::Propose { ticket, command, deadline: None });
//!         proposed = true;
//!     }
//!     if events.is_empty() {
//!         break;
//!     }
//!     now = now.plus(std::time::Duration::from_millis(1));
//!     events.into_iter().for_each(|event| driver.handle(event, now));
//! }
//! println!("{outcomes:?}");
//! # assert_eq!(outcomes.len(), 1);
//! # Ok(())
//! # }
//! ```

mod clients;
mod clock;
mod config;
mod disk;
mod effect;
mod event;
mod lagging;
mod leases;
mod machine;
mod members;
mod observer;
mod outcome;
mod random;
mod reads;
mod snapshots;
mod status;
mod step;
mod stopping;
mod timers;
mod timings;

pub use clock::Instant;
pub use config::{
    DriverConfig, DriverConfigError, DriverLimits, DriverStartError, MAX_INCARNATIONS, StopCause,
};
pub use effect::{ChunkRequest, Effect, Notice, WriteGroup};
pub use event::{Consistency, Event};
pub use observer::Observer;
pub use outcome::{Doubt, Outcome, Reason, Ticket};
pub use status::{Counters, FollowerStatus, Status};
pub use timings::{Timings, TimingsError};

use crate::core::{Outputs, Raft};
use crate::storage::LogStore;
use clients::{Clients, Pending};
use disk::Disk;
use kontiki_specs::{Input, LogIndex, RoleKind};
use leases::Rounds;
use machine::Machine;
use random::Random;
use reads::Reads;
use snapshots::Snapshots;
use std::collections::VecDeque;
use timers::{Timer, Timers};

/// A server with all that it needs around it but IO. See the [module](self).
#[derive(Debug)]
pub struct Driver<S, O = ()> {
    raft: Raft<S>,
    config: DriverConfig,
    observer: O,
    /// The latest moment that the driver was told of.
    now: Instant,
    timers: Timers,
    rounds: Rounds,
    disk: Disk,
    machine: Machine,
    clients: Clients,
    reads: Reads,
    snapshots: Snapshots,
    /// Who waits for the transfer that is under way.
    transfer: Option<Ticket>,
    /// Who asks for the step that is being taken.
    asking: Option<Asking>,
    /// What the followers may have been told of commits by the last heartbeat.
    announced: LogIndex,
    counters: Counters,
    closed: bool,
    stopped: Option<StopCause>,
    outputs: Outputs,
    effects: VecDeque<Effect>,
}

/// Who asks for a step. The server appends, begins or refuses in that very step.
#[derive(Debug)]
enum Asking {
    Commands { batch: Vec<Pending> },
    Change { ticket: Ticket, joint: bool, deadline: Instant },
    Transfer { ticket: Ticket },
    Snapshot { asked_by: Vec<Ticket>, index: LogIndex },
}

impl<S: LogStore> Driver<S> {
    /// Starts a server with what its store holds. The state machine has to be in the state of the
    /// snapshot that is there, or in its first state without one: no [`Effect::Restore`] comes for it.
    ///
    /// # Errors
    /// If the configuration is impossible, or the store cannot be read or is corrupt.
    pub fn start(config: DriverConfig, store: S, now: Instant) -> Result<Self, DriverStartError> {
        Driver::observed(config, store, now, |_| ())
    }
}

impl<S: LogStore, O: Observer<S>> Driver<S, O> {
    /// As [`Driver::start`], with an observer, which is made when the server has started and has taken
    /// no step.
    ///
    /// # Errors
    /// As [`Driver::start`].
    pub fn observed(
        config: DriverConfig,
        store: S,
        now: Instant,
        observer: impl FnOnce(&Raft<S>) -> O,
    ) -> Result<Self, DriverStartError> {
        config.check()?;
        let raft = Raft::start(config.raft.clone(), store)?;
        let incarnation = config.raft.incarnation;
        let random = Random::new(config.seed, raft.id().0, incarnation);
        let mut timers = Timers::new(&config.timings, random);
        timers.reset_election(config.raft.leases, now); // E1, C4
        Ok(Driver {
            observer: observer(&raft),
            machine: Machine::new(raft.applied_index()),
            reads: Reads::new(incarnation),
            announced: raft.commit_index(),
            raft,
            config,
            now,
            timers,
            rounds: Rounds::default(),
            disk: Disk::default(),
            clients: Clients::default(),
            snapshots: Snapshots::default(),
            transfer: None,
            asking: None,
            counters: Counters::default(),
            closed: false,
            stopped: None,
            outputs: Outputs::new(),
            effects: VecDeque::new(),
        })
    }

    /// Something has happened. `now` is read from the clock after that: leases depend on it (rule C4).
    /// Timers whose time has come fire afterwards: what is heard at the last moment is heard.
    pub fn handle(&mut self, event: Event, now: Instant) {
        self.pass(now);
        self.take(event);
        self.fire();
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        self.pass(now);
        self.fire();
    }

    /// When [`Driver::tick`] is due. The shell may be late. Ask anew after every burst.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.stopped.is_some() {
            return None;
        }
        let deadlines =
            [self.timers.next(), self.clients.next_deadline(), self.reads.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Ends a burst: what has gathered is handed on, and all effects since the last call come out, to be
    /// carried out in order. Those that are not taken out of the iterator are lost.
    pub fn effects(&mut self) -> impl Iterator<Item = Effect> + '_ {
        if self.stopped.is_none() {
            self.begin_snapshot();
            self.propose_pending();
            self.ask_for_reads();
        }
        if self.stopped.is_none() {
            self.begin_writes();
            self.announce_commit();
        }
        self.effects.drain(..)
    }

    /// How many requests wait for their outcome.
    pub fn waiting(&self) -> u64 {
        let transfer = u64::from(self.transfer.is_some());
        self.clients.waiting() + self.reads.waiting() + self.snapshots.waiting() + transfer
    }

    /// The server.
    pub fn server(&self) -> &Raft<S> {
        &self.raft
    }

    /// The store, for the shell to write to.
    pub fn store_mut(&mut self) -> &mut S {
        self.raft.store_mut()
    }

    /// Whoever sees every step.
    pub fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    /// What the driver was started with.
    pub fn config(&self) -> &DriverConfig {
        &self.config
    }

    /// Ends the driver and gives its store back. Whoever waits is told nothing: [`Driver::stop`] comes
    /// before.
    pub fn into_store(self) -> S {
        self.raft.into_store()
    }

    /// Time never goes back. What must have ended by now, before anything else happens, ends here.
    fn pass(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.expire_leases();
    }

    fn take(&mut self, event: Event) {
        let wait = self.now.plus(self.config.timings.request_timeout);
        match event {
            Event::Propose { ticket, command, deadline } => {
                self.propose(ticket, command, deadline.unwrap_or(wait));
            }
            Event::Read { ticket, consistency, deadline } => {
                self.read(ticket, consistency, deadline.unwrap_or(wait));
            }
            Event::ChangeMembership { ticket, change, expected, deadline } => {
                self.change_membership(ticket, change, expected, deadline.unwrap_or(wait));
            }
            Event::TransferLeadership { ticket, to } => self.transfer_leadership(ticket, to),
            Event::TakeSnapshot { ticket } => self.take_snapshot(ticket),
            _ if self.stopped.is_some() => {} // It comes too late.
            Event::Received { from, message } => {
                self.counters.received += 1;
                self.step(Input::Deliver { from, message });
            }
            Event::Written { group } => self.written(group),
            Event::DiskFailed { how } => self.disk_failed(how),
            Event::Executed { index } => self.executed(index),
            Event::StateMachineFailed { how } => self.stop_for(StopCause::StateMachine(how)),
            Event::SnapshotTaken { snapshot, size } => self.snapshot_ended(snapshot, Some(size)),
            Event::SnapshotFailed { snapshot } => self.snapshot_ended(snapshot, None),
        }
    }

    /// Fires the timers whose time has come, and tells those whose deadline has passed.
    fn fire(&mut self) {
        while self.stopped.is_none()
            && let Some(timer) = self.timers.take_due(self.now)
        {
            match timer {
                Timer::Election => self.counters.election_timeouts += 1,
                Timer::Heartbeat => self.announced = self.raft.commit_index(),
                Timer::DiskStalled => self.disk_stalled(),
                Timer::LeaderContact | Timer::QuorumContact | Timer::Transfer => {}
            }
            self.step(timer.input());
        }
        if self.stopped.is_none() {
            self.expire_commands();
            self.expire_reads();
        }
    }

    /// L12: followers learn of a commit with the next message. If nothing more is on its way to them, a
    /// heartbeat comes before its time: reads at followers wait for it.
    fn announce_commit(&mut self) {
        let commit_index = self.raft.commit_index();
        let leads = self.raft.role() == RoleKind::Leader;
        if leads && commit_index > self.announced && commit_index == self.raft.last_index() {
            let latest = self.now.plus(self.config.timings.announce_commit);
            self.timers.hasten(Timer::Heartbeat, latest);
        }
    }
}
