//! What has been committed in a cluster, in any server's knowledge, since the start.

use super::hashes::wide_hash;
use super::numbers::{HistoryNumber, next_number};
use super::symmetry::Renaming;
use crate::environment::Turn;
use crate::properties::Committed;
use crate::server::ServerState;
use kontiki_specs::{Configuration, LogIndex};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// What has been committed.
pub(super) struct History {
    pub(super) committed: Vec<Committed>,
    /// Its hash under each renaming.
    pub(super) hashes: Vec<u128>,
}

/// What a server has come to know as committed: up to which entry, under which configuration.
pub(super) type Commits = SmallVec<[(LogIndex, Arc<Configuration>); 1]>;

/// What the steps of a turn commit. The configuration that counts is the one before the step: what
/// a step appends, it appends after it has counted.
pub(super) fn commits(before: &ServerState, turn: &Turn) -> Commits {
    let mut commits = Commits::new();
    let mut before = before;
    for (_, _, after) in &turn.steps {
        if after.commit_index > before.commit_index {
            commits.push((after.commit_index, Arc::clone(&before.configuration)));
        }
        before = after;
    }
    commits
}

/// Every history so far, by its number.
pub(super) struct Histories {
    all: Vec<History>,
    numbers: FxHashMap<Vec<Committed>, HistoryNumber>,
}

impl Histories {
    /// The number of the history in which nothing is committed.
    pub(super) const START: HistoryNumber = 0;

    pub(super) fn new(renamings: &[Renaming]) -> Self {
        let mut histories = Histories { all: Vec::new(), numbers: FxHashMap::default() };
        histories.number(Vec::new(), renamings);
        histories
    }

    pub(super) fn get(&self, history: HistoryNumber) -> &History {
        &self.all[history as usize]
    }

    /// The history after a server has come to `after`: longer if that server knows of more commits
    /// than anybody did.
    pub(super) fn extend(
        &mut self,
        history: HistoryNumber,
        commits: &Commits,
        after: &ServerState,
        renamings: &[Renaming],
    ) -> HistoryNumber {
        let known = &self.get(history).committed;
        let newest = commits.last().map_or(0, |(index, _)| index.0);
        if newest <= known.len() as u64 {
            return history;
        }
        let mut longer = known.clone();
        for (index, configuration) in commits {
            let known = longer.len();
            let new = after.log.up_to(*index).get(known..).unwrap_or_default().iter();
            longer.extend(new.map(|entry| Committed {
                entry: entry.clone(),
                in_term: after.term,
                configuration: Arc::clone(configuration),
            }));
        }
        self.number(longer, renamings)
    }

    fn number(&mut self, committed: Vec<Committed>, renamings: &[Renaming]) -> HistoryNumber {
        if let Some(number) = self.numbers.get(&committed) {
            return *number;
        }
        let number = next_number(self.all.len());
        let renamed = |names: &Renaming| {
            committed.iter().map(|known| names.committed(known)).collect::<Vec<_>>()
        };
        let hashes = renamings.iter().map(|names| wide_hash(&renamed(names))).collect();
        self.all.push(History { committed: committed.clone(), hashes });
        self.numbers.insert(committed, number);
        number
    }
}
