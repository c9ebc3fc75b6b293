//! A simulated cluster: servers of the implementation, each with its shadow, and the network
//! between them.

mod step;
mod view;

use super::action::{Action, Expected, SnapshotOf};
use super::clocks::Clocks;
use super::exercised::Exercised;
use super::invariants::Invariants;
use super::network::Network;
use super::parameters::Parameters;
use super::problem::{Invariant, Problem};
use super::reads::{Clients, ReadDriver};
use super::sessions::SessionClients;
use super::snapshots::SnapshotDriver;
use crate::implementation::{Implementation, config};
use crate::shadow::Shadow;
use bytes::Bytes;
use kontiki_model::actor::servers;
use kontiki_model::environment::another_configuration;
use kontiki_model::server::Write;
use kontiki_specs::trace::TraceStep;
use kontiki_specs::{Input, LogIndex, Message, ServerId};

/// A cluster to which actions are applied, one after the other. After every step of a server all
/// of it is compared with the model, and the whole cluster is checked.
#[derive(Clone, Debug)]
pub struct SimulatedCluster {
    parameters: Parameters,
    servers: Vec<SimulatedServer>,
    network: Network,
    clocks: Option<Clocks>,
    invariants: Invariants,
    clients: Clients,
    session_clients: SessionClients,
    exercised: Exercised,
    steps: u64,
    proposed: u64,
    /// The steps so far, if they are recorded.
    record: Option<Vec<TraceStep>>,
}

#[derive(Clone, Debug)]
struct SimulatedServer {
    implementation: Implementation,
    shadow: Shadow,
    driver: SnapshotDriver,
    reads: ReadDriver,
    up: bool,
}

impl SimulatedCluster {
    /// A cluster whose servers start for the first time.
    ///
    /// # Errors
    /// If a server does not start.
    pub fn new(parameters: Parameters) -> Result<SimulatedCluster, Box<Problem>> {
        let scope = parameters.scope();
        let mut all = Vec::new();
        for server in servers(&scope, None) {
            let config = config(&scope, server.id, parameters.memory);
            let implementation = Implementation::boot(config)
                .map_err(|error| does_not_start(server.id, error.to_string()))?;
            let implementation = implementation.with_disk(parameters.disk_of(server.id));
            let driver = SnapshotDriver::new(server.id, &parameters);
            let reads = ReadDriver::new(server.id, &parameters);
            let shadow = Shadow::boot(server);
            all.push(SimulatedServer { implementation, shadow, driver, reads, up: true });
        }
        Ok(SimulatedCluster {
            network: Network::new(parameters.servers),
            clocks: Clocks::new(&parameters),
            invariants: Invariants::new(&parameters),
            clients: Clients::default(),
            session_clients: SessionClients::default(),
            servers: all,
            parameters,
            exercised: Exercised::default(),
            steps: 0,
            proposed: 0,
            record: None,
        })
    }

    /// The same cluster, but its steps are recorded from now on.
    #[must_use]
    pub fn recorded(mut self) -> SimulatedCluster {
        self.record = Some(Vec::new());
        self
    }

    /// The steps that were recorded, in the order in which they were taken.
    pub fn into_record(self) -> Vec<TraceStep> {
        self.record.unwrap_or_default()
    }

    /// What the servers were told.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// How many steps servers have taken: inputs, each taken by one server.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What has happened.
    pub fn exercised(&self) -> Exercised {
        let exercised = self.exercised.with(self.invariants.memberships());
        Exercised { entries_committed: self.invariants.committed(), ..exercised }
    }

    /// The servers.
    pub fn ids(&self) -> impl Iterator<Item = ServerId> + use<> {
        (1..=self.parameters.servers).map(ServerId)
    }

