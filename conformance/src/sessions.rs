//! The implementation's sessions beside the model's (rule C2).

use bytes::Bytes;
use kontiki::core::Raft;
use kontiki::sessions::Sessions;
use kontiki::storage::MemoryStore;
use kontiki_model::server::{ServerState, executed};
use kontiki_specs::{CommandOutcome, Entry, LogIndex, LogPosition, Output, Payload};
use std::collections::BTreeMap;

/// The part of a server's driver that keeps its sessions. The core's outputs are all that it is told.
///
/// It keeps what the sessions were at each index from the snapshot at hand on, so that a snapshot may be
/// asked for of any of them, and what became of the commands since. Both are functions of what the
/// server shows, so servers that show the same have the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct SessionDriver {
    /// The first is as of the snapshot at hand, the last as of the last applied entry.
    at: BTreeMap<LogIndex, Sessions<LogIndex>>,
    outcomes: BTreeMap<LogIndex, CommandOutcome>,
    /// What it was asked for and could not do.
    fault: Option<String>,
}

impl SessionDriver {
    /// Of a server that starts: as its snapshot says.
    pub(crate) fn start(raft: &Raft<MemoryStore>) -> Self {
        match raft.snapshot() {
            Some(snapshot) => {
                let bytes = raft.store().snapshot_bytes().cloned().unwrap_or_default();
                SessionDriver::restored(snapshot.id.last, &bytes)
            }
            None => SessionDriver::of(LogIndex::ZERO, Sessions::new()),
        }
    }

    fn of(index: LogIndex, sessions: Sessions<LogIndex>) -> Self {
        SessionDriver { at: BTreeMap::from([(index, sessions)]), ..SessionDriver::default() }
    }

    /// As of a snapshot. Its bytes are those of the implementation's sessions or, if it has come from
    /// another server, the model's, which say all that was executed.
    fn restored(last: LogPosition, bytes: &[u8]) -> Self {
        if let Some(entries) = executed(bytes) {
            let mut driver = SessionDriver::of(LogIndex::ZERO, Sessions::new());
            entries.iter().for_each(|entry| driver.apply(entry));
            return SessionDriver::of(last.index, driver.now());
        }
        match Sessions::from_bytes(bytes) {
            Ok(sessions) => SessionDriver::of(last.index, sessions),
            Err(error) => SessionDriver {
                fault: Some(format!("the snapshot of {last} holds none: {error}")),
                ..SessionDriver::default()
            },
        }
    }

    /// What they have come to.
    fn now(&self) -> Sessions<LogIndex> {
        self.at.last_key_value().map(|(_, sessions)| sessions.clone()).unwrap_or_default()
    }

    fn apply(&mut self, entry: &Entry) {
        let mut sessions = self.now();
        if let Payload::Command(command) = &entry.payload {
            let outcome = sessions.apply(entry.index, command, |_| entry.index);
            self.outcomes.insert(entry.index, outcome.observe());
        }
        self.at.insert(entry.index, sessions);
    }

    /// Does what an output asks of a state machine. `received` is what has been received of another
    /// server's snapshot. Returns the bytes of a snapshot, if one is to be taken.
    pub(crate) fn carry_out(
        &mut self,
        output: &Output,
        received: impl FnOnce() -> Vec<u8>,
    ) -> Option<Bytes> {
        match output {
            Output::Apply { entries } => entries.iter().for_each(|entry| self.apply(entry)),
            Output::Restore { snapshot } => {
                *self = SessionDriver::restored(snapshot.last, &received());
            }
            Output::TakeSnapshot { last, .. } => match self.at.get(&last.index) {
                Some(sessions) => return Some(sessions.to_bytes().into()),
                None => self.fault = Some(format!("they are not known as of {last}")),
            },
            _ => {}
        }
        None
    }

    /// The snapshot at hand covers the log up to an index: none of what comes before will be asked for.
    pub(crate) fn forget_before(&mut self, covered: LogIndex) {
        self.at = self.at.split_off(&covered);
        self.outcomes = self.outcomes.split_off(&covered.next());
    }

    /// How they differ from those of a model's server, if they do.
    pub(crate) fn difference(&self, model: &ServerState) -> Option<String> {
        let machine = &model.state_machine;
        let (found, expected) = (self.now().observe(), &machine.sessions);
        let since = || machine.outcomes.range(model.covered().index.next()..);
        if self.fault.is_some() {
            self.fault.clone()
        } else if found != *expected {
            Some(format!("remembered are {found:?}, and by the model {expected:?}"))
        } else if !since().eq(&self.outcomes) {
            let expected: BTreeMap<_, _> = since().collect();
            Some(format!("commands became {:?}, and in the model {expected:?}", self.outcomes))
        } else {
            None
        }
    }
}
