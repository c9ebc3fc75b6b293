//! The disk: writes complete later than they are issued, or are lost in a crash (rule L11).
//!
//! A leader's messages and its own write are under way together (dissertation §10.2.1); what must
//! wait for a disk is only what counts on it: a vote, an acknowledgement, the leader's own copy.

use super::step::Step;
use super::stored::{ReceivedPart, forget_covered};
use super::{Disk, Mutation, Role, Write};
use kontiki_specs::{AppendOutcome, Input, LogIndex, Message, Output, ServerId, Snapshot, Term};
use std::ops::Range;

impl Step<'_> {
    /// Carries out the oldest write, if it is the one whose completion this is. A completion of
    /// anything else says nothing: one that comes late, of a write that a crash has lost, may be
    /// like that of a write now, but for the incarnation that issued it. E12: a disk that has done
    /// a write makes progress.
    pub(super) fn complete_oldest_write(&mut self, completion: &Input) -> bool {
        let incarnation = self.state.incarnation;
        let Some(write) = self.state.writes.first() else { return false };
        if *completion == write.completion(incarnation) {
            let write = self.state.writes.remove(0);
            write.carry_out(&mut self.state.disk);
            self.state.disk_stalls = false;
            return true;
        }
        // Believed, though nothing has been written.
        self.mutated(Mutation::CompletionOfEarlierIncarnation)
            && *completion == write.completion(incarnation.wrapping_sub(1))
    }

    /// E12: the disk does not do what it is asked to. Nothing that has to be durable will be, so
    /// this server gives way to others.
    pub(super) fn disk_stalled(&mut self) {
        if self.state.writes.is_empty() {
            return;
        }
        self.state.disk_stalls = true;
        let follows = matches!(self.state.role, Role::Follower { .. });
        if !follows && self.waits_for_disk() {
            self.state.role = Role::FOLLOWER;
        }
    }

    /// E12: whether this server may not lead or campaign, because nothing would be written.
    pub(super) fn waits_for_disk(&self) -> bool {
        self.state.disk_stalls && !self.mutated(Mutation::StalledDiskLeadsOn)
    }

    /// L9: a write of entries is complete. It makes the log durable up to `index` if it is the
    /// log of the leader that it was issued under. If entries were written under a later leader
    /// since, that write may replace these on disk, and its own completion will tell.
    pub(super) fn entries_written(
        &mut self,
        completion: &Input,
        leader_term: Term,
        index: LogIndex,
    ) {
        if !self.complete_oldest_write(completion) {
            return;
        }
        let superseded = self.state.writes.iter().any(|write| match write {
            Write::Entries { leader_term: later, .. }
            | Write::Install { leader_term: later, .. } => *later != leader_term,
            Write::HardState { .. } | Write::Chunk { .. } => false,
        });
        if superseded && !self.mutated(Mutation::CompletionByIndexOnly) {
            return;
        }
        let durable = index.min(self.state.log.last_index());
        self.state.durable_index = self.state.durable_index.max(durable);
        self.after_entries_written(leader_term, durable);
    }

    /// What waited for entries to be durable: the leader's own count (L9), or the follower's
    /// acknowledgement to the leader that sent them (L1).
    fn after_entries_written(&mut self, leader_term: Term, durable: LogIndex) {
        if self.state.is_leader() {
            self.advance_commit();
        } else if leader_term == self.state.term
            && let Some(leader) = self.known_leader()
        {
            self.acknowledge(leader, durable);
        }
    }

    /// L1: a follower acknowledges entries as far as they are on its disk, and only when the term
    /// in which it took them is: in an earlier one it could be made to drop them again. New
    /// entries are acknowledged by the completion of their write. A request without any is
    /// answered at once, so that a slow disk does not cost the leader its quorum (E9).
    pub(super) fn acknowledge_request(
        &mut self,
        leader: ServerId,
        verified: LogIndex,
        anything_new: bool,
    ) {
        if self.mutated(Mutation::AcknowledgeBeforeDurable) {
            self.acknowledge(leader, verified);
        } else if self.state.hard_state_is_durable() && !anything_new {
            self.acknowledge(leader, verified.min(self.state.durable_index));
        }
    }

    pub(super) fn acknowledge(&mut self, leader: ServerId, index: LogIndex) {
        let outcome = AppendOutcome::Matched { index };
        self.send(leader, Message::AppendEntriesReply { term: self.state.term, outcome });
    }

    pub(super) fn known_leader(&self) -> Option<ServerId> {
        match self.state.role {
            Role::Follower { leader, .. } => leader,
            _ => None,
        }
    }

    /// L11, E3: a server that crashes comes back as a follower with what its disk holds: its
    /// term, its vote, the writes that were complete, and it may be part of the next one.
    pub(super) fn restart(&mut self, torn: Option<u64>) {
        let mut disk: Disk = self.state.disk.clone();
        if let (Some(entries), Some(write)) = (torn, self.state.writes.first()) {
            write.tear(entries, &mut disk);
        }
        if self.mutated(Mutation::ForgetVoteOnRestart) {
            disk.vote = None;
        }
        if self.mutated(Mutation::ForgetTermOnRestart) {
            disk.term = disk.log.last().term;
            disk.vote = None;
        }
        self.state = self.server.recover(disk, self.state.incarnation.wrapping_add(1));
        self.restarted = true;
    }
}

