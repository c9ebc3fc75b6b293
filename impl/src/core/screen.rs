//! What makes no sense is turned away before anything changes.

use super::configurations::is_possible;
use super::snapshot::Snapshots;
use super::start::is_whole;
use super::{MAX_INDEX, MAX_TERM, Raft, Rejection, is_completion};
use crate::storage::LogStore;
use kontiki_specs::{
    AppendOutcome, Entry, Input, LogIndex, LogPosition, Message, Payload, ServerId, Snapshot,
    SnapshotId, Term,
};

impl<S: LogStore> Raft<S> {
    /// Whether the input can be what it says it is.
    pub(super) fn screen(&self, input: &Input) -> Result<(), Rejection> {
        match input {
            Input::Deliver { from, message } => self.screen_message(*from, message),
            input if is_completion(input) => self.disk.expects(input, self.config.incarnation),
            Input::SnapshotTaken { last, size: 0, .. } => {
                Err(Rejection::ImpossibleSnapshot { last: *last, size: 0 })
            }
            Input::ElectionTimeout if self.hard_state.term >= MAX_TERM => {
                Err(Rejection::TermsExhausted)
            }
            Input::Executed { index } if *index > self.applied_index => {
                let (index, applied_index) = (*index, self.applied_index);
                Err(Rejection::ExecutesUnapplied { index, applied_index })
            }
            Input::Propose { commands } => self.screen_append(commands.len() as u64),
            Input::ChangeMembership { .. } => self.screen_append(1),
            _ => Ok(()),
        }
    }

    /// Whether the log has room for so many entries more that this server may be asked for.
    fn screen_append(&self, entries: u64) -> Result<(), Rejection> {
        index(LogIndex(self.log.last_index().0.saturating_add(entries)))
    }

    fn screen_message(&self, from: ServerId, message: &Message) -> Result<(), Rejection> {
        if from == self.config.id {
            return Err(Rejection::FromItself);
        }
        let term = message.term();
        if term > MAX_TERM {
            return Err(Rejection::TermTooLarge { term });
        }
        match message {
            Message::RequestPreVote { last, .. } => position(*last, term),
            Message::RequestVote { last, .. } => {
                begun(term)?;
                position(*last, term)
            }
            Message::AppendEntries { prev, entries, commit_index, .. } => {
                begun(term)?;
                position(*prev, term)?;
                in_order(*prev, entries, term)?;
                index(*commit_index)?;
                self.screen_entries(from, term, *prev, entries)
            }
            Message::AppendEntriesReply { outcome, .. } => {
                begun(term)?;
                self.screen_outcome(term, outcome)
            }
            Message::InstallSnapshot { .. } | Message::InstallSnapshotReply { .. } => {
                begun(term)?;
                self.screen_snapshot_message(from, message)
            }
            Message::TimeoutNow { .. } if term >= MAX_TERM => Err(Rejection::TermsExhausted),
            Message::TimeoutNow { .. } => {
                begun(term)?;
                self.screen_leader(from, term)
            }
            Message::ConfirmLeadership { .. } => {
                begun(term)?;
                self.screen_leader(from, term)
            }
            Message::ReadIndexReply { index: read_index, .. } => {
                begun(term)?;
                index(*read_index)
            }
            Message::ConfirmLeadershipReply { .. } | Message::ReadIndex { .. } => begun(term),
            Message::RequestPreVoteReply { .. } => Ok(()),
            Message::RequestVoteReply { .. } | Message::LaterTerm { .. } => begun(term),
        }
    }

    /// Election safety excludes two leaders of one term.
    fn screen_leader(&self, from: ServerId, term: Term) -> Result<(), Rejection> {
        match self.leader() {
            Some(leader) if leader != from && term == self.hard_state.term => {
                Err(Rejection::SecondLeader { from, leader, term })
            }
            _ => Ok(()),
        }
    }

    /// What leader completeness excludes, too, shown by one server alone.
    fn screen_entries(
        &self,
        from: ServerId,
        term: Term,
        prev: LogPosition,
        entries: &[Entry],
    ) -> Result<(), Rejection> {
        if term < self.hard_state.term {
            return Ok(()); // It will only be answered.
        }
        self.screen_leader(from, term)?;
        let commit_index = self.commit_index;
        let mut told = [prev].into_iter().chain(entries.iter().map(Entry::position));
        let contradicts = |told: &LogPosition| !self.log.agrees_with(*told);
        match told.by_ref().take_while(|told| told.index <= commit_index).find(contradicts) {
            Some(LogPosition { index, .. }) => {
                Err(Rejection::ContradictsCommitted { index, commit_index })
            }
            None => Ok(()),
        }
    }