    /// Lets an action happen, if it applies.
    ///
    /// # Errors
    /// What is wrong afterwards. The cluster is of no use then.
    pub fn apply(&mut self, action: &Action) -> Result<(), Box<Problem>> {
        if let Some(clocks) = &mut self.clocks {
            clocks.pass(match *action {
                Action::Wait { actions } => actions,
                _ => 1,
            });
        }
        match *action {
            Action::Wait { .. } => Ok(()),
            Action::Deliver { from, to, nth } => match self.network.take(from, to, nth) {
                Some(message) => self.deliver(from, to, nth, message),
                None => Ok(()),
            },
            Action::Duplicate { from, to, nth } => match self.network.copy(from, to, nth) {
                Some(message) => {
                    self.exercised.duplicates += 1;
                    self.deliver(from, to, nth, message)
                }
                None => Ok(()),
            },
            Action::Drop { from, to, nth } => {
                self.exercised.losses += u64::from(self.network.take(from, to, nth).is_some());
                Ok(())
            }
            Action::ElectionTimeout(server) if self.may_time_out(server) => {
                self.step(server, Input::ElectionTimeout)
            }
            Action::HeartbeatTimeout(server) => self.step(server, Input::HeartbeatTimeout),
            Action::LeaderContactExpired(server) if self.contact_may_expire(server) => {
                self.step(server, Input::LeaderContactExpired)
            }
            Action::QuorumContactExpired(server) => self.check_quorum(server),
            Action::ElectionTimeout(_) | Action::LeaderContactExpired(_) => Ok(()),
            Action::Propose { server, commands, bytes } => self.propose(server, commands, bytes),
            Action::Read { server, reads } => (0..reads).try_for_each(|_| self.read(server)),
            Action::ReadAgain { server, nth } => self.read_again(server, nth),
            Action::ChangeMembership { server, ref change, expected } => {
                let Some(one) = self.up(server) else { return Ok(()) };
                let expected = match expected {
                    Expected::Unsaid => None,
                    Expected::Right => Some(one.shadow.state().configuration_position()),
                    Expected::Wrong => Some(another_configuration(one.shadow.state())),
                };
                self.step(server, Input::ChangeMembership { change: change.clone(), expected })
            }
            Action::TransferLeadership { server, to } => {
                self.step(server, Input::TransferLeadership { to })
            }
            Action::TransferExpired(server) => self.step(server, Input::TransferExpired),
            Action::CompleteWrite(server) => {
                match self.up(server).and_then(|one| one.implementation.completion()) {
                    Some(completion) => self.step(server, completion),
                    None => Ok(()),
                }
            }
            Action::TakeSnapshot { server, of } => self.take_snapshot(server, of),
            Action::CompleteSnapshot(server) => {
                match self.up(server).and_then(|one| one.implementation.snapshot_completion()) {
                    Some(completion) => self.step(server, completion),
                    None => Ok(()),
                }
            }
            Action::DiskStalls(server) => self.step(server, Input::DiskStalled),
            Action::Crash { server, torn } => self.crash(server, torn),
            Action::Start(server) => self.start(server),
            Action::Cut { from, to } => {
                self.exercised.partitions += u64::from(self.network.cut(from, to));
                Ok(())
            }
            Action::Heal => {
                self.network.heal();
                Ok(())
            }
        }
    }

    /// All that is under way is lost.
    pub(super) fn lose_messages(&mut self) {
        self.network.lose_messages();
    }

    /// From now on links that are whole hold all that is sent.
    pub(super) fn lose_nothing(&mut self) {
        self.network.lose_nothing();
    }

    fn deliver(
        &mut self,
        from: ServerId,
        to: ServerId,
        nth: u64,
        message: Message,
    ) -> Result<(), Box<Problem>> {
        self.exercised.overtakings += u64::from(nth > 0);
        self.step(to, Input::Deliver { from, message })
    }

    fn check_quorum(&mut self, server: ServerId) -> Result<(), Box<Problem>> {
        let is_time = match (&mut self.clocks, place(server)) {
            (Some(clocks), Some(at)) => clocks.checks_quorum(at),
            _ => true,
        };
        if is_time { self.step(server, Input::QuorumContactExpired) } else { Ok(()) }
    }

    fn propose(&mut self, server: ServerId, commands: u64, bytes: u64) -> Result<(), Box<Problem>> {
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        let commands: Vec<Bytes> = (self.proposed..self.proposed.saturating_add(commands))
            .map(|number| {
                let mut command = number.to_le_bytes().to_vec();
                command.resize(command.len().saturating_add(length), 0);
                self.session_clients.next(number, Bytes::from(command))
            })
            .collect();
        self.proposed += commands.len() as u64;
        self.step(server, Input::Propose { commands })
    }

