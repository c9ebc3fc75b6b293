//! A simulated cluster: servers of the implementation, each with its shadow, and the network
//! between them.

use super::action::{Action, Expected};
use super::exercised::Exercised;
use super::invariants::Invariants;
use super::network::Network;
use super::parameters::Parameters;
use super::problem::{Invariant, Problem};
use super::taken::{Taken, heirs};
use crate::divergence::{Divergence, Occasion};
use crate::implementation::{Failure, Implementation, config};
use crate::shadow::Shadow;
use bytes::Bytes;
use kontiki_model::actor::servers;
use kontiki_model::environment::another_configuration;
use kontiki_model::server::{Role, Write};
use kontiki_specs::trace::TraceStep;
use kontiki_specs::{Configuration, Input, LogPosition, Message, Output, RoleKind, ServerId};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A cluster to which actions are applied, one after the other. After every step of a server all
/// of it is compared with the model, and the whole cluster is checked.
#[derive(Clone, Debug)]
pub struct SimulatedCluster {
    parameters: Parameters,
    servers: Vec<SimulatedServer>,
    network: Network,
    invariants: Invariants,
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
            all.push(SimulatedServer { implementation, shadow: Shadow::boot(server), up: true });
        }
        Ok(SimulatedCluster {
            network: Network::new(parameters.servers),
            invariants: Invariants::new(&parameters),
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
        match *action {
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
            Action::LeaderContactExpired(server) if self.has_leader_contact(server) => {
                self.step(server, Input::LeaderContactExpired)
            }
            Action::QuorumContactExpired(server) => self.step(server, Input::QuorumContactExpired),
            Action::ElectionTimeout(_) | Action::LeaderContactExpired(_) => Ok(()),
            Action::Propose { server, commands, bytes } => self.propose(server, commands, bytes),
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

    fn propose(&mut self, server: ServerId, commands: u64, bytes: u64) -> Result<(), Box<Problem>> {
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        let commands: Vec<Bytes> = (self.proposed..self.proposed.saturating_add(commands))
            .map(|number| {
                let mut command = number.to_le_bytes().to_vec();
                command.resize(command.len().saturating_add(length), 0);
                Bytes::from(command)
            })
            .collect();
        self.proposed += commands.len() as u64;
        self.step(server, Input::Propose { commands })
    }

    /// The server loses what is not on its disk. It takes the step of a restart at once, and is
    /// given nothing until it is started: nobody can tell that from a restart later.
    fn crash(&mut self, server: ServerId, torn: Option<u64>) -> Result<(), Box<Problem>> {
        let Some(one) = self.up(server) else { return Ok(()) };
        let writes = &one.shadow.state().writes;
        let torn = match (torn, writes.first()) {
            (Some(written), Some(Write::Entries { entries, .. })) => {
                written.checked_rem(entries.len() as u64)
            }
            _ => None,
        };
        let loses = !writes.is_empty();
        self.exercised.crashes += 1;
        self.exercised.writes_lost += u64::from(loses);
        self.exercised.torn_writes += u64::from(torn.is_some());
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
            .map_err(|error| does_not_start(server, error.to_string()))?;
        if started != one.implementation {
            let how = format!("{started:?} and {:?}", one.implementation);
            return Err(does_not_start(server, how));
        }
        one.implementation = started;
        one.up = true;
        Ok(())
    }

    /// One server takes one input, if it is up, and everything is compared and checked.
    fn step(&mut self, server: ServerId, input: Input) -> Result<(), Box<Problem>> {
        let Some(at) = place(server) else { return Ok(()) };
        let Some(one) = self.servers.get_mut(at).filter(|one| one.up) else { return Ok(()) };
        self.steps += 1;
        let raft = one.implementation.raft();
        let (role, transfers_to) = (raft.role(), raft.transfers_to());
        let heirs = heirs(raft);
        let was_told = matches!(one.shadow.state().role, Role::Candidate { transfer: true, .. });
        let reaction = one.react(server, &input)?;
        if let Some(record) = &mut self.record {
            record.extend(one.recorded(server, &input, &reaction));
        }
        if let Err(difference) = one.shadow.follow(&input, &reaction, &one.implementation) {
            return Err(Box::new(Problem::Divergence(Box::new(Divergence {
                server,
                path: Vec::new(),
                at: Occasion::Input(input),
                expected: difference.expected,
                found: difference.found,
            }))));
        }
        let outputs = match reaction {
            Ok(outputs) => outputs,
            Err(failure) => {
                let invariant = Invariant::HonestMessages;
                let how = format!("{server} {input}, and {failure}");
                return Err(Box::new(Problem::Broken { invariant, server, how }));
            }
        };
        let taken = Taken {
            place: at,
            role,
            transfers_to,
            heirs: &heirs,
            was_told,
            input: &input,
            outputs: &outputs,
        };
        self.exercised.note(&taken, one.implementation.raft());
        for output in &outputs {
            if let Output::WriteEntries { first_index, .. } = output {
                let truncates = self.invariants.would_truncate(at, *first_index);
                self.exercised.truncations += u64::from(truncates);
            }
        }
        let all = &self.servers;
        self.invariants.check(&taken, |at| all.get(at).map(|one| &one.implementation))?;
        for output in outputs {
            if let Output::Send { to, message } = output {
                self.network.send(server, to, message);
            }
        }
        Ok(())
    }

    fn up(&self, server: ServerId) -> Option<&SimulatedServer> {
        self.servers.get(place(server)?).filter(|one| one.up)
    }

    fn up_mut(&mut self, server: ServerId) -> Option<&mut SimulatedServer> {
        self.servers.get_mut(place(server)?).filter(|one| one.up)
    }

    /// Whether a server is up.
    pub fn is_up(&self, server: ServerId) -> bool {
        self.up(server).is_some()
    }

    /// Whether a server is up and leads.
    pub fn is_leader(&self, server: ServerId) -> bool {
        self.up(server).is_some_and(|one| one.implementation.raft().role() == RoleKind::Leader)
    }

    /// The configuration in force at a server that is up.
    pub fn configuration(&self, server: ServerId) -> Option<&Configuration> {
        self.up(server).map(|one| one.implementation.raft().configuration())
    }

    /// Whether a server is up, leads, and is handing over.
    pub fn is_handing_over(&self, server: ServerId) -> bool {
        self.up(server).is_some_and(|one| one.implementation.raft().transfers_to().is_some())
    }

    /// Whether a server is up, leads, and has no change of membership under way, nor entries that
    /// are not committed.
    pub fn has_finished(&self, server: ServerId) -> bool {
        self.up(server).map(|one| one.implementation.raft()).is_some_and(|raft| {
            raft.role() == RoleKind::Leader
                && raft.commit_index() == raft.last_index()
                && raft.configuration().outgoing.is_empty()
        })
    }

    /// Whether a server may have to seek election (M4), by what its log says.
    pub(super) fn may_seek(&self, server: ServerId) -> bool {
        let one = place(server).and_then(|at| self.servers.get(at).zip(Some(at)));
        one.is_some_and(|(one, at)| {
            self.invariants.memberships().may_seek(at, one.implementation.raft().commit_index())
        })
    }

    /// Where the log of a server ends, whether it is up or not.
    pub(super) fn last(&self, server: ServerId) -> LogPosition {
        place(server).map(|at| self.invariants.last(at)).unwrap_or_default()
    }

    /// Whether these servers are a quorum of the configuration of one.
    pub(super) fn is_quorum_of(&self, server: ServerId, servers: &[ServerId]) -> bool {
        let memberships = self.invariants.memberships();
        let known = place(server).and_then(|at| memberships.in_force(at));
        known.is_some_and(|known| known.is_quorum(servers))
    }

    /// Whether a server is up and a follower in contact with its leader.
    pub fn has_leader_contact(&self, server: ServerId) -> bool {
        self.up(server).is_some_and(|one| one.implementation.raft().has_leader_contact())
    }

    /// Whether time allows an election timeout: the server is up, does not lead, and is not in
    /// contact with a leader (rule E8).
    pub fn may_time_out(&self, server: ServerId) -> bool {
        self.is_up(server) && !self.is_leader(server) && !self.has_leader_contact(server)
    }

    /// Whether a server is up and has writes outstanding.
    pub fn is_writing(&self, server: ServerId) -> bool {
        self.up(server).is_some_and(|one| !one.shadow.state().writes.is_empty())
    }

    /// How many entries the oldest outstanding write of a server has, if it is of entries.
    pub fn entries_being_written(&self, server: ServerId) -> Option<u64> {
        match self.up(server)?.shadow.state().writes.first()? {
            Write::Entries { entries, .. } => Some(entries.len() as u64),
            Write::HardState { .. } => None,
        }
    }

    /// The links that messages can be taken from, with how many are under way on each.
    pub fn loaded_links(&self) -> impl Iterator<Item = (ServerId, ServerId, u64)> {
        self.network.loaded()
    }

    /// The leader of the latest term that has one, if that is up.
    pub fn leader(&self) -> Option<ServerId> {
        let leaders = self.ids().filter(|server| self.is_leader(*server));
        leaders.max_by_key(|server| {
            self.up(*server).map(|one| one.implementation.raft().term()).unwrap_or_default()
        })
    }

    /// How many entries were committed in all.
    pub fn committed(&self) -> u64 {
        self.invariants.committed()
    }

    /// Whether a leader and the members of its configuration that are up have the same log and
    /// have applied all of it.
    pub fn is_at_one_end(&self, leader: ServerId) -> bool {
        let Some(Configuration { voters, outgoing, learners }) = self.configuration(leader) else {
            return false;
        };
        let is_in = |id: &ServerId| [voters, outgoing, learners].iter().any(|of| of.contains(id));
        let up: Vec<ServerId> = self.ids().filter(|id| self.is_up(*id)).collect();
        let members = up.into_iter().filter(|id| is_in(id));
        self.invariants.at_one_end(members.filter_map(place).collect::<Vec<_>>().into_iter())
    }
}

impl SimulatedServer {
    /// The implementation's reaction. It is never to panic; if it does, that is found like
    /// anything else.
    fn react(
        &mut self,
        server: ServerId,
        input: &Input,
    ) -> Result<Result<Vec<Output>, Failure>, Box<Problem>> {
        let implementation = &mut self.implementation;
        catch_unwind(AssertUnwindSafe(|| implementation.step(input))).map_err(|panic| {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
            let said = said.unwrap_or("nothing that can be read").to_string();
            Box::new(Problem::Panicked { server, input: Box::new(input.clone()), said })
        })
    }

    /// The step as it goes into a trace. An input that was turned away puts out nothing.
    fn recorded(
        &self,
        server: ServerId,
        input: &Input,
        reaction: &Result<Vec<Output>, Failure>,
    ) -> Option<TraceStep> {
        Some(TraceStep {
            server,
            from: None,
            input: input.clone(),
            outputs: reaction.clone().unwrap_or_default(),
            observation: self.implementation.observe().ok()?,
        })
    }
}

fn place(server: ServerId) -> Option<usize> {
    usize::try_from(server.0.checked_sub(1)?).ok()
}

fn does_not_start(server: ServerId, how: String) -> Box<Problem> {
    Box::new(Problem::Broken { invariant: Invariant::StartFromDisk, server, how })
}
