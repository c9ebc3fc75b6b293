//! Stand-ins for every state that the receiver of a message can come to (`fates` says what for).
//!
//! Terms only grow (back to the disk's, where crashes are left), and within a term the log of a
//! follower only grows, the votes of a candidate only grow, match indexes only grow.
//!
//! Configurations come and go within a term. Where a scope has changes of membership, each stand-in
//! stands in a second time with everybody as a voter, which is where most makes a difference; and
//! a leader that may take a server in again may come to know nothing of it again.

use super::tables::Tables;
use crate::server::{Disk, Log, ReceivedPart, Role, ServerState, StoredSnapshot};
use bytes::Bytes;
use kontiki_specs::scope::Scope;
use kontiki_specs::{
    Configuration, Entry, FollowerProgress, Input, LogIndex, LogPosition, MembershipChange,
    Message, Payload, ReadId, ReplicationMode, ServerId, Snapshot, SnapshotId, Term, WaitingReads,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Builds the stand-ins for what a receiver may become.
pub(super) struct StandIns<'a> {
    tables: &'a Tables,
    /// The servers that changes of membership may take out and in again.
    returning: &'a BTreeSet<ServerId>,
    from: ServerId,
    message: &'a Message,
    /// Whether the configuration is one with everybody in it.
    everybody: bool,
}

impl<'a> StandIns<'a> {
    /// For the receiver of a message.
    pub(super) fn new(
        tables: &'a Tables,
        returning: &'a BTreeSet<ServerId>,
        from: ServerId,
        message: &'a Message,
    ) -> Self {
        StandIns { tables, returning, from, message, everybody: false }
    }

    /// As the configuration is, and with everybody in it.
    pub(super) fn of_all(&self, state: &ServerState, crashes: bool) -> Vec<ServerState> {
        let mut all = self.of(state, crashes);
        if !self.tables.environment.changes.is_empty() {
            let as_if_joined = self.with_everybody(state);
            all.push(as_if_joined.clone());
            all.extend(StandIns { everybody: true, ..*self }.of(&as_if_joined, crashes));
        }
        all
    }

    fn with_everybody(&self, state: &ServerState) -> ServerState {
        let everybody = self.tables.servers.iter().map(|server| server.id);
        let mut changed = state.clone();
        changed.configuration = Arc::new(Configuration::of_voters(everybody));
        if let Role::Leader { progress, .. } = &mut changed.role {
            for server in &self.tables.servers {
                let returns = self.returning.contains(&server.id);
                if server.id != state.id && (returns || !progress.contains_key(&server.id)) {
                    progress.insert(server.id, unknown(state.log.last_index()));
                }
            }
        }
        changed
    }

    fn may_ever_vote(&self, server: ServerId) -> bool {
        let bootstrap = &self.tables.server(server).bootstrap;
        bootstrap.voters.contains(&server) || !self.tables.environment.changes.is_empty()
    }

    fn of(&self, state: &ServerState, crashes: bool) -> Vec<ServerState> {
        let mut all = self.in_term(state);
        let mut floor = state.term;
        if crashes {
            for disk in disks_after_crash(state) {
                let crashed = ServerState { disk, writes: Vec::new(), ..state.clone() };
                let server = self.tables.server(state.id);
                let (mut recovered, _) = server.step(&crashed, &Input::Restart { torn: None });
                if self.everybody {
                    recovered.configuration = Arc::clone(&state.configuration);
                }
                floor = floor.min(recovered.term);
                all.extend(self.in_term(&recovered));
            }
        }
        for term in floor.0 + 1..=self.tables.environment.last_term.0 {
            all.extend(self.in_later_term(state, Term(term)));
        }
        all
    }

    /// Without leaving its term.
    fn in_term(&self, state: &ServerState) -> Vec<ServerState> {
        let mut all = Vec::new();
        let options = self.tables.server(state.id).options;
        for state in [state.clone(), with_writes_complete(state)] {
            match &state.role {
                Role::Follower { .. } | Role::PreCandidate { .. } => {
                    all.extend(self.as_follower(&state));
                }
                Role::Candidate { .. } => {
                    all.extend(
                        self.as_follower(&ServerState { role: Role::FOLLOWER, ..state.clone() }),
                    );
                    all.extend(self.as_leader(&self.elected(&state)));
                    all.push(state);
                }
                Role::Leader { .. } => {
                    all.extend(self.as_leader(&state));
                    if options.check_quorum || self.tables.environment.disk_stalls {
                        all.extend(
                            self.as_follower(&ServerState { role: Role::FOLLOWER, ..state }),
                        );
                    }
                }
            }
        }
        all
    }

