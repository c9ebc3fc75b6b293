//! What the scope lets happen to a server besides messages: timers, clients, the disk, crashes.
//!
//! Time never enters a server. What time guarantees is a limit on what may happen when, and those
//! limits are here: an election timeout is longer than the minimum one, so it cannot come while
//! leader contact lasts (E8). What else a follower's contact has to outlast is a matter of the whole
//! cluster (C4, `cluster::promises`).

use crate::server::{RaftServer, Role, ServerState};
use bytes::Bytes;
use kontiki_specs::scope::{Disk, Scope};
use kontiki_specs::{
    Entry, Input, LogIndex, LogPosition, MembershipChange, Message, Output, Payload, ReadId,
    ServerId, SessionCommand, SessionId, Term, WaitingRead,
};
use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

/// The command that clients propose.
const SHORT: &[u8] = b"command";
/// The other one, where there are two sizes. Its entry counts for as much as two of the short one
/// (rule L9): so sums of either meet a limit to the byte.
const LONG: &[u8] = b"as long as two entries of such command";

/// The bounds of a scope, as far as they concern one server.
#[derive(Clone, Debug)]
pub struct Environment {
    /// No election starts in this term or a later one.
    pub last_term: Term,
    /// No command is proposed to a leader whose log is this long, and no step is taken that would
    /// make a log longer.
    pub log_limit: LogIndex,
    /// No server has more writes outstanding. Without a broken rule none comes to as many: in a
    /// term it writes its term, its vote and each entry once. With one it may do so without end.
    pub write_limit: u64,
    /// Whether a server may crash at all. How often is counted for the cluster.
    pub may_restart: bool,
    /// Whether drivers may say that a disk makes no progress.
    pub disk_stalls: bool,
    /// Whether a write is complete in the step that issues it.
    pub synchronous_disk: bool,
    /// Whether heartbeats are ever due. The network loses nothing for good, so that entries arrive
    /// without them; but followers hear of commits, and are in contact, by messages with entries only.
    pub heartbeats: bool,
    /// Whether clients propose commands of two sizes, so that limits in bytes cut messages in
    /// different places.
    pub two_sizes: bool,
    /// What operators may ask for, each once in the list. How often is counted for the cluster.
    pub changes: Arc<[MembershipChange]>,
    /// Whether owners may ask for snapshots. How often is counted for the cluster.
    pub snapshots: bool,
    /// Whether a snapshot that is being taken may fail.
    pub snapshot_failures: bool,
    /// In how many chunks a snapshot is sent.
    pub chunks: u64,
    /// Whether clients may ask leaders for reads. How often is counted for the cluster.
    pub leader_reads: bool,
    /// How many reads clients ask other servers for. The cluster hands out their numbers.
    pub follower_reads: u64,
    /// No leader begins more rounds of questions in a term: as many as there are reads, and one more where
    /// heartbeats begin some for a lease. Only a question that comes again when it has been answered asks
    /// for more.
    pub read_rounds: u64,
    /// Whether leaders may have leases.
    pub leases: bool,
    /// What clients do with sessions, where there are any (rule C2).
    pub sessions: Option<ClientSessions>,
    /// Whether state machines are handed so much at a time only, and so say when they have executed
    /// it. Those that are handed everything need not.
    pub executes: bool,
    /// Whether operators may ask for transfers of leadership, and to whom: any server. How often
    /// is counted for the cluster.
    pub may_transfer_to: Arc<[ServerId]>,
}

/// What clients do with sessions (rule C2).
#[derive(Clone, Copy, Debug)]
pub struct ClientSessions {
    /// How many they open, as far as a leader's log tells.
    pub sessions: u64,
    /// How many sequence numbers they use in each.
    pub commands: u64,
    /// How many may be open.
    pub most_sessions: NonZeroU64,
    /// How many answers may be remembered for one.
    pub most_answers: NonZeroU64,
    /// Whether they end sessions.
    pub ends: bool,
}

