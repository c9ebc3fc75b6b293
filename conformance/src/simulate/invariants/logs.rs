//! The logs of servers: what is written into them, what is let go of, and what is sent from them.

use super::known_log::KnownLog;
use super::{Broken, Invariants};
use crate::simulate::problem::Invariant;
use kontiki::core::Raft;
use kontiki::storage::{LogStore, MemoryStore};
use kontiki_specs::{Entry, LogIndex, LogPosition, Message, Output, RoleKind};

impl Invariants {
    /// What a server has after a restart is what its disk holds.
    pub(super) fn log_restarts(&mut self, place: usize, raft: &Raft<MemoryStore>) {
        let store = raft.store();
        if let (Some(log), Ok(base)) = (self.logs.get_mut(place), store.base()) {
            *log = KnownLog::behind(base, store.log().to_vec());
            self.memberships.restarts(place, raft.snapshot(), log.entries());
        }
    }

    pub(super) fn writes(
        &mut self,
        place: usize,
        first: LogIndex,
        entries: &[Entry],
        raft: &Raft<MemoryStore>,
    ) -> Result<(), Broken> {
        let Some(log) = self.logs.get_mut(place) else { return Ok(()) };
        if first <= log.last().index && raft.role() == RoleKind::Leader {
            return Err((Invariant::LeaderAppendOnly, format!("it writes entry {first} anew")));
        }
        let Some(before) = log.position_at(first.previous()) else {
            let how = format!(
                "entry {first} is written into a log from behind {} to {}",
                log.base(),
                log.last()
            );
            return Err((Invariant::LogMatching, how));
        };
        if !log.replace_from(first, entries) {
            let how = format!("entry {first} is written, and the log begins at {}", log.base());
            return Err((Invariant::LogMatching, how));
        }
        let mut before = before.term;
        for entry in entries {
            self.lineage.note(entry, before).map_err(|how| (Invariant::LogMatching, how))?;
            before = entry.term;
        }
        self.memberships.writes(place, first, entries);
        Ok(())
    }

    /// S1: entries are let go of that the server's snapshot covers.
    pub(super) fn drops(
        &mut self,
        place: usize,
        through: LogIndex,
        raft: &Raft<MemoryStore>,
    ) -> Result<(), Broken> {
        let covered = raft.snapshot().map(|own| own.id.last.index).unwrap_or_default();
        if through > covered {
            let how = format!("it lets go of entries up to {through}, and {covered} are covered");
            return Err((Invariant::NothingLetGoUncovered, how));
        }
        if let Some(log) = self.logs.get_mut(place) {
            log.let_go(through);
        }
        Ok(())
    }

    /// S2: a snapshot takes the place of the whole log.
    pub(super) fn log_begins_behind(&mut self, place: usize, last: LogPosition) {
        if let Some(log) = self.logs.get_mut(place) {
            *log = KnownLog::behind(last, Vec::new());
        }
    }

    /// What is sent to be appended is what stands in the sender's log right behind that position.
    pub(super) fn sent_is_from_log(&self, place: usize, outputs: &[Output]) -> Result<(), Broken> {
        let Some(log) = self.logs.get(place) else { return Ok(()) };
        for output in outputs {
            let Output::Send { to, message } = output else { continue };
            let Message::AppendEntries { prev, entries, .. } = message else { continue };
            let is_next = log.after(prev.index).is_some_and(|next| next.starts_with(entries));
            if log.position_at(prev.index) != Some(*prev) || !is_next {
                let how = format!("it has other entries there than it sends to {to}: {message}");
                return Err((Invariant::SentFromLog, how));
            }
        }
        Ok(())
    }
}
