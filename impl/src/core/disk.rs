//! What is on disk as far as the server has been told, and what is on its way there (rules E3,
//! L9, L11).

use super::log::Piece;
use super::outputs::Outputs;
use super::role::{Follower, Role};
use super::{Raft, Rejection};
use crate::storage::{HardState, LogStore, StoreError};
use bytes::Bytes;
use kontiki_specs::{
    AppendOutcome, Entries, Input, LogIndex, Message, Output, ServerId, Snapshot, SnapshotId, Term,
};
use std::collections::VecDeque;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    /// Term and vote as they will be when all that is outstanding is done.
    issued: HardState,
    /// The log is known to be durable up to here.
    pub(crate) durable_index: LogIndex,
    /// The newest snapshot that is on disk (rules S1, S2).
    pub(crate) snapshot: Option<SnapshotId>,
    /// Issued and not complete, the oldest first.
    outstanding: VecDeque<Write>,
    /// The oldest of them takes too long, the driver says (rule E12).
    pub(crate) stalls: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Write {
    HardState(HardState),
    Entries {
        leader_term: Term,
        last_index: LogIndex,
    },
    Chunk(Chunk),
    /// Replaces the log, as entries of this term may (rule L9).
    Install {
        leader_term: Term,
        snapshot: SnapshotId,
    },
}

/// Bytes of a snapshot on their way to disk (rule S2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Chunk {
    pub(crate) snapshot: SnapshotId,
    /// How many bytes were there before.
    pub(crate) offset: u64,
    /// How many there will be.
    pub(crate) received: u64,
}

impl Disk {
    pub(crate) fn holding(
        hard_state: HardState,
        durable_index: LogIndex,
        snapshot: Option<SnapshotId>,
    ) -> Self {
        let (outstanding, stalls) = (VecDeque::new(), false);
        Disk { hard_state, issued: hard_state, durable_index, snapshot, outstanding, stalls }
    }

    /// The chunk whose write is outstanding: there is one at most.
    pub(crate) fn chunk_under_way(&self) -> Option<&Chunk> {
        self.outstanding.iter().find_map(|write| match write {
            Write::Chunk(chunk) => Some(chunk),
            _ => None,
        })
    }

    /// Whether a snapshot's installation is outstanding.
    pub(crate) fn installs(&self) -> bool {
        self.outstanding.iter().any(|write| matches!(write, Write::Install { .. }))
    }

    /// The term in which the log was last written to, of the writes that are outstanding.
    #[inline]
    fn latest_leader_term(&self) -> Option<Term> {
        if self.outstanding.is_empty() {
            return None; // Nearly always: no need to begin a search.
        }
        self.outstanding.iter().rev().find_map(|write| match write {
            Write::Entries { leader_term, .. } | Write::Install { leader_term, .. } => {
                Some(*leader_term)
            }
            Write::HardState(_) | Write::Chunk(_) => None,
        })
    }

    /// Whether the input is the completion of the oldest outstanding write, issued in the current
    /// incarnation: completions of an earlier one come late, of writes that are lost.
    #[inline]
    pub(crate) fn expects(&self, completion: &Input, current: u64) -> Result<(), Rejection> {
        match self.outstanding.front() {
            Some(oldest) if oldest.completion(current) == *completion => Ok(()),
            _ => Err(Rejection::UnexpectedCompletion),
        }
    }
}

impl Write {
    /// The input that says that the write is complete, if it was issued in this incarnation.
    #[inline]
    fn completion(&self, incarnation: u64) -> Input {
        match *self {
            Write::HardState(HardState { term, vote }) => {
                Input::HardStateWritten { incarnation, term, vote }
            }
            Write::Entries { leader_term, last_index: index } => {
                Input::EntriesWritten { incarnation, leader_term, index }
            }
            Write::Chunk(Chunk { snapshot, received, .. }) => {
                Input::ChunkWritten { incarnation, snapshot, received }
            }
            Write::Install { snapshot, .. } => Input::SnapshotInstalled { incarnation, snapshot },
        }
    }
}

