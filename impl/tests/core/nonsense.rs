//! What makes no sense is refused with its reason and changes nothing.

use crate::support::*;
use kontiki::core::{
    Config, ConfigError, MAX_INDEX, MAX_TERM, Raft, Rejection, StartError, StepError,
};
use kontiki::storage::{HardState, MemoryStore, StoreError};
use kontiki::{Configuration, Input, LogIndex, Message, Term};

/// Server 1 following server 2 in term 2, with entries 1@1 and 2@2, the first committed.
fn follower() -> Raft<MemoryStore> {
    let mut raft = start(config());
    step(&mut raft, deliver(S2, append(2, at(0, 0), &[1, 2], 1)));
    assert_eq!((raft.last_index(), raft.commit_index()), (LogIndex(2), LogIndex(1)));
    raft
}

#[track_caller]
fn rejects(raft: &mut Raft<MemoryStore>, input: Input, reason: Rejection) {
    assert_eq!(refused(raft, input), StepError::Rejected(reason));
}

#[test]
fn messages_that_are_ill_formed() {
    let raft = &mut follower();
    let beyond = LogIndex(MAX_INDEX.0 + 1);
    let late = Term(MAX_TERM.0 + 1);
    let request = |term, last| Message::RequestVote { term: Term(term), last, transfer: false };
    rejects(raft, deliver(S1, vote(2)), Rejection::FromItself);
    rejects(raft, deliver(S2, request(0, at(0, 0))), Rejection::TermZero);
    rejects(raft, deliver(S2, vote(0)), Rejection::TermZero);
    rejects(raft, deliver(S2, Message::LaterTerm { term: Term(0) }), Rejection::TermZero);
    rejects(
        raft,
        deliver(S2, Message::LaterTerm { term: late }),
        Rejection::TermTooLarge { term: late },
    );
    rejects(
        raft,
        deliver(S2, append(3, at(beyond.0, 2), &[], 0)),
        Rejection::IndexTooLarge { index: beyond },
    );
    rejects(
        raft,
        deliver(S2, append(3, at(MAX_INDEX.0, 2), &[2], 0)),
        Rejection::IndexTooLarge { index: beyond },
    );
    rejects(
        raft,
        deliver(S2, append(3, at(0, 0), &[], beyond.0)),
        Rejection::IndexTooLarge { index: beyond },
    );
    for (index, term) in [(0, 1), (1, 0)] {
        let reason = Rejection::NoSuchPosition { index: LogIndex(index), term: Term(term) };
        rejects(raft, deliver(S3, request(3, at(index, term))), reason);
        rejects(raft, deliver(S3, append(3, at(index, term), &[], 0)), reason);
    }
    let reason = Rejection::PositionOfLaterTerm { position: Term(4), term: Term(3) };
    rejects(raft, deliver(S3, request(3, at(1, 4))), reason);
    rejects(raft, deliver(S3, append(3, at(1, 4), &[], 0)), reason);
}

#[test]
fn entries_that_are_out_of_place() {
    let raft = &mut follower();
    for terms in [&[0][..], &[4], &[2, 1]] {
        let input = deliver(S3, append(3, at(2, 2), terms, 0));
        let error = refused(raft, input);
        assert!(matches!(error, StepError::Rejected(Rejection::EntryOutOfPlace { .. })), "{error}");
    }
    let gap = Message::AppendEntries {
        term: Term(3),
        prev: at(2, 2),
        entries: [entry(4, 3)].into_iter().collect(),
        commit_index: LogIndex(0),
    };
    let reason = Rejection::EntryOutOfPlace { index: LogIndex(4), term: Term(3) };
    rejects(raft, deliver(S3, gap), reason);
}

