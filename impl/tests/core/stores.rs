//! A store that fails stops the server, which starts again when the store is whole.

use crate::support::*;
use kontiki::core::{Config, MAX_INDEX, MAX_TERM, Outputs, Raft, Rejection, StartError, StepError};
use kontiki::storage::{HardState, LogStore, MemoryStore, Received, StoreError};
use kontiki::{
    Configuration, Entries, Entry, Input, LogIndex, LogPosition, Payload, RoleKind, ServerId,
    Snapshot, Term,
};

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
    fn base(&self) -> Result<LogPosition, StoreError> {
        self.result(self.store.base())
    }
    fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        self.result(self.store.snapshot())
    }
    fn receiving(&self) -> Result<Option<Received>, StoreError> {
        self.result(self.store.receiving())
    }
    fn drop_log(&mut self, base: LogPosition) -> Result<(), StoreError> {
        if self.fails { self.result(Ok(())) } else { self.store.drop_log(base) }
    }
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
    assert_eq!(earlier.len(), 4, "{earlier:?}");
    let commit = deliver(S2, append(4, at(3, 2), &[4], 3));
    raft.store_mut().fails = true;
    let error = raft.step(commit.clone(), &mut outputs).unwrap_err();
    assert_eq!(error, StepError::Store(StoreError::Unreadable("it is gone".to_string())));
    assert_eq!(outputs, earlier);
    assert!(raft.is_stopped());
    assert_eq!((raft.role(), raft.leader()), (RoleKind::Follower, None));
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

/// A server with three entries of two terms on disk, of which it has read only the terms.
fn started() -> Raft<Failing> {
    let log = vec![entry(1, 1), entry(2, 2), entry(3, 2)];
    let hard_state = HardState { term: Term(2), vote: None };
    let store = Failing { store: MemoryStore::with(hard_state, log), fails: false };
    Raft::start(config(), store).unwrap()
}

#[test]
fn a_store_that_changes_behind_the_server_stops_it() {
    let hard_state = HardState { term: Term(2), vote: None };
    let commit = deliver(S2, append(2, at(3, 2), &[], 3));
    for (log, corrupt) in [
        (vec![entry(1, 1), entry(2, 1), entry(3, 2)], true),
        (vec![entry(1, 1), entry(2, 2), entry(4, 2)], true),
        (vec![], false),
    ] {
        let mut raft = started();
        raft.store_mut().store = MemoryStore::with(hard_state, log);
        let error = raft.step(commit.clone(), &mut Outputs::new()).unwrap_err();
        let is_corrupt = matches!(error, StepError::Store(StoreError::Corrupt(_)));
        assert_eq!(is_corrupt, corrupt, "{error}");
        assert!(raft.is_stopped());
    }
}

/// A store that gives more than it was asked for, or nothing.
#[derive(Clone, Debug)]
struct Odd {
    store: MemoryStore,
    entries: Entries,
}

impl LogStore for Odd {
    fn base(&self) -> Result<LogPosition, StoreError> {
        self.store.base()
    }
    fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        self.store.snapshot()
    }
    fn receiving(&self) -> Result<Option<Received>, StoreError> {
        self.store.receiving()
    }
    fn drop_log(&mut self, base: LogPosition) -> Result<(), StoreError> {
        self.store.drop_log(base)
    }
    fn hard_state(&self) -> Result<HardState, StoreError> {
        self.store.hard_state()
    }
    fn last_index(&self) -> Result<LogIndex, StoreError> {
        self.store.last_index()
    }
    fn term(&self, index: LogIndex) -> Result<Term, StoreError> {
        self.store.term(index)
    }
    fn entries(&self, _: LogIndex, _: LogIndex, _: u64) -> Result<Entries, StoreError> {
        Ok(self.entries.clone())
    }
}

#[test]
fn a_store_that_gives_something_else_stops_the_server() {
    let log: Vec<_> = (1..=3).map(|index| entry(index, 1)).collect();
    let store = MemoryStore::with(HardState { term: Term(1), vote: None }, log.clone());
    // Asked for the first two, it gives nothing, or all three.
    let whole: Entries = log.into();
    for entries in [Entries::new(), whole.clone()] {
        let honest = Odd { store: store.clone(), entries: whole.clone() };
        let mut raft = Raft::start(config(), honest).unwrap();
        raft.store_mut().entries = entries;
        let commit = deliver(S2, append(1, at(3, 1), &[], 2));
        let error = raft.step(commit, &mut Outputs::new()).unwrap_err();
        assert!(matches!(error, StepError::Store(StoreError::Missing { .. })), "{error}");
    }
}

