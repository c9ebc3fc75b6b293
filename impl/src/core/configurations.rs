//! Which configuration is in force (rule M2).

use crate::storage::{LogStore, StoreError};
use kontiki_specs::{Configuration, Entry, LogIndex, LogPosition, Payload, ServerId, Snapshot};
use std::collections::BTreeSet;

/// The configuration of a server's snapshot, or the one that it was started with, and those in its
/// log, the oldest first. The last is in force from the moment it is appended until it is truncated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Configurations {
    /// In force where the log holds none. A log that begins before the snapshot's last entry may
    /// hold it, too.
    first: (LogPosition, Configuration),
    in_log: Vec<(LogPosition, Configuration)>,
}

impl Configurations {
    /// Those in the log of a store behind its base, after the first.
    pub(crate) fn read(
        first: (LogPosition, Configuration),
        base: LogIndex,
        store: &impl LogStore,
    ) -> Result<Configurations, StoreError> {
        let mut all = Configurations { first, in_log: Vec::new() };
        for index in store.configurations()?.into_iter().filter(|index| *index > base) {
            let entries = store.entries(index, index, 0)?;
            let before = all.in_log.last().map_or(base, |(position, _)| position.index);
            if entries.first_index() != Some(index) || index <= before {
                let wrong = format!("entry {index} is no configuration where there should be one");
                return Err(StoreError::Corrupt(wrong));
            }
            all.note(&entries);
            let noted = all.in_log.last().is_some_and(|(noted, _)| noted.index == index);
            if !noted || !is_possible(all.newest()) {
                let wrong = format!("entry {index} is not a configuration that a leader appends");
                return Err(StoreError::Corrupt(wrong));
            }
        }
        Ok(all)
    }

    pub(crate) fn newest(&self) -> &Configuration {
        self.in_log.last().map_or(&self.first.1, |(_, configuration)| configuration)
    }

    /// Where the newest stands; 0 for the one that the server was started with.
    pub(crate) fn newest_index(&self) -> LogIndex {
        self.newest_position().index
    }

    /// As [`Configurations::newest_index`], with the term.
    pub(crate) fn newest_position(&self) -> LogPosition {
        self.in_log.last().map_or(self.first.0, |(position, _)| *position)
    }

    /// S1: the one as of an index that the snapshot at hand does not cover, and where it stands.
    pub(crate) fn as_of(&self, index: LogIndex) -> &(LogPosition, Configuration) {
        let known = self.in_log.partition_point(|(position, _)| position.index <= index);
        known.checked_sub(1).and_then(|place| self.in_log.get(place)).unwrap_or(&self.first)
    }

    /// The one before the newest: the one that it replaces, if that is not committed.
    pub(crate) fn previous(&self) -> &Configuration {
        let before = self.in_log.len().checked_sub(2).and_then(|place| self.in_log.get(place));
        before.map_or(&self.first.1, |(_, configuration)| configuration)
    }

    /// Where configurations stand that are not joint, from one index to another, both included.
    pub(crate) fn completed(
        &self,
        first: LogIndex,
        last: LogIndex,
    ) -> impl Iterator<Item = LogPosition> + '_ {
        let from = self.in_log.iter().rposition(|(position, _)| position.index < first);
        let known = self.in_log.iter().skip(from.map_or(0, |before| before + 1));
        let known = known.take_while(move |(position, _)| position.index <= last);
        known
            .filter(|(_, configuration)| configuration.outgoing.is_empty())
            .map(|(position, _)| *position)
    }

    /// Entries were appended.
    #[inline]
    pub(crate) fn note(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Payload::Configuration(configuration) = &entry.payload {
                self.in_log.push((entry.position(), configuration.clone()));
            }
        }
    }

    /// The log was truncated: an earlier configuration is in force again.
    pub(crate) fn truncate_from(&mut self, first: LogIndex) {
        while self.in_log.pop_if(|(position, _)| position.index >= first).is_some() {}
    }

    /// S1: there is another snapshot, and the log begins behind `base`.
    pub(crate) fn let_go(&mut self, base: LogIndex, snapshot: &Snapshot) {
        self.first = first(snapshot);
        self.in_log.retain(|(position, _)| position.index > base);
    }

    /// Whether those that are let go of are gone.
    pub(crate) fn are_behind(&self, base: LogIndex) -> bool {
        self.in_log.first().is_none_or(|(position, _)| position.index > base)
    }

    /// S2: there is another snapshot, and no log.
    pub(crate) fn begin_behind(&mut self, snapshot: &Snapshot) {
        *self = Configurations { first: first(snapshot), in_log: Vec::new() };
    }
}

/// The one that is in force behind a snapshot.
pub(crate) fn first(snapshot: &Snapshot) -> (LogPosition, Configuration) {
    (snapshot.configuration_position, snapshot.configuration.clone())
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
