//! What has been found out about the servers of a state together, kept for the whole run.

use super::histories::History;
use super::numbers::StateNumber;
use super::tables::Tables;
use crate::properties::{
    ClusterView, GoalSet, PropertySet, judge_state, recovers, sets_to_recover,
};
use crate::server::{RaftServer, ServerState};
use kontiki_specs::Property;
use kontiki_specs::scope::Scope;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// What a set of server states and a history break and reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) broken: PropertySet,
    pub(super) goals: GoalSet,
}

/// Every verdict so far.
pub(super) struct Verdicts {
    /// The sets of servers that may have to recover by themselves.
    sets_to_recover: Vec<Vec<usize>>,
    transfers: bool,
    by_key: FxHashMap<u128, Verdict>,
    recoveries: FxHashMap<SmallVec<[StateNumber; 4]>, bool>,
}

impl Verdicts {
    pub(super) fn new(scope: &Scope) -> Self {
        Verdicts {
            sets_to_recover: sets_to_recover(scope),
            transfers: scope.transfers > 0,
            by_key: FxHashMap::default(),
            recoveries: FxHashMap::default(),
        }
    }

    /// The verdict on server states with a history, which have this key together. Recovery is
    /// looked at only if it is one of the `properties`.
    pub(super) fn judge(
        &mut self,
        tables: &mut Tables,
        (numbers, history): (&[StateNumber], &History),
        key: u128,
        properties: PropertySet,
    ) -> Verdict {
        if let Some(verdict) = self.by_key.get(&key) {
            return *verdict;
        }
        let servers: Vec<&ServerState> =
            numbers.iter().map(|number| &tables.states[*number as usize].state).collect();
        let (mut broken, goals) = judge_state(&ClusterView {
            bootstrap: &tables.servers[0].bootstrap,
            servers: &servers,
            committed: &history.committed,
        });
        if properties.contains(Property::Recovery) {
            broken.insert_if(!self.all_recover(tables, numbers), Property::Recovery);
        }
        let verdict = Verdict { broken, goals };
        tables.goals.extend(goals);
        self.by_key.insert(key, verdict);
        verdict
    }

    fn all_recover(&mut self, tables: &Tables, state: &[StateNumber]) -> bool {
        let Verdicts { sets_to_recover, transfers, recoveries, .. } = self;
        sets_to_recover.iter().all(|up| {
            let numbers: SmallVec<[StateNumber; 4]> =
                up.iter().map(|place| state[*place]).collect();
            if let Some(known) = recoveries.get(&numbers) {
                return *known;
            }
            let servers: Vec<&RaftServer> =
                up.iter().map(|place| &tables.servers[*place]).collect();
            let states: Vec<&ServerState> =
                numbers.iter().map(|number| &tables.states[*number as usize].state).collect();
            let recovered = recovers(&servers, &states, *transfers);
            recoveries.insert(numbers, recovered);
            recovered
        })
    }
}
