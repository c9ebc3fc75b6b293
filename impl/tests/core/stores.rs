//! A store that fails stops the server, which starts again when the store is whole.

use crate::support::*;
use kontiki::core::{Outputs, Raft, StepError};
use kontiki::storage::{HardState, LogStore, MemoryStore, StoreError};
use kontiki::{Entries, Input, LogIndex, RoleKind, Term};

/// A store that can be told to fail.
#[derive(Clone, Debug, PartialEq)]
struct Failing {
    store: MemoryStore,
    fails: bool,
}

impl Failing {
    fn result<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if self.fails { Err(StoreError::Unreadable("it is gone".to_string())) } else { result }
    }
}

impl LogStore for Failing {
    fn hard_state(&self) -> Result<HardState, StoreError> {
        self.result(self.store.hard_state())
    }
    fn last_index(&self) -> Result<LogIndex, StoreError> {
        self.result(self.store.last_index())
    }
    fn term(&self, index: LogIndex) -> Result<Term, StoreError> {
        self.result(self.store.term(index))
    }
    fn entries(&self, first: LogIndex, last: LogIndex, max: u64) -> Result<Entries, StoreError> {
        self.result(self.store.entries(first, last, max))
    }
}

#[test]
fn a_failing_store_stops_the_server() {
    let log = vec![entry(1, 1), entry(2, 2), entry(3, 2)];
    let hard_state = HardState { term: Term(2), vote: None };
    let store = Failing { store: MemoryStore::with(hard_state, log), fails: false };
    let mut raft = Raft::start(config(), store).unwrap();
    let mut outputs = Outputs::new();
    // What an earlier step has put out stays, writes and others.
    raft.step(deliver(S2, append(3, at(3, 2), &[], 0)), &mut outputs).unwrap();
    raft.step(deliver(S3, append(2, at(3, 2), &[], 0)), &mut outputs).unwrap();
    let earlier = outputs.clone();
    assert_eq!(earlier.len(), 2, "{earlier:?}");
    let commit = deliver(S2, append(4, at(3, 2), &[4], 3));
    raft.store_mut().fails = true;
    let error = raft.step(commit.clone(), &mut outputs).unwrap_err();
    assert_eq!(error, StepError::Store(StoreError::Unreadable("it is gone".to_string())));
    assert_eq!(outputs, earlier);
    assert!(raft.is_stopped());
    outputs.clear();
    assert!(outputs.is_empty() && outputs.iter().next().is_none());
    raft.store_mut().fails = false;
    assert_eq!(raft.step(commit.clone(), &mut outputs), Err(StepError::Stopped));
    assert_eq!(raft.step(Input::ElectionTimeout, &mut outputs), Err(StepError::Stopped));
    raft.store_mut().fails = true;
    let error = raft.step(Input::Restart { torn: None }, &mut outputs).unwrap_err();
    assert!(matches!(error, StepError::Store(_)));
    raft.store_mut().fails = false;
    raft.step(Input::Restart { torn: None }, &mut outputs).unwrap();
    assert_eq!((raft.role(), raft.commit_index()), (RoleKind::Follower, LogIndex(0)));
    assert!(!raft.is_stopped());
    raft.step(commit, &mut outputs).unwrap();
    assert_eq!((raft.commit_index(), raft.last_index()), (LogIndex(3), LogIndex(4)));
    assert_eq!((raft.applied_index(), raft.durable_index()), (LogIndex(3), LogIndex(3)));
    assert_eq!(raft.into_store().store.log().len(), 3, "nothing has been carried out");
}

#[test]
fn a_store_gives_at_least_one_entry_and_no_more_than_asked_for() {
    let log: Vec<_> = (1..=4).map(|index| entry(index, 1)).collect();
    let store = MemoryStore::with(HardState { term: Term(1), vote: None }, log);
    let count = |first, last, max| {
        store.entries(LogIndex(first), LogIndex(last), max).map(|entries| entries.len())
    };
    assert_eq!(count(1, 4, u64::MAX), Ok(4));
    assert_eq!(count(2, 3, u64::MAX), Ok(2));
    assert_eq!(count(2, 9, u64::MAX), Ok(3));
    assert_eq!(count(1, 4, 48), Ok(2));
    assert_eq!(count(1, 4, 47), Ok(1));
    assert_eq!(count(1, 4, 0), Ok(1));
    let missing = StoreError::Missing { index: LogIndex(5), last_index: LogIndex(4) };
    assert_eq!(count(5, 5, 9), Err(missing));
    assert!(count(0, 3, 9).is_err());
}
