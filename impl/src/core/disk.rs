//! What is on disk as far as the server has been told, and what is on its way there (rules E3,
//! L9, L11).

use super::log::Piece;
use super::outputs::Outputs;
use super::role::{Follower, Role};
use super::{Raft, Rejection};
use crate::storage::{HardState, LogStore, StoreError};
use kontiki_specs::{AppendOutcome, Entries, Input, LogIndex, Message, Output, ServerId, Term};
use std::collections::VecDeque;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    /// Term and vote as they will be when all that is outstanding is done.
    issued: HardState,
    /// The log is known to be durable up to here.
    pub(crate) durable_index: LogIndex,
    /// Issued and not complete, the oldest first.
    outstanding: VecDeque<Write>,
    /// The oldest of them takes too long, the driver says (rule E12).
    pub(crate) stalls: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Write {
    HardState(HardState),
    Entries { leader_term: Term, last_index: LogIndex },
}

impl Disk {
    pub(crate) fn holding(hard_state: HardState, durable_index: LogIndex) -> Self {
        let (outstanding, stalls) = (VecDeque::new(), false);
        Disk { hard_state, issued: hard_state, durable_index, outstanding, stalls }
    }

    /// The term in which entries were last issued, of those that are outstanding.
    #[inline]
    fn latest_leader_term(&self) -> Option<Term> {
        if self.outstanding.is_empty() {
            return None; // Nearly always: no need to begin a search.
        }
        self.outstanding.iter().rev().find_map(|write| match write {
            Write::Entries { leader_term, .. } => Some(*leader_term),
            Write::HardState(_) => None,
        })
    }

    /// Whether the input is the completion of the oldest outstanding write, issued in the current
    /// incarnation: completions of an earlier one come late, of writes that are lost.
    #[inline]
    pub(crate) fn expects(&self, completion: &Input, current: u64) -> Result<(), Rejection> {
        let expected = match (self.outstanding.front(), completion) {
            (
                Some(Write::HardState(oldest)),
                Input::HardStateWritten { incarnation, term, vote },
            ) => *incarnation == current && *oldest == HardState { term: *term, vote: *vote },
            (
                Some(Write::Entries { leader_term: issued, last_index }),
                Input::EntriesWritten { incarnation, leader_term, index },
            ) => *incarnation == current && issued == leader_term && last_index == index,
            _ => false,
        };
        if expected { Ok(()) } else { Err(Rejection::UnexpectedCompletion) }
    }
}

impl<S: LogStore> Raft<S> {
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

    /// L9: the oldest write, of entries, is complete. If entries were issued under another leader
    /// since, they may replace these on disk, and their own completion will tell.
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

    /// E12: the disk makes no progress. Whoever leads or campaigns gives way, until a write is
    /// complete.
    pub(super) fn disk_stalled(&mut self) {
        if self.disk.outstanding.is_empty() {
            return;
        }
        self.disk.stalls = true;
        if !matches!(self.role, Role::Follower(_)) {
            self.role = Role::Follower(Follower::default());
        }
    }

    /// L1: tells the leader how far the log agrees with its own, durably.
    pub(super) fn acknowledge(&self, leader: ServerId, index: LogIndex, outputs: &mut Outputs) {
        let term = self.hard_state.term;
        let outcome = AppendOutcome::Matched { index };
        self.send(leader, Message::AppendEntriesReply { term, outcome }, outputs);
    }
}