    fn as_follower(&self, state: &ServerState) -> Vec<ServerState> {
        let mut all = self.as_plain_follower(state);
        all.extend(self.with_snapshots(&all));
        all
    }

    /// As if it had let go of all that is committed, and as if it waited for just the chunk that the
    /// message brings.
    fn with_snapshots(&self, states: &[ServerState]) -> Vec<ServerState> {
        let mut all = Vec::new();
        if !self.tables.environment.snapshots {
            return all;
        }
        for state in states {
            all.push(compacted(state));
            if let Message::InstallSnapshot { snapshot, offset, .. } = self.message {
                let mut waiting = state.clone();
                let bytes = Bytes::from(vec![0; usize::try_from(*offset).unwrap_or(0)]);
                waiting.receiving = Some(ReceivedPart { snapshot: (**snapshot).clone(), bytes });
                all.push(waiting);
            }
        }
        all
    }

    fn as_plain_follower(&self, state: &ServerState) -> Vec<ServerState> {
        let options = self.tables.server(state.id).options;
        let mut all = Vec::new();
        for log in self.logs(state) {
            let last = log.len() as u64;
            for commit in [state.commit_index.min(LogIndex(last)), LogIndex(last)] {
                let mut follower = with_log(state, &log);
                follower.commit_index = commit;
                follower.applied_index = commit;
                all.push(follower.clone());
                if options.leader_contact
                    && let Role::Follower { leader, .. } = state.role
                {
                    for leader_contact in [false, true] {
                        let role = Role::Follower { leader, leader_contact };
                        all.push(ServerState { role, ..follower.clone() });
                    }
                }
                if options.pre_vote && self.may_ever_vote(state.id) {
                    let pre_votes = [state.id].into();
                    all.push(ServerState { role: Role::PreCandidate { pre_votes }, ..follower });
                }
            }
        }
        all
    }

    /// The follower's log now, full of entries of its term, and such as the message looks for;
    /// and empty where it is the log that stands against a vote that is still free.
    fn logs(&self, state: &ServerState) -> Vec<Vec<Entry>> {
        let mut logs =
            vec![state.log.entries().to_vec(), self.fill(state.log.entries(), state.term)];
        if let Message::AppendEntries { prev, .. } = self.message {
            let mut wanted = state.log.up_to(prev.index.previous()).to_vec();
            while (wanted.len() as u64) < prev.index.0 {
                wanted.push(entry(wanted.len() + 1, prev.term));
            }
            if !state.log.holds(*prev) {
                logs.push(wanted);
            }
        }
        if state.vote.is_none_or(|vote| vote == self.from)
            || self.tables.server(state.id).options.pre_vote
        {
            logs.push(Vec::new());
        }
        logs
    }

    fn fill(&self, entries: &[Entry], term: Term) -> Vec<Entry> {
        let mut full = entries.to_vec();
        while (full.len() as u64) < self.tables.environment.log_limit.0 {
            full.push(entry(full.len() + 1, term));
        }
        full
    }

    /// A leader with any knowledge of the sender's log that it may come to have.
    fn as_leader(&self, state: &ServerState) -> Vec<ServerState> {
        let mut all = self.as_leader_of_reads(state);
        if let Message::ConfirmLeadershipReply { .. } = self.message {
            all.extend(self.reading_anew(&all));
        }
        all
    }

    /// As if the reads that wait now were answered, and another came.
    fn reading_anew(&self, leaders: &[ServerState]) -> Vec<ServerState> {
        let mut all = Vec::new();
        for state in leaders {
            let mut answered = state.clone();
            let Role::Leader { reads, .. } = &mut answered.role else { continue };
            *reads = WaitingReads { round: reads.round, ..WaitingReads::default() };
            let asked = Input::Read { read: ReadId(0) };
            let (asked, _) = self.tables.server(state.id).step(&answered, &asked);
            all.push(asked);
        }
        all
    }