impl Disk {
    /// S2: bytes of a snapshot go behind those that are there; the first take the place of all others.
    fn receive(&mut self, snapshot: &Snapshot, offset: u64, data: &[u8]) {
        let part = self.receiving.take().filter(|_| offset > 0);
        let mut bytes = part.map(|part| part.bytes.to_vec()).unwrap_or_default();
        bytes.extend_from_slice(data);
        self.receiving = Some(ReceivedPart { snapshot: snapshot.clone(), bytes: bytes.into() });
    }
}

impl Write {
    /// The output that asks for the write, if it is issued in this incarnation.
    pub(super) fn issued(&self, incarnation: u64) -> Output {
        match self {
            Write::HardState { term, vote } => {
                Output::WriteHardState { incarnation, term: *term, vote: *vote }
            }
            Write::Entries { leader_term, first_index, entries } => Output::WriteEntries {
                incarnation,
                leader_term: *leader_term,
                first_index: *first_index,
                entries: entries.clone(),
            },
            Write::Chunk { snapshot, offset, data } => Output::WriteChunk {
                incarnation,
                snapshot: Box::new(snapshot.clone()),
                offset: *offset,
                data: data.clone(),
            },
            Write::Install { snapshot, .. } => {
                let snapshot = Box::new(snapshot.about.clone());
                Output::InstallSnapshot { incarnation, snapshot }
            }
        }
    }

    /// What so many of a write's entries, not all of them, make of a disk. Term and vote are
    /// written entirely or not at all. S2: of a chunk it is so many of its bytes. Of a snapshot that is
    /// installed, the snapshot comes first, and then the log goes.
    pub fn tear(&self, written: u64, disk: &mut Disk) {
        match self {
            Write::Entries { first_index, entries, .. } => {
                let written = usize::try_from(written).unwrap_or(usize::MAX);
                if written < entries.len() {
                    disk.log.replace_from(*first_index, &entries[..written]);
                }
            }
            Write::Chunk { snapshot, offset, data } => {
                let written = usize::try_from(written).unwrap_or(usize::MAX);
                if (1..data.len()).contains(&written) {
                    disk.receive(snapshot, *offset, &data[..written]);
                }
            }
            Write::Install { snapshot, .. } => disk.snapshot = Some(snapshot.clone()),
            Write::HardState { .. } => {}
        }
    }

    /// How many of its entries a crash may leave on this disk, short of all, other than by losing
    /// the write. Of a chunk it may leave any number of bytes, which is for a simulation to try: to the
    /// rules a part of a chunk is a smaller chunk.
    pub fn tears(&self, disk: &Disk) -> Range<u64> {
        match self {
            Write::HardState { .. } | Write::Chunk { .. } => 0..0,
            Write::Install { .. } => 0..1,
            Write::Entries { first_index, entries, .. } => {
                let drops = *first_index <= disk.log.last_index();
                u64::from(!drops)..entries.len() as u64
            }
        }
    }

    /// What the write makes of a disk.
    pub fn carry_out(&self, disk: &mut Disk) {
        match self {
            Write::HardState { term, vote } => {
                disk.term = *term;
                disk.vote = *vote;
            }
            Write::Entries { first_index, entries, .. } => {
                disk.log.replace_from(*first_index, entries);
            }
            Write::Chunk { snapshot, offset, data } => {
                disk.receive(snapshot, *offset, data);
            }
            Write::Install { snapshot, .. } => {
                disk.log = snapshot.log();
                disk.snapshot = Some(snapshot.clone());
                forget_covered(&mut disk.receiving, snapshot.about.id.last.index);
            }
        }
    }

    /// The input that says that the write is complete, if it was issued in this incarnation.
    pub fn completion(&self, incarnation: u64) -> Input {
        match self {
            Write::HardState { term, vote } => {
                Input::HardStateWritten { incarnation, term: *term, vote: *vote }
            }
            Write::Entries { leader_term, first_index, entries } => Input::EntriesWritten {
                incarnation,
                leader_term: *leader_term,
                index: entries.last().map_or(first_index.previous(), |entry| entry.index),
            },
            Write::Chunk { snapshot, offset, data } => Input::ChunkWritten {
                incarnation,
                snapshot: snapshot.id,
                received: offset + data.len() as u64,
            },
            Write::Install { snapshot, .. } => {
                Input::SnapshotInstalled { incarnation, snapshot: snapshot.about.id }
            }
        }
    }
}