/// What one event made of a server: its new state, and every step on the way. There is more than
/// one step only where the disk is synchronous.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The steps: what happened, what the server put out, and its state afterwards.
    pub steps: Vec<(Input, Vec<Output>, ServerState)>,
}

impl Turn {
    /// The state at the end.
    pub fn after(&self) -> &ServerState {
        &self.steps[self.steps.len() - 1].2
    }

    /// Everything put out on the way, each with the state after the step.
    pub fn outputs_after(&self) -> impl Iterator<Item = (&Output, &ServerState)> {
        let steps = self.steps.iter();
        steps.flat_map(|(_, outputs, after)| outputs.iter().map(move |output| (output, after)))
    }

    /// Everything put out on the way.
    pub fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.steps.iter().flat_map(|(_, outputs, _)| outputs)
    }
}

/// A configuration that an operator may have seen elsewhere and takes for the one in force: at the
/// same index, but of another term, if there can be one; otherwise the next.
pub fn another_configuration(state: &ServerState) -> LogPosition {
    let LogPosition { index, term } = state.configuration_position();
    let earlier = Term(term.0.saturating_sub(1));
    if earlier > Term::ZERO {
        LogPosition { index, term: earlier }
    } else if index > LogIndex::ZERO && term < state.term {
        LogPosition { index, term: term.next() }
    } else {
        LogPosition { index: index.next(), term: state.term }
    }
}

impl Environment {
    /// The environment that a scope describes.
    pub fn of(scope: &Scope) -> Self {
        let servers = if scope.transfers > 0 { scope.servers } else { 0 };
        Environment {
            changes: scope.changes.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
            heartbeats: scope.heartbeats,
            may_transfer_to: (1..=servers).map(ServerId).collect(),
            last_term: Term(scope.terms),
            log_limit: LogIndex(scope.log),
            write_limit: scope.terms * (2 + scope.log),
            two_sizes: scope.batch_bytes.is_some() || scope.window_bytes.is_some(),
            may_restart: scope.restarts > 0,
            snapshots: scope.snapshots > 0,
            leader_reads: scope.reads > 0,
            follower_reads: scope.follower_reads,
            read_rounds: scope.reads
                + scope.follower_reads
                + u64::from(scope.leases && scope.heartbeats),
            leases: scope.leases,
            sessions: ClientSessions::of(scope),
            snapshot_failures: scope.snapshot_failures,
            chunks: scope.chunks,
            executes: scope.apply_bytes.is_some(),
            disk_stalls: scope.disk_stalls,
            synchronous_disk: scope.disk == Disk::Synchronous,
        }
    }

