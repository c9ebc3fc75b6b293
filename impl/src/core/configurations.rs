//! Which configuration is in force (rule M2).

use crate::storage::{LogStore, StoreError};
use kontiki_specs::{Configuration, Entry, LogIndex, Payload, ServerId};
use std::collections::BTreeSet;

/// The configuration that a server was started with, and those in its log, the oldest first. The
/// last is in force from the moment it is appended until it is truncated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Configurations {
    bootstrap: Configuration,
    in_log: Vec<(LogIndex, Configuration)>,
}

impl Configurations {
    /// Those in the log of a store, after the one that the server was started with.
    pub(crate) fn read(
        bootstrap: Configuration,
        store: &impl LogStore,
    ) -> Result<Configurations, StoreError> {
        let mut all = Configurations { bootstrap, in_log: Vec::new() };
        for index in store.configurations()? {
            let entries = store.entries(index, index, 0)?;
            if entries.first_index() != Some(index) || index <= all.newest_index() {
                let wrong = format!("entry {index} is no configuration where there should be one");
                return Err(StoreError::Corrupt(wrong));
            }
            all.note(&entries);
            if all.newest_index() != index || !is_possible(all.newest()) {
                let wrong = format!("entry {index} is not a configuration that a leader appends");
                return Err(StoreError::Corrupt(wrong));
            }
        }
        Ok(all)
    }

    pub(crate) fn newest(&self) -> &Configuration {
        self.in_log.last().map_or(&self.bootstrap, |(_, configuration)| configuration)
    }

    /// Where the newest stands; 0 for the one that the server was started with.
    pub(crate) fn newest_index(&self) -> LogIndex {
        self.in_log.last().map_or(LogIndex::ZERO, |(index, _)| *index)
    }

    /// The one before the newest: the one that it replaces.
    pub(crate) fn previous(&self) -> &Configuration {
        let before = self.in_log.len().checked_sub(2).and_then(|place| self.in_log.get(place));
        before.map_or(&self.bootstrap, |(_, configuration)| configuration)
    }

    /// Where configurations stand that are not joint, from one index to another, both included.
    pub(crate) fn completed(
        &self,
        first: LogIndex,
        last: LogIndex,
    ) -> impl Iterator<Item = LogIndex> + '_ {
        let from = self.in_log.iter().rposition(|(index, _)| *index < first);
        let known = self.in_log.iter().skip(from.map_or(0, |before| before + 1));
        let known = known.take_while(move |(index, _)| *index <= last);
        known
            .filter(|(_, configuration)| configuration.outgoing.is_empty())
            .map(|(index, _)| *index)
    }

    /// Entries were appended.
    #[inline]
    pub(crate) fn note(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Payload::Configuration(configuration) = &entry.payload {
                self.in_log.push((entry.index, configuration.clone()));
            }
        }
    }

    /// The log was truncated: an earlier configuration is in force again.
    pub(crate) fn truncate_from(&mut self, first: LogIndex) {
        while self.in_log.pop_if(|(index, _)| *index >= first).is_some() {}
    }
}

/// Whether a leader may have appended it.
pub(crate) fn is_possible(configuration: &Configuration) -> bool {
    !configuration.voters.is_empty() && configuration.voters.is_disjoint(&configuration.learners)
}

/// Whether a server has a vote, in either half of a joint configuration.
pub(crate) fn votes_in(configuration: &Configuration, server: ServerId) -> bool {
    configuration.voters.contains(&server) || configuration.outgoing.contains(&server)
}

/// Everybody who has a vote, in the order of their ids.
pub(crate) fn electorate(configuration: &Configuration) -> BTreeSet<ServerId> {
    configuration.voters.union(&configuration.outgoing).copied().collect()
}

/// Everybody who receives the log, in the order of their ids.
pub(crate) fn members(configuration: &Configuration) -> BTreeSet<ServerId> {
    let mut members = electorate(configuration);
    members.extend(&configuration.learners);
    members
}