#[test]
fn what_only_a_broken_promise_explains() {
    let raft = &mut follower();
    let reason = Rejection::SecondLeader { from: S3, leader: S2, term: Term(2) };
    rejects(raft, deliver(S3, append(2, at(2, 2), &[], 0)), reason);
    let reason = Rejection::ContradictsCommitted { index: LogIndex(1), commit_index: LogIndex(1) };
    rejects(raft, deliver(S2, append(2, at(1, 2), &[], 0)), reason);
    rejects(raft, deliver(S3, append(3, at(0, 0), &[3], 0)), reason);
    // Of an earlier term, the same is only late, and is answered.
    let outputs = step(raft, deliver(S3, append(1, at(0, 0), &[1], 0)));
    assert_eq!(outputs.len(), 1);
    let raft = &mut leader(config());
    let reason = Rejection::SecondLeader { from: S3, leader: S1, term: Term(1) };
    rejects(raft, deliver(S3, append(1, at(1, 1), &[], 0)), reason);
    let reason = Rejection::AcknowledgesUnsent { index: LogIndex(2), last_index: LogIndex(1) };
    rejects(raft, deliver(S3, matched(1, 2)), reason);
}

#[test]
fn refusals_that_lead_nowhere() {
    let raft = &mut leader(config());
    for (prev, hint) in [(1, at(1, 1)), (0, at(0, 0))] {
        let reason = Rejection::HintNotBefore { hint: hint.index, prev_index: LogIndex(prev) };
        rejects(raft, deliver(S3, mismatch(1, prev, hint)), reason);
    }
    let beyond = LogIndex(MAX_INDEX.0 + 1);
    let reason = Rejection::IndexTooLarge { index: beyond };
    rejects(raft, deliver(S3, mismatch(1, beyond.0, at(0, 0))), reason);
    rejects(raft, deliver(S3, matched(1, beyond.0)), reason);
}

#[test]
fn completions_of_nothing() {
    let raft = &mut follower();
    let written = Input::HardStateWritten { incarnation: 0, term: Term(2), vote: None };
    rejects(raft, written, Rejection::UnexpectedCompletion);
    let written =
        Input::EntriesWritten { incarnation: 0, leader_term: Term(2), index: LogIndex(2) };
    rejects(raft, written, Rejection::UnexpectedCompletion);
}

#[test]
fn the_last_term() {
    let hard_state = HardState { term: MAX_TERM, vote: None };
    let mut raft = Raft::start(config(), MemoryStore::with(hard_state, Vec::new())).unwrap();
    rejects(&mut raft, Input::ElectionTimeout, Rejection::TermsExhausted);
    let told = deliver(S2, Message::TimeoutNow { term: MAX_TERM });
    rejects(&mut raft, told, Rejection::TermsExhausted);
}

#[test]
fn stores_that_no_server_wrote() {
    let at_term = |term| HardState { term: Term(term), vote: None };
    for (hard_state, log, part) in [
        (at_term(1), vec![entry(1, 2)], "an entry of term 2"),
        (at_term(3), vec![entry(1, 2), entry(2, 1)], "follows term 2"),
        (at_term(3), vec![entry(1, 0)], "of term 0"),
        (at_term(3), vec![entry(2, 1)], "entry 2 stands where entry 1 should"),
    ] {
        let error = Raft::start(config(), MemoryStore::with(hard_state, log)).unwrap_err();
        assert!(matches!(error, StartError::Store(StoreError::Corrupt(_))), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn configurations_that_cannot_run() {
    let mut without_voters = config();
    without_voters.bootstrap = Some(Configuration::default());
    assert_eq!(without_voters.check(), Err(ConfigError::NoVoters));
    assert_eq!(Config::joining(S1).check(), Ok(()));
    let mut both = config();
    both.bootstrap.as_mut().unwrap().learners.insert(S2);
    assert_eq!(both.check(), Err(ConfigError::LearnerIsVoter { server: S2 }));
    let mut without_window = config();
    without_window.limits.window_entries = 0;
    let error = Raft::start(without_window, MemoryStore::new()).unwrap_err();
    assert_eq!(error, StartError::Config(ConfigError::ZeroLimit { name: "window_entries" }));
    let mut large = config();
    large.limits.command_bytes = u64::from(u32::MAX);
    assert_eq!(large.check(), Err(ConfigError::LargeCommands));
    large.limits.command_bytes -= 24;
    assert_eq!(large.check(), Ok(()));
}