    /// What may happen to a server in this state, messages apart. Whether it is leader or voter
    /// is for the rules to look at: what they make nothing of costs nothing.
    pub fn events(&self, server: &RaftServer, state: &ServerState) -> Vec<Input> {
        let mut events = Vec::new();
        events.extend(state.completion());
        if let Some(earlier) = state.incarnation.checked_sub(1) {
            // One that comes late, of a write that was lost.
            events.extend(state.writes.first().map(|write| write.completion(earlier)));
        }
        events.extend(executed(state).filter(|_| self.executes));
        events.extend(snapshot_completion(state));
        if self.snapshot_failures
            && let Some(taking) = &state.taking
        {
            let (incarnation, last) = (state.incarnation, taking.about.id.last);
            events.push(Input::SnapshotFailed { incarnation, last });
        }
        if self.snapshots && state.taking.is_none() {
            let settled = state.settled();
            // The state machine may lag by an entry, or be asked for one too many.
            let indexes = [settled.previous(), settled, settled.next()];
            let indexes = indexes.into_iter().filter(|index| *index > state.covered().index);
            events.extend(indexes.map(|index| Input::TakeSnapshot { index }));
        }
        if self.disk_stalls && !state.writes.is_empty() && !state.disk_stalls {
            events.push(Input::DiskStalled);
        }
        if matches!(state.role, Role::Follower { leader_contact: true, .. }) {
            events.push(Input::LeaderContactExpired);
        } else if state.term < self.last_term {
            events.push(Input::ElectionTimeout);
        }
        if self.heartbeats {
            events.push(Input::HeartbeatTimeout);
        }
        if server.options.check_quorum || server.options.catch_up_rounds > 0 {
            events.push(Input::QuorumContactExpired);
        }
        if let Role::Leader { transfer, .. } = state.role {
            events.extend(transfer.map(|_| Input::TransferExpired));
            let transfers = self.may_transfer_to.iter();
            events.extend(transfers.map(|to| Input::TransferLeadership { to: *to }));
        }
        events.extend(self.reads(state));
        events.extend(self.leases_expire(state));
        let room = self.log_limit.0.saturating_sub(state.log.last_index().0);
        match self.sessions {
            None => events.extend(self.proposals(room.min(server.options.batch))),
            Some(clients) if room > 0 => events.extend(clients.proposals(state)),
            Some(_) => {}
        }
        if room > 0 && state.is_leader() {
            for expected in [None, Some(another_configuration(state))] {
                events.extend(
                    self.changes
                        .iter()
                        .map(|change| Input::ChangeMembership { change: change.clone(), expected }),
                );
            }
        }
        if self.may_restart {
            events.push(Input::Restart { torn: None });
            let tears = state.writes.first().map_or(0..0, |write| write.tears(&state.disk));
            events.extend(tears.map(|written| Input::Restart { torn: Some(written) }));
        }
        events
    }

    /// What clients may ask to read. C3: a leader's clients all use the same number, since that makes no
    /// difference; C5: of those of other servers each has its own, and the driver may ask again.
    fn reads(&self, state: &ServerState) -> impl Iterator<Item = Input> {
        let waits = |read: ReadId| match &state.role {
            Role::Leader { reads, .. } => {
                let own = WaitingRead { read, asked_by: None };
                reads.waiting.contains(&own) || reads.next.contains(&own)
            }
            _ => false,
        };
        let of_leader = (self.leader_reads && state.is_leader()).then_some(ReadId(0));
        let of_others = (1..=self.follower_reads).map(ReadId).filter(move |read| !waits(*read));
        of_leader.into_iter().chain(of_others).map(|read| Input::Read { read })
    }

    /// C4: the time of any round may be up, whether it has given a lease or not.
    fn leases_expire(&self, state: &ServerState) -> impl Iterator<Item = Input> {
        let (over, round) = match &state.role {
            Role::Leader { reads, .. } if self.leases => (reads.lease.over, reads.round),
            _ => (0, 0),
        };
        (over + 1..=round).map(|round| Input::LeaseExpired { round })
    }

    /// What clients may propose to a leader that has room for so many commands: one or two at a
    /// time.
    fn proposals(&self, most: u64) -> impl Iterator<Item = Input> {
        let (short, long) = (Bytes::from_static(SHORT), Bytes::from_static(LONG));
        let all = match self.two_sizes {
            false => vec![vec![short.clone()], vec![short.clone(), short]],
            true => vec![vec![short.clone()], vec![long.clone()], vec![short, long]],
        };
        let fits = move |commands: &Vec<Bytes>| commands.len() as u64 <= most;
        all.into_iter().filter(fits).map(|commands| Input::Propose { commands })
    }

    /// Lets an input happen to a server; with a synchronous disk, also the completion of every
    /// write that comes of it.
    pub fn happen(&self, server: &RaftServer, state: &ServerState, input: Input) -> Turn {
        let (after, outputs) = server.step(state, &input);
        let mut turn = Turn { steps: vec![(input, outputs, after)] };
        while self.synchronous_disk
            && let Some(input) =
                turn.after().completion().or_else(|| snapshot_completion(turn.after()))
        {
            let (after, outputs) = server.step(turn.after(), &input);
            turn.steps.push((input, outputs, after));
        }
        turn
    }