    #[cold]
    fn screen_snapshot_message(&self, from: ServerId, message: &Message) -> Result<(), Rejection> {
        match message {
            Message::InstallSnapshot { term, snapshot, offset, data } => {
                self.screen_snapshot(from, *term, snapshot)?;
                chunk(snapshot.size, *offset, data.len() as u64)
            }
            Message::InstallSnapshotReply { term, snapshot, .. } => position(snapshot.last, *term),
            _ => Ok(()),
        }
    }

    /// A snapshot covers what is committed, and whoever knows of one knows the same of it.
    fn screen_snapshot(
        &self,
        from: ServerId,
        term: Term,
        snapshot: &Snapshot,
    ) -> Result<(), Rejection> {
        let SnapshotId { last, .. } = snapshot.id;
        position(last, term)?;
        if !is_whole(snapshot) {
            return Err(Rejection::ImpossibleSnapshot { last, size: snapshot.size });
        }
        if term < self.hard_state.term {
            return Ok(()); // It will only be answered.
        }
        self.screen_leader(from, term)?;
        let Snapshots { own, receiving, .. } = &self.snapshots;
        let known = own.iter().chain(receiving.iter().map(|receiving| &receiving.snapshot));
        if known.into_iter().any(|known| known.id == snapshot.id && known != snapshot) {
            return Err(Rejection::AnotherSnapshot { snapshot: snapshot.id });
        }
        let (index, commit_index) = (last.index, self.commit_index);
        let contradicts = if index <= commit_index {
            !self.log.agrees_with(last)
        } else {
            self.log.term_at(commit_index).is_some_and(|committed| last.term < committed)
        };
        if contradicts {
            return Err(Rejection::ContradictsCommitted { index, commit_index });
        }
        Ok(())
    }

    fn screen_outcome(&self, term: Term, outcome: &AppendOutcome) -> Result<(), Rejection> {
        match outcome {
            AppendOutcome::Matched { index: matched } => {
                index(*matched)?;
                let last_index = self.log.last_index();
                let answers_this = term == self.hard_state.term && self.role.is_leader();
                if answers_this && *matched > last_index {
                    return Err(Rejection::AcknowledgesUnsent { index: *matched, last_index });
                }
                Ok(())
            }
            AppendOutcome::Mismatch { prev_index, hint } => {
                index(*prev_index)?;
                position(*hint, term)?;
                if hint.index >= *prev_index {
                    let (hint, prev_index) = (hint.index, *prev_index);
                    return Err(Rejection::HintNotBefore { hint, prev_index });
                }
                Ok(())
            }
        }
    }
}

/// Nobody campaigns or leads before the first term.
fn begun(term: Term) -> Result<(), Rejection> {
    if term == Term::ZERO { Err(Rejection::TermZero) } else { Ok(()) }
}

fn index(index: LogIndex) -> Result<(), Rejection> {
    if index > MAX_INDEX { Err(Rejection::IndexTooLarge { index }) } else { Ok(()) }
}

/// A place in the log of a server in `term`.
fn position(at: LogPosition, term: Term) -> Result<(), Rejection> {
    index(at.index)?;
    if (at.index == LogIndex::ZERO) != (at.term == Term::ZERO) {
        return Err(Rejection::NoSuchPosition { index: at.index, term: at.term });
    }
    if at.term > term {
        return Err(Rejection::PositionOfLaterTerm { position: at.term, term });
    }
    Ok(())
}

/// Bytes that a snapshot of this size has.
fn chunk(size: u64, offset: u64, length: u64) -> Result<(), Rejection> {
    match offset.checked_add(length) {
        Some(end) if end <= size => Ok(()),
        _ => Err(Rejection::BeyondSnapshot { end: offset.saturating_add(length), size }),
    }
}

/// Entries in a row after `prev`, of terms that do not fall, none later than `term`.
#[inline]
fn in_order(prev: LogPosition, entries: &[Entry], term: Term) -> Result<(), Rejection> {
    let (mut last, mut least) = (prev.index, prev.term.max(Term::ZERO.next()));
    for entry in entries {
        last = last.next();
        if entry.index != last || entry.term < least || entry.term > term {
            return Err(Rejection::EntryOutOfPlace { index: entry.index, term: entry.term });
        }
        if let Payload::Configuration(configuration) = &entry.payload
            && !is_possible(configuration)
        {
            return Err(Rejection::ImpossibleConfiguration { index: entry.index });
        }
        least = entry.term;
    }
    index(last)
}