    fn as_leader_of_reads(&self, state: &ServerState) -> Vec<ServerState> {
        let Role::Leader { progress, heard, transfer, reads } = &state.role else {
            return Vec::new();
        };
        let Some(known) = progress.get(&self.from) else { return vec![state.clone()] };
        let mut heards = vec![heard.clone()];
        if self.tables.server(state.id).options.check_quorum {
            heards.push(BTreeSet::new());
        }
        let mut all = Vec::new();
        for log in [state.log.entries().to_vec(), self.fill(state.log.entries(), state.term)] {
            let last = log.len() as u64;
            let sending = self.sending(state, known.match_index, LogIndex(last));
            for learnt in progresses(known.match_index, last).into_iter().chain(sending) {
                for heard in &heards {
                    let mut progress = progress.clone();
                    progress.insert(self.from, learnt);
                    let (heard, transfer, reads) = (heard.clone(), *transfer, reads.clone());
                    let role = Role::Leader { progress, heard, transfer, reads };
                    all.push(ServerState { role, ..with_log(state, &log) });
                }
            }
        }
        if self.tables.environment.snapshots {
            let compacted: Vec<ServerState> = all.iter().map(compacted).collect();
            all.extend(compacted);
        }
        all
    }

    /// Every knowledge of a follower that is sent the leader's snapshot: at the place that the message
    /// is about.
    fn sending(
        &self,
        state: &ServerState,
        matched: LogIndex,
        last: LogIndex,
    ) -> Vec<FollowerProgress> {
        let (Some(own), Message::InstallSnapshotReply { offset, .. }) =
            (&state.snapshot, self.message)
        else {
            return Vec::new();
        };
        let snapshot = own.about.id;
        let at = |index: u64| FollowerProgress {
            catch_up: None,
            match_index: LogIndex(index),
            next_index: snapshot.last.index.next(),
            mode: ReplicationMode::Snapshot { snapshot, offset: *offset },
        };
        (matched.0..=last.0).map(at).collect()
    }

    /// The leader that a candidate would become.
    fn elected(&self, state: &ServerState) -> ServerState {
        let Configuration { voters, outgoing, learners } = &*state.configuration;
        let members = &(voters | outgoing) | learners;
        let followers = members.into_iter().filter(|member| *member != state.id);
        let unknown = unknown(state.log.last_index());
        let progress = followers.map(|follower| (follower, unknown)).collect();
        let mut log = state.log.clone();
        log.append(state.term, Payload::Noop);
        let (heard, reads) = (BTreeSet::new(), WaitingReads::default());
        let role = Role::Leader { progress, heard, transfer: None, reads };
        let elected = ServerState { role, ..with_log(state, log.entries()) };
        // What it makes of its configuration at once: any input will do.
        let server = self.tables.server(state.id);
        let (settled, _) = server.step(&elected, &Input::LeaderContactExpired);
        with_writes_complete(&settled)
    }

    /// In each role of a later term.
    fn in_later_term(&self, state: &ServerState, term: Term) -> Vec<ServerState> {
        let Disk { snapshot, receiving, .. } = state.disk.clone();
        let disk = Disk { term, vote: None, log: state.log.clone(), snapshot, receiving };
        let mut follower = self.tables.server(state.id).recover(disk, state.incarnation);
        follower.role = Role::FOLLOWER;
        follower.configuration = Arc::clone(&state.configuration);
        follower.configuration_index = state.configuration_index;
        if !self.may_ever_vote(state.id) {
            return vec![follower];
        }
        let own = BTreeSet::from([state.id]);
        let mut campaigning = ServerState { vote: Some(state.id), ..follower.clone() };
        campaigning.disk.vote = Some(state.id);
        let candidate = Role::Candidate { votes: own.clone(), transfer: false };
        let candidate = ServerState { role: candidate, ..campaigning.clone() };
        let mut all = self.as_leader(&self.elected(&candidate));
        all.push(candidate);
        all.push(ServerState { role: Role::PreCandidate { pre_votes: own }, ..follower.clone() });
        all.push(follower);
        all
    }
}

/// Every knowledge of a follower's log at or beyond a match index.
fn progresses(match_index: LogIndex, last: u64) -> Vec<FollowerProgress> {
    let mut all = Vec::new();
    for matched in match_index.0..=last {
        for next in matched + 1..=last + 1 {
            for mode in [ReplicationMode::Probe, ReplicationMode::Pipeline] {
                all.push(FollowerProgress {
                    catch_up: None,
                    match_index: LogIndex(matched),
                    next_index: LogIndex(next),
                    mode,
                });
            }
        }
    }
    all
}

