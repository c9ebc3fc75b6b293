//! The logs of servers: what is written into them, and what is sent from them.

use super::{Broken, Invariants};
use crate::simulate::problem::Invariant;
use kontiki::core::Raft;
use kontiki::storage::MemoryStore;
use kontiki_specs::{Entry, LogIndex, Message, Output, RoleKind};

impl Invariants {
    /// What a server has after a restart is what its disk holds, and nothing is applied.
    pub(super) fn restarts(&mut self, place: usize, raft: &Raft<MemoryStore>) {
        if let (Some(log), Some(applied)) = (self.logs.get_mut(place), self.applied.get_mut(place))
        {
            *log = raft.store().log().to_vec();
            *applied = 0;
            self.memberships.restarts(place, log);
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
        let kept = usize::try_from(first.0.saturating_sub(1)).unwrap_or(usize::MAX);
        if kept > log.len() {
            let how = format!("entry {first} is written behind a log of {} entries", log.len());
            return Err((Invariant::LogMatching, how));
        }
        if kept < log.len() && raft.role() == RoleKind::Leader {
            return Err((Invariant::LeaderAppendOnly, format!("it writes entry {first} anew")));
        }
        log.truncate(kept);
        let mut before = log.last().map(|entry| entry.term).unwrap_or_default();
        for entry in entries {
            self.lineage.note(entry, before).map_err(|how| (Invariant::LogMatching, how))?;
            before = entry.term;
        }
        log.extend_from_slice(entries);
        self.memberships.writes(place, first, entries);
        Ok(())
    }

    /// What is sent to be appended is what stands in the sender's log right behind that position.
    pub(super) fn sent_is_from_log(&self, place: usize, outputs: &[Output]) -> Result<(), Broken> {
        let Some(log) = self.logs.get(place) else { return Ok(()) };
        for output in outputs {
            let Output::Send { to, message } = output else { continue };
            let Message::AppendEntries { prev, entries, .. } = message else { continue };
            let behind = usize::try_from(prev.index.0).unwrap_or(usize::MAX);
            let here = log.get(..behind).and_then(|before| before.last()).map(Entry::position);
            let is_next = log.get(behind..).is_some_and(|next| next.starts_with(entries));
            if here.unwrap_or_default() != *prev || !is_next {
                let how = format!("it has other entries there than it sends to {to}: {message}");
                return Err((Invariant::SentFromLog, how));
            }
        }
        Ok(())
    }
}
