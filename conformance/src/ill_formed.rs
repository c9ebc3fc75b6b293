//! Messages that no server sends, whatever its state: each must be turned away, for its own reason.

use kontiki::core::{MAX_INDEX, MAX_TERM, Rejection};
use kontiki_specs::{
    AppendOutcome, Configuration, Entry, Input, LogIndex, LogPosition, Message, Payload, ReadId,
    ServerId, Term,
};

/// Ill-formed messages to a server, with what must be said of each. `peer` is another server: any,
/// for who belongs to a cluster changes, and messages of those who do not any more may still come.
pub fn ill_formed(to: ServerId, peer: ServerId) -> Vec<(Input, Rejection)> {
    let deliver = |from, message| Input::Deliver { from, message };
    let mut all = Vec::new();
    all.push((deliver(to, Message::LaterTerm { term: LATE }), Rejection::FromItself));
    let begun = replies().into_iter().chain([request(LATE, NOWHERE), append(LATE, NOWHERE, &[])]);
    for message in begun.filter(|message| !matches!(message, Message::RequestPreVoteReply { .. })) {
        all.push((deliver(peer, in_term(&message, Term::ZERO)), Rejection::TermZero));
        let term = Term(MAX_TERM.0 + 1);
        all.push((deliver(peer, in_term(&message, term)), Rejection::TermTooLarge { term }));
    }
    let positions = misplaced().into_iter().flat_map(|(at, rejection)| {
        let ask = Message::RequestPreVote { term: LATE, last: at };
        let refuse = mismatch(MAX_INDEX, at);
        let messages = [ask, request(LATE, at), append(LATE, at, &[]), refuse];
        messages.map(|message| (message, rejection))
    });
    all.extend(positions.map(|(message, rejection)| (deliver(peer, message), rejection)));
    all.extend(
        numbers().into_iter().map(|(message, rejection)| (deliver(peer, message), rejection)),
    );
    all
}

/// Later than any term of a scope.
const LATE: Term = Term(1000);
const NOWHERE: LogPosition = LogPosition { index: LogIndex::ZERO, term: Term::ZERO };

fn replies() -> [Message; 10] {
    let matched = AppendOutcome::Matched { index: LogIndex(1) };
    let (read, index) = (ReadId(1), LogIndex(1));
    [
        Message::RequestPreVoteReply { term: LATE, granted: true },
        Message::RequestVoteReply { term: LATE, granted: true },
        Message::AppendEntriesReply { term: LATE, outcome: matched },
        mismatch(LogIndex(1), NOWHERE),
        Message::ConfirmLeadership { term: LATE, round: 1 },
        Message::ConfirmLeadershipReply { term: LATE, round: 1 },
        Message::ReadIndex { term: LATE, read },
        Message::ReadIndexReply { term: LATE, read, index },
        Message::TimeoutNow { term: LATE },
        Message::LaterTerm { term: LATE },
    ]
}

fn request(term: Term, last: LogPosition) -> Message {
    Message::RequestVote { term, last, transfer: false }
}

fn mismatch(prev_index: LogIndex, hint: LogPosition) -> Message {
    let outcome = AppendOutcome::Mismatch { prev_index, hint };
    Message::AppendEntriesReply { term: LATE, outcome }
}

/// Entries at these places, of these terms.
fn append(term: Term, prev: LogPosition, entries: &[LogPosition]) -> Message {
    let entry = |at: &LogPosition| Entry { term: at.term, index: at.index, payload: Payload::Noop };
    let entries = entries.iter().map(entry).collect();
    Message::AppendEntries { term, prev, entries, commit_index: LogIndex::ZERO }
}

/// An entry that makes these servers voters and learners.
fn configured(voters: &[u64], learners: &[u64]) -> Message {
    let set = |servers: &[u64]| servers.iter().copied().map(ServerId).collect();
    let (voters, learners) = (set(voters), set(learners));
    let configuration = Configuration { voters, learners, ..Configuration::default() };
    let payload = Payload::Configuration(configuration);
    let entry = Entry { term: Term(1), index: LogIndex(1), payload };
    let entries = [entry].into_iter().collect();
    Message::AppendEntries { term: LATE, prev: NOWHERE, entries, commit_index: LogIndex::ZERO }
}