#[test]
fn a_server_starts_with_the_last_configuration_of_its_store() {
    let members = |ids: std::ops::RangeInclusive<u64>| Configuration::of_voters(ids.map(ServerId));
    let configured = |index, configuration| {
        let payload = Payload::Configuration(configuration);
        Entry { payload, ..entry(index, 1) }
    };
    let hard_state = HardState { term: Term(1), vote: None };
    let log = vec![entry(1, 1), configured(2, members(1..=4)), configured(3, members(1..=5))];
    let raft = Raft::start(config(), MemoryStore::with(hard_state, log.clone())).unwrap();
    assert_eq!((raft.configuration(), raft.configuration_index()), (&members(1..=5), LogIndex(3)));
    let mut raft = Raft::start(Config::joining(S1), MemoryStore::new()).unwrap();
    assert_eq!(*raft.configuration(), Configuration::default());
    *raft.store_mut() = MemoryStore::with(hard_state, log[..2].to_vec());
    raft.step(Input::Restart { torn: None }, &mut Outputs::new()).unwrap();
    assert_eq!((raft.configuration(), raft.configuration_index()), (&members(1..=4), LogIndex(2)));

    let nobody = vec![entry(1, 1), configured(2, Configuration::default())];
    let error = Raft::start(config(), MemoryStore::with(hard_state, nobody)).unwrap_err();
    assert!(error.to_string().contains("entry 2 is not a configuration"), "{error}");
    let store = MemoryStore::with(hard_state, vec![entry(1, 1), entry(2, 1)]);
    let silent = Raft::start(config(), Odd { store, entries: Entries::new() }).unwrap_err();
    assert!(matches!(silent, StartError::Store(StoreError::Missing { .. })), "{silent}");
}

/// A store that has kept account of configurations, wrongly.
#[derive(Clone, Debug)]
struct Told {
    store: MemoryStore,
    configurations: Vec<LogIndex>,
}

impl LogStore for Told {
    fn base(&self) -> Result<LogPosition, StoreError> {
        self.store.base()
    }
    fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        self.store.snapshot()
    }
    fn receiving(&self) -> Result<Option<Received>, StoreError> {
        self.store.receiving()
    }
    fn drop_log(&mut self, base: LogPosition) -> Result<(), StoreError> {
        self.store.drop_log(base)
    }
    fn hard_state(&self) -> Result<HardState, StoreError> {
        self.store.hard_state()
    }
    fn last_index(&self) -> Result<LogIndex, StoreError> {
        self.store.last_index()
    }
    fn term(&self, index: LogIndex) -> Result<Term, StoreError> {
        self.store.term(index)
    }
    fn entries(&self, first: LogIndex, last: LogIndex, max: u64) -> Result<Entries, StoreError> {
        self.store.entries(first, last, max)
    }
    fn configurations(&self) -> Result<Vec<LogIndex>, StoreError> {
        Ok(self.configurations.clone())
    }
}

