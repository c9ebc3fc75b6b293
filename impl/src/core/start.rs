//! What a server starts with: what its store holds (rules L11, S1, S2).

use super::configurations::{Configurations, first, is_possible};
use super::disk::Disk;
use super::log::Log;
use super::snapshot::Snapshots;
use super::{Config, MAX_INDEX, MAX_TERM};
use crate::storage::{HardState, LogStore, StoreError};
use kontiki_specs::{LogIndex, LogPosition, Snapshot, Term};

pub(crate) struct Start {
    pub(crate) hard_state: HardState,
    pub(crate) log: Log,
    pub(crate) configurations: Configurations,
    pub(crate) snapshots: Snapshots,
}

impl Start {
    /// What is on disk as the server starts.
    pub(crate) fn disk(&self) -> Disk {
        let own = self.snapshots.own.as_ref().map(|own| own.id);
        Disk::holding(self.hard_state, self.log.last_index(), own)
    }
}

/// What a store holds, if it is what a server can have written.
pub(crate) fn read(config: &Config, store: &mut impl LogStore) -> Result<Start, StoreError> {
    let hard_state = store.hard_state()?;
    let snapshots = read_snapshots(store)?;
    let (covered, known) = (snapshots.last().term, hard_state.term);
    if covered > known {
        return corrupt(format!("a snapshot of term {covered}, but the term is {known}"));
    }
    check_term(known)?;
    let log = read_log(config, store, snapshots.own.as_ref())?;
    let entry = log.last().term;
    if entry > known {
        return corrupt(format!("an entry of term {entry}, but the term is {known}"));
    }
    let bootstrap = || (LogPosition::default(), config.bootstrap.clone().unwrap_or_default());
    let first = snapshots.own.as_ref().map_or_else(bootstrap, first);
    let configurations = Configurations::read(first, log.base().index, store)?;
    Ok(Start { hard_state, log, configurations, snapshots })
}

fn check_term(known: Term) -> Result<(), StoreError> {
    if known > MAX_TERM {
        return corrupt(format!("its term is {known}, and no term goes beyond {MAX_TERM}"));
    }
    Ok(())
}

/// The server's snapshot, and what it has of one that goes further.
fn read_snapshots(store: &impl LogStore) -> Result<Snapshots, StoreError> {
    let own = store.snapshot()?;
    own.iter().try_for_each(check_snapshot)?;
    let receiving = store.receiving()?;
    let mut snapshots = Snapshots { own, receiving, ..Snapshots::default() };
    if let Some(receiving) = &snapshots.receiving {
        check_snapshot(&receiving.snapshot)?;
        if receiving.bytes > receiving.snapshot.size {
            return corrupt(format!(
                "it has {} bytes of {}, which has {}",
                receiving.bytes, receiving.snapshot, receiving.snapshot.size
            ));
        }
    }
    snapshots.stop_receiving(snapshots.last().index);
    Ok(snapshots)
}

fn check_snapshot(snapshot: &Snapshot) -> Result<(), StoreError> {
    if snapshot.id.last.index > MAX_INDEX || !is_whole(snapshot) {
        return corrupt(format!("no server takes {snapshot} as it is said to be: {snapshot:?}"));
    }
    Ok(())
}

/// Whether what is said of a snapshot goes together.
pub(crate) fn is_whole(snapshot: &Snapshot) -> bool {
    let Snapshot { id, configuration, configuration_position: position, size } = snapshot;
    let exists = |at: LogPosition| (at.index == LogIndex::ZERO) == (at.term == Term::ZERO);
    let covers_something = id.last.index > LogIndex::ZERO && *size > 0;
    let is_covered = position.index <= id.last.index && position.term <= id.last.term;
    covers_something
        && exists(id.last)
        && exists(*position)
        && is_covered
        && is_possible(configuration)
}

/// S1: the log behind its base: without what need not be kept, and none where the log does not hold
/// the last entry that the snapshot covers. Such a log goes from the disk, too.
fn read_log(
    config: &Config,
    store: &mut impl LogStore,
    snapshot: Option<&Snapshot>,
) -> Result<Log, StoreError> {
    let mut log = Log::read(store)?;
    let base = log.base();
    let Some(snapshot) = snapshot else {
        if base == LogPosition::default() {
            return Ok(log);
        }
        return corrupt(format!("its log begins behind {base}, and there is no snapshot"));
    };
    let last = snapshot.id.last;
    if base.index > last.index {
        return corrupt(format!("its log begins behind {base}, and its snapshot is of {last}"));
    }
    if log.holds(last) {
        let through = LogIndex(last.index.0.saturating_sub(config.kept_entries));
        log.let_go(through.max(base.index));
    } else {
        store.drop_log(last)?;
        log.begin_behind(last);
    }
    Ok(log)
}

fn corrupt<T>(wrong: String) -> Result<T, StoreError> {
    Err(StoreError::Corrupt(wrong))
}