impl<S: LogStore> Raft<S> {
    /// The inputs that will say that the outstanding writes are complete, the oldest first.
    pub fn awaited_completions(&self) -> impl Iterator<Item = Input> + '_ {
        self.disk.outstanding.iter().map(|write| write.completion(self.config.incarnation))
    }

    /// E3: whether the current term and vote are on disk.
    pub(super) fn hard_state_is_durable(&self) -> bool {
        self.disk.hard_state == self.hard_state
    }

    /// E3: issues the write of term and vote if they are not on disk nor on their way.
    #[inline]
    pub(super) fn write_hard_state(&mut self, outputs: &mut Outputs) {
        if self.disk.issued != self.hard_state {
            self.issue_hard_state(outputs);
        }
    }

    #[cold]
    fn issue_hard_state(&mut self, outputs: &mut Outputs) {
        self.disk.issued = self.hard_state;
        let HardState { term, vote } = self.hard_state;
        let incarnation = self.config.incarnation;
        outputs.push_write(Output::WriteHardState { incarnation, term, vote });
        self.disk.outstanding.push_back(Write::HardState(self.hard_state));
    }

    /// Puts entries at the end of the log and issues their write, behind that of the term in
    /// which they were taken. L7: a leader does nothing else to its log.
    pub(super) fn append(&mut self, entries: Entries, outputs: &mut Outputs) {
        let Some(piece) = Piece::new(entries) else { return };
        self.write_hard_state(outputs);
        let (leader_term, last_index) = (self.hard_state.term, piece.last_index);
        self.disk.outstanding.push_back(Write::Entries { leader_term, last_index });
        outputs.push_write(Output::WriteEntries {
            incarnation: self.config.incarnation,
            leader_term,
            first_index: piece.first_index,
            entries: piece.entries.clone(),
        });
        self.configurations.note(&piece.entries);
        self.log.append(piece);
    }

    /// S2: issues the write of bytes of a snapshot.
    pub(super) fn write_chunk(
        &mut self,
        snapshot: Snapshot,
        offset: u64,
        data: Bytes,
        outputs: &mut Outputs,
    ) {
        self.write_hard_state(outputs);
        let received = offset + data.len() as u64;
        let chunk = Chunk { snapshot: snapshot.id, offset, received };
        self.disk.outstanding.push_back(Write::Chunk(chunk));
        let incarnation = self.config.incarnation;
        let snapshot = Box::new(snapshot);
        outputs.push_write(Output::WriteChunk { incarnation, snapshot, offset, data });
    }

    /// S2: issues the write that makes a received snapshot the server's own and drops the log.
    pub(super) fn write_installation(&mut self, snapshot: Snapshot, outputs: &mut Outputs) {
        self.write_hard_state(outputs);
        let leader_term = self.hard_state.term;
        let install = Write::Install { leader_term, snapshot: snapshot.id };
        self.disk.outstanding.push_back(install);
        let incarnation = self.config.incarnation;
        let snapshot = Box::new(snapshot);
        outputs.push_write(Output::InstallSnapshot { incarnation, snapshot });
    }

    /// L3: drops the end of the log from an index on. Its place on disk is taken by the write of
    /// the entries that follow.
    pub(super) fn truncate(&mut self, first: LogIndex) {
        self.log.truncate_from(first);
        self.configurations.truncate_from(first);
        self.disk.durable_index = self.disk.durable_index.min(first.previous());
    }

    /// E3: the oldest write, of term and vote, is complete. If they are still the current ones,
    /// what waited for them happens now.
    pub(super) fn hard_state_written(&mut self, outputs: &mut Outputs) -> Result<(), StoreError> {
        self.disk.stalls = false;
        if let Some(Write::HardState(written)) = self.disk.outstanding.pop_front() {
            self.disk.hard_state = written;
        }
        if !self.hard_state_is_durable() {
            return Ok(());
        }
        match self.hard_state.vote {
            Some(own) if own == self.config.id => self.ask_for_votes(outputs),
            Some(candidate) => {
                self.grant_vote(candidate, outputs);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// L9: the oldest write, of entries, is complete. If entries or a snapshot were issued under
    /// another leader since, they may replace these on disk, and their own completion will tell.
    pub(super) fn entries_written(
        &mut self,
        leader_term: Term,
        index: LogIndex,
        outputs: &mut Outputs,
    ) {
        self.disk.stalls = false;
        self.disk.outstanding.pop_front();
        if self.disk.latest_leader_term().is_some_and(|latest| latest != leader_term) {
            return;
        }
        let durable = index.min(self.log.last_index());
        self.disk.durable_index = self.disk.durable_index.max(durable);
        match &self.role {
            Role::Leader(_) => self.advance_commit(),
            Role::Follower(follower) if leader_term == self.hard_state.term => {
                if let Some(leader) = follower.leader {
                    self.acknowledge(leader, durable, outputs);
                }
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
    }

    /// S2: the oldest write, of bytes of a snapshot, is complete. Returns what it wrote.
    pub(super) fn chunk_is_on_disk(&mut self) -> Option<Chunk> {
        self.disk.stalls = false;
        match self.disk.outstanding.pop_front() {
            Some(Write::Chunk(chunk)) => Some(chunk),
            _ => None,
        }
    }

    /// S2: the oldest write, the installation of a snapshot, is complete, and stands for the log up
    /// to there.
    pub(super) fn snapshot_installed(&mut self, snapshot: SnapshotId, outputs: &mut Outputs) {
        self.disk.stalls = false;
        self.disk.outstanding.pop_front();
        // S1: the server takes none that goes further before this one is on disk.
        self.disk.snapshot = Some(snapshot);
        let durable = snapshot.last.index;
        self.disk.durable_index = self.disk.durable_index.max(durable);
        if let Role::Follower(Follower { leader: Some(leader), .. }) = self.role
            && self.hard_state_is_durable()
        {
            self.acknowledge(leader, durable, outputs);
        }
    }

    /// E12: the disk makes no progress. Whoever leads or campaigns gives way, until a write is
    /// complete.
    pub(super) fn disk_stalled(&mut self) {
        if self.disk.outstanding.is_empty() {
            return;
        }
        self.disk.stalls = true;
        if !matches!(self.role, Role::Follower(_)) {
            self.become_follower();
        }
    }

    /// L1: tells the leader how far the log agrees with its own, durably.
    pub(super) fn acknowledge(&self, leader: ServerId, index: LogIndex, outputs: &mut Outputs) {
        let term = self.hard_state.term;
        let outcome = AppendOutcome::Matched { index };
        outputs.send(leader, Message::AppendEntriesReply { term, outcome });
    }
}