#[test]
fn a_server_does_not_start_with_a_wrong_account_of_configurations() {
    let configured = |index| {
        let payload = Payload::Configuration(Configuration::of_voters([S1, S2]));
        Entry { payload, ..entry(index, 1) }
    };
    let log = vec![entry(1, 1), configured(2), configured(3)];
    let store = MemoryStore::with(HardState { term: Term(1), vote: None }, log);
    let start = |told: &[u64]| {
        let configurations = told.iter().copied().map(LogIndex).collect();
        Raft::start(config(), Told { store: store.clone(), configurations })
    };
    assert_eq!(start(&[2, 3]).unwrap().configuration_index(), LogIndex(3));
    for (told, says) in [
        (&[1, 2][..], "entry 1 is not a configuration that a leader appends"),
        (&[3, 2], "entry 2 is no configuration where there should be one"),
        (&[2, 2], "entry 2 is no configuration where there should be one"),
    ] {
        let error = start(told).unwrap_err();
        assert!(matches!(error, StartError::Store(StoreError::Corrupt(_))), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn servers_are_equal_by_what_they_hold_not_by_the_pieces_it_came_in() {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let hash = |raft: &Raft<MemoryStore>| {
        let mut hasher = DefaultHasher::new();
        raft.hash(&mut hasher);
        hasher.finish()
    };
    let follower = |messages: &[(u64, &[u64])]| {
        let mut raft = start(config());
        for (after, terms) in messages {
            let prev = if *after == 0 { at(0, 0) } else { at(*after, 1) };
            step(&mut raft, deliver(S2, append(1, prev, terms, 0)));
        }
        raft
    };
    let whole = follower(&[(0, &[1, 1])]);
    let in_pieces = follower(&[(0, &[1]), (1, &[1])]);
    assert!(whole == in_pieces && hash(&whole) == hash(&in_pieces));
    let longer = follower(&[(0, &[1, 1, 1])]);
    assert!(whole != longer && hash(&whole) != hash(&longer));
    // The same terms in other entries, still on their way to disk.
    let proposed = |command: &'static [u8]| {
        let mut raft = leader(config());
        let commands = vec![command.into()];
        raft.step(Input::Propose { commands }, &mut Outputs::new()).unwrap();
        raft
    };
    let (one, same, other) = (proposed(b"x"), proposed(b"x"), proposed(b"y"));
    assert!(one == same && hash(&one) == hash(&same));
    assert!(one != other && hash(&one) != hash(&other));
    let mut released = whole.clone();
    released.release_memory();
    assert!(released != whole, "what is in memory is part of a server");
}

/// A store that claims what no server can have come to.
struct Claiming {
    term: Term,
    last_index: LogIndex,
}

impl LogStore for Claiming {
    fn base(&self) -> Result<LogPosition, StoreError> {
        Ok(LogPosition::default())
    }
    fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(None)
    }
    fn receiving(&self) -> Result<Option<Received>, StoreError> {
        Ok(None)
    }
    fn drop_log(&mut self, _: LogPosition) -> Result<(), StoreError> {
        Ok(())
    }
    fn hard_state(&self) -> Result<HardState, StoreError> {
        Ok(HardState { term: self.term, vote: None })
    }
    fn last_index(&self) -> Result<LogIndex, StoreError> {
        Ok(self.last_index)
    }
    fn term(&self, _: LogIndex) -> Result<Term, StoreError> {
        Ok(Term(1))
    }
    fn entries(&self, first: LogIndex, last: LogIndex, _: u64) -> Result<Entries, StoreError> {
        Ok([first, last].into_iter().map(|index| entry(index.0, 1)).collect())
    }
    fn configurations(&self) -> Result<Vec<LogIndex>, StoreError> {
        Ok(Vec::new())
    }
}

#[test]
fn a_server_does_not_start_with_what_no_server_comes_to() {
    let starts = |term, last_index| Raft::start(config(), Claiming { term, last_index });
    let beyond = |number: u64| LogIndex(number.saturating_add(1));
    for last_index in [beyond(MAX_INDEX.0), beyond(u64::MAX - 1), LogIndex(u64::MAX)] {
        let error = starts(Term(1), last_index).err();
        assert!(matches!(error, Some(StartError::Store(StoreError::Corrupt(_)))), "{error:?}");
    }
    for term in [Term(MAX_TERM.0 + 1), Term(u64::MAX)] {
        let error = starts(term, LogIndex(1)).err();
        assert!(matches!(error, Some(StartError::Store(StoreError::Corrupt(_)))), "{error:?}");
    }
}

#[test]
fn a_log_that_is_full_takes_no_proposals() {
    let store = Claiming { term: Term(1), last_index: LogIndex(MAX_INDEX.0 - 1) };
    let mut raft = Raft::start(config(), store).unwrap();
    let mut outputs = Outputs::new();
    let index = LogIndex(MAX_INDEX.0 + 1);
    let full = Err(StepError::Rejected(Rejection::IndexTooLarge { index }));
    assert_eq!(raft.step(propose(&[1, 1]), &mut outputs), full);
    assert_eq!(raft.step(propose(&[1]), &mut outputs), Ok(()), "refused, as it does not lead");
}