/// The same message in another term.
fn in_term(message: &Message, in_term: Term) -> Message {
    let mut message = message.clone();
    match &mut message {
        Message::RequestPreVote { term, .. }
        | Message::RequestPreVoteReply { term, .. }
        | Message::RequestVote { term, .. }
        | Message::RequestVoteReply { term, .. }
        | Message::AppendEntries { term, .. }
        | Message::AppendEntriesReply { term, .. }
        | Message::InstallSnapshot { term, .. }
        | Message::InstallSnapshotReply { term, .. }
        | Message::ConfirmLeadership { term, .. }
        | Message::ConfirmLeadershipReply { term, .. }
        | Message::ReadIndex { term, .. }
        | Message::ReadIndexReply { term, .. }
        | Message::TimeoutNow { term }
        | Message::LaterTerm { term } => *term = in_term,
    }
    message
}

/// Positions that are in no log of a server in [`LATE`].
fn misplaced() -> Vec<(LogPosition, Rejection)> {
    let at = |index, term| LogPosition { index: LogIndex(index), term: Term(term) };
    let nowhere =
        |index, term| Rejection::NoSuchPosition { index: LogIndex(index), term: Term(term) };
    let later = Term(LATE.0 + 1);
    vec![
        (at(0, 1), nowhere(0, 1)),
        (at(1, 0), nowhere(1, 0)),
        (at(1, later.0), Rejection::PositionOfLaterTerm { position: later, term: LATE }),
        (
            LogPosition { index: LogIndex(MAX_INDEX.0 + 1), term: Term(1) },
            Rejection::IndexTooLarge { index: LogIndex(MAX_INDEX.0 + 1) },
        ),
    ]
}

/// Numbers out of range, entries out of order, and hints that lead nowhere.
fn numbers() -> Vec<(Message, Rejection)> {
    let at = |index, term| LogPosition { index: LogIndex(index), term: Term(term) };
    let out_of_place =
        |index, term| Rejection::EntryOutOfPlace { index: LogIndex(index), term: Term(term) };
    let index = LogIndex(MAX_INDEX.0 + 1);
    let too_large = Rejection::IndexTooLarge { index };
    let last = LogPosition { index: MAX_INDEX, term: Term(1) };
    let acknowledge = |index| {
        let outcome = AppendOutcome::Matched { index };
        Message::AppendEntriesReply { term: LATE, outcome }
    };
    let commit = Message::AppendEntries {
        term: LATE,
        prev: NOWHERE,
        entries: Default::default(),
        commit_index: index,
    };
    let hint_not_before = |hint: u64, prev: u64| Rejection::HintNotBefore {
        hint: LogIndex(hint),
        prev_index: LogIndex(prev),
    };
    vec![
        (append(LATE, NOWHERE, &[at(2, 1)]), out_of_place(2, 1)),
        (append(LATE, NOWHERE, &[at(1, 0)]), out_of_place(1, 0)),
        (append(LATE, NOWHERE, &[at(1, LATE.0 + 1)]), out_of_place(1, LATE.0 + 1)),
        (append(LATE, at(1, 2), &[at(2, 1)]), out_of_place(2, 1)),
        (append(LATE, NOWHERE, &[at(1, 2), at(3, 2)]), out_of_place(3, 2)),
        (append(LATE, NOWHERE, &[at(1, 2), at(2, 1)]), out_of_place(2, 1)),
        (append(LATE, last, &[LogPosition { index, term: Term(1) }]), too_large),
        (configured(&[], &[]), Rejection::ImpossibleConfiguration { index: LogIndex(1) }),
        (configured(&[1], &[1]), Rejection::ImpossibleConfiguration { index: LogIndex(1) }),
        (commit, too_large),
        (Message::ReadIndexReply { term: LATE, read: ReadId(1), index }, too_large),
        (acknowledge(index), too_large),
        (mismatch(index, NOWHERE), too_large),
        (mismatch(LogIndex(0), NOWHERE), hint_not_before(0, 0)),
        (mismatch(LogIndex(1), at(1, 1)), hint_not_before(1, 1)),
        (mismatch(LogIndex(1), at(2, 1)), hint_not_before(2, 1)),
    ]
}