    /// The message that an output asks for, if it does, of a server that is in this state then. A
    /// chunk is filled in by the server's driver.
    pub fn message(&self, sender: &ServerState, output: &Output) -> Option<(ServerId, Message)> {
        message(sender, output, self.chunks)
    }

    /// Whether a state lies within the bounds.
    pub fn contains(&self, state: &ServerState) -> bool {
        state.term <= self.last_term
            && state.log.last_index() <= self.log_limit
            && state.writes.len() as u64 <= self.write_limit
            && !matches!(&state.role, Role::Leader { reads, .. } if reads.round > self.read_rounds)
    }
}

impl ClientSessions {
    fn of(scope: &Scope) -> Option<Self> {
        Some(ClientSessions {
            sessions: scope.sessions,
            commands: scope.session_commands,
            most_sessions: NonZeroU64::new(scope.most_sessions)?,
            most_answers: NonZeroU64::new(scope.most_answers)?,
            ends: scope.session_ends,
        })
        .filter(|clients| clients.sessions > 0)
    }

    /// What clients may propose to a leader: all that a client may say, whatever it was answered before,
    /// in each session that the leader's log knows to have been opened. Each command may come any number
    /// of times and in any order. A client that says that it does not wait for an answer which it does
    /// not have only deceives itself.
    fn proposals(self, leader: &ServerState) -> Vec<Input> {
        if !leader.is_leader() {
            return Vec::new();
        }
        let ClientSessions { most_sessions, most_answers, .. } = self;
        let opened: Vec<SessionId> = leader.log.entries().iter().filter_map(opens).collect();
        let mut commands = Vec::new();
        if (opened.len() as u64) < self.sessions {
            commands.push(SessionCommand::Open { most_sessions, most_answers });
        }
        for session in opened {
            for sequence in (1..=self.commands).filter_map(NonZeroU64::new) {
                commands.extend((1..=sequence.get()).map(|answered_below| {
                    let command = Bytes::new();
                    SessionCommand::InSession { session, sequence, answered_below, command }
                }));
            }
            commands.extend(self.ends.then_some(SessionCommand::End { session }));
        }
        let propose = |command: SessionCommand| Input::Propose { commands: vec![command.encode()] };
        commands.into_iter().map(propose).collect()
    }
}

/// The session that an entry opens, if it opens one.
fn opens(entry: &Entry) -> Option<SessionId> {
    let Payload::Command(bytes) = &entry.payload else { return None };
    let opens = matches!(SessionCommand::decode(bytes), Ok(SessionCommand::Open { .. }));
    opens.then_some(SessionId(entry.index))
}

/// The input that says that the state machine has executed all that it was handed, if anything is
/// left to say.
pub fn executed(state: &ServerState) -> Option<Input> {
    (state.unexecuted_bytes > 0).then_some(Input::Executed { index: state.applied_index })
}

/// The input that says that the snapshot that is being taken is on disk.
pub fn snapshot_completion(state: &ServerState) -> Option<Input> {
    let taking = state.taking.as_ref()?;
    let last = taking.about.id.last;
    let size = taking.size(state.log.up_to(last.index));
    Some(Input::SnapshotTaken { incarnation: state.incarnation, last, size })
}

/// The message that an output asks for, if it does, where snapshots are sent in so many chunks.
pub fn message(sender: &ServerState, output: &Output, chunks: u64) -> Option<(ServerId, Message)> {
    match output {
        Output::Send { to, message } => Some((*to, message.clone())),
        Output::SendChunk { to, term, snapshot, offset } => {
            let own = sender.snapshot.as_ref().filter(|own| own.about.id == snapshot.id)?;
            let (term, snapshot, offset) = (*term, snapshot.clone(), *offset);
            let data = own.chunk(offset, chunks);
            Some((*to, Message::InstallSnapshot { term, snapshot, offset, data }))
        }
        _ => None,
    }
}