/// What a leader whose log ends there knows of a follower that it knows nothing of.
fn unknown(end: LogIndex) -> FollowerProgress {
    FollowerProgress {
        match_index: LogIndex::ZERO,
        next_index: end.next(),
        mode: ReplicationMode::Probe,
        catch_up: None,
    }
}

fn entry(index: usize, term: Term) -> Entry {
    Entry { term, index: LogIndex(index as u64), payload: Payload::Noop }
}

/// The state with another log, durable as far as it was and where it agrees.
fn with_log(state: &ServerState, entries: &[Entry]) -> ServerState {
    let mut changed = state.clone();
    let base = state.log.base().index.min(LogIndex(entries.len() as u64));
    changed.log = Log::behind(base, entries.to_vec());
    if state.writes.is_empty() {
        changed.disk.log = changed.log.clone();
        changed.durable_index = changed.log.last_index();
    } else {
        changed.durable_index = changed.durable_index.min(changed.log.last_index());
    }
    changed
}

/// The state as if a snapshot of all that is committed had been taken.
fn compacted(state: &ServerState) -> ServerState {
    let mut compacted = state.clone();
    let last = state.log.position_at(state.commit_index);
    if last.index <= state.covered().index {
        return compacted;
    }
    let (configuration, configuration_position) = {
        let about = state.snapshot.as_ref().map(|own| &own.about);
        let newest = state.log.newest_configuration(last.index);
        let newest = newest.map(|(index, one)| ((*one).clone(), state.log.position_at(index)));
        let before = about.map(|own| (own.configuration.clone(), own.configuration_position));
        newest
            .or(before)
            .unwrap_or_else(|| ((*state.configuration).clone(), LogPosition::default()))
    };
    let about = Snapshot {
        id: SnapshotId { last, taken_by: state.id },
        configuration,
        configuration_position,
        size: 1,
    };
    let executed = Arc::new(state.log.up_to(last.index).to_vec());
    let state_machine = Arc::clone(&state.state_machine);
    compacted.snapshot = Some(StoredSnapshot { about, executed, state_machine });
    compacted.log.let_go(last.index);
    compacted.taking = None;
    compacted.receiving.take_if(|part| part.snapshot.id.last.index <= last.index);
    if state.writes.is_empty() {
        compacted.disk.snapshot = compacted.snapshot.clone();
        compacted.disk.log = compacted.log.clone();
        compacted.disk.receiving = compacted.receiving.clone();
    }
    compacted
}

/// The state when its disk has caught up.
fn with_writes_complete(state: &ServerState) -> ServerState {
    let mut caught_up = state.clone();
    caught_up.writes.clear();
    caught_up.disk_stalls = false;
    caught_up.disk = Disk {
        term: state.term,
        vote: state.vote,
        log: state.log.clone(),
        snapshot: state.snapshot.clone(),
        receiving: state.receiving.clone(),
    };
    caught_up.durable_index = state.log.last_index();
    caught_up
}

/// What a crash may leave on disk: what is there now, or what some of the writes make of it.
fn disks_after_crash(state: &ServerState) -> Vec<Disk> {
    let mut disk = state.disk.clone();
    let mut all = vec![disk.clone()];
    for write in &state.writes {
        for written in write.tears(&disk) {
            let mut torn = disk.clone();
            write.tear(written, &mut torn);
            all.push(torn);
        }
        write.carry_out(&mut disk);
        all.push(disk.clone());
    }
    all
}

/// The servers that changes of membership may take out and in again.
pub(super) fn returning(scope: &Scope) -> BTreeSet<ServerId> {
    let ids = (1..=scope.servers).map(ServerId);
    ids.filter(|id| may_return(&scope.changes, *id)).collect()
}

/// Whether one change of membership may take a server out and another one in.
fn may_return(changes: &[MembershipChange], server: ServerId) -> bool {
    let takes_out = changes.iter().any(|change| match change {
        MembershipChange::Remove(removed) => *removed == server,
        MembershipChange::Replace { voters, learners } => {
            !voters.contains(&server) && !learners.contains(&server)
        }
        _ => false,
    });
    let takes_in = changes.iter().any(|change| match change {
        MembershipChange::AddLearner(added) | MembershipChange::AddVoter(added) => *added == server,
        MembershipChange::Replace { voters, learners } => {
            voters.contains(&server) || learners.contains(&server)
        }
        _ => false,
    });
    takes_out && takes_in
}