    fn read(&mut self, server: ServerId) -> Result<(), Box<Problem>> {
        let leads = self.is_leader(server);
        let Some(one) = place(server).and_then(|place| self.servers.get_mut(place)) else {
            return Ok(());
        };
        if !one.up {
            return Ok(());
        }
        let read = one.reads.asks(self.clients.begins(), leads);
        self.step(server, Input::Read { read })
    }

    fn read_again(&mut self, server: ServerId, nth: u64) -> Result<(), Box<Problem>> {
        let leads = self.is_leader(server);
        let again = self.up_mut(server).and_then(|one| one.reads.asks_again(nth, leads));
        let Some(read) = again else { return Ok(()) };
        self.exercised.reads_asked_again += 1;
        self.step(server, Input::Read { read })
    }

    fn take_snapshot(&mut self, server: ServerId, of: SnapshotOf) -> Result<(), Box<Problem>> {
        let Some((settled, _)) = self.settled(server) else { return Ok(()) };
        let index = match of {
            SnapshotOf::AllBut(entries) => LogIndex(settled.0.saturating_sub(entries)),
            SnapshotOf::TooMuch => settled.next(),
        };
        self.step(server, Input::TakeSnapshot { index })
    }

    /// The server loses what is not on its disk. It takes the step of a restart at once, and is
    /// given nothing until it is started: nobody can tell that from a restart later.
    fn crash(&mut self, server: ServerId, torn: Option<u64>) -> Result<(), Box<Problem>> {
        let one = place(server).and_then(|place| self.servers.get(place));
        let Some(one) = one.filter(|one| one.up) else { return Ok(()) };
        let writes = &one.shadow.state().writes;
        let tears = one.implementation.tears();
        let torn = torn.and_then(|torn| {
            let round = torn.checked_rem(tears.len() as u64)?;
            Some(tears.start as u64 + round)
        });
        let exercised = &mut self.exercised;
        exercised.crashes += 1;
        exercised.writes_lost += u64::from(!writes.is_empty());
        if torn.is_some() {
            match writes.first() {
                Some(Write::Chunk { .. }) => exercised.torn_chunks += 1,
                Some(Write::Install { .. }) => exercised.torn_installations += 1,
                _ => exercised.torn_writes += 1,
            }
        }
        self.step(server, Input::Restart { torn })?;
        if let Some(one) = self.up_mut(server) {
            one.up = false;
        }
        Ok(())
    }

    /// The server starts from its disk, and is what it was after the step of the restart.
    fn start(&mut self, server: ServerId) -> Result<(), Box<Problem>> {
        let Some(one) = place(server).and_then(|place| self.servers.get_mut(place)) else {
            return Ok(());
        };
        if one.up {
            return Ok(());
        }
        let raft = one.implementation.raft();
        let started = Implementation::recover(raft.config().clone(), raft.store().clone())
            .map_err(|error| does_not_start(server, error.to_string()))?
            .with_disk(self.parameters.disk_of(server));
        if started != one.implementation {
            let how = format!("{started:?} and {:?}", one.implementation);
            return Err(does_not_start(server, how));
        }
        one.implementation = started;
        one.up = true;
        if let (Some(clocks), Some(at)) = (&mut self.clocks, place(server)) {
            clocks.starts(at);
        }
        Ok(())
    }

    fn up(&self, server: ServerId) -> Option<&SimulatedServer> {
        self.servers.get(place(server)?).filter(|one| one.up)
    }

    fn up_mut(&mut self, server: ServerId) -> Option<&mut SimulatedServer> {
        self.servers.get_mut(place(server)?).filter(|one| one.up)
    }
}

fn place(server: ServerId) -> Option<usize> {
    usize::try_from(server.0.checked_sub(1)?).ok()
}

fn does_not_start(server: ServerId, how: String) -> Box<Problem> {
    Box::new(Problem::Broken { invariant: Invariant::StartFromDisk, server, how })
}
