//! Which inputs must be turned away: written for itself, not asked of either side.
//!
//! A scope's messages are all well formed, but an atlas pairs every message of a scope with every
//! state of its receiver, and some pairs can only come about if another server breaks its
//! promises. The model, which defines what honest servers do, takes them as they come. The
//! implementation must turn them away. That honest clusters never come to such a pair is not taken
//! on trust: [`crate::premise`] looks.

use kontiki::core::Rejection;
use kontiki_model::server::{Role, ServerState};
use kontiki_specs::{AppendOutcome, Entry, Input, LogIndex, LogPosition, Message, ServerId, Term};
use std::fmt;

/// Why an input makes no sense to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonsense {
    /// It completes what is not the oldest outstanding write.
    UnexpectedCompletion,
    /// Leader completeness excludes it: a leader lacks what is committed.
    ContradictsCommitted,
    /// Election safety excludes it: two servers act as leader in one term.
    SecondLeader,
    /// Nobody holds what the leader does not.
    AcknowledgesUnsent,
    /// Who takes a snapshot takes it once.
    AnotherSnapshot,
    /// No state machine has executed what it was not handed.
    ExecutesUnapplied,
}

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Nonsense::UnexpectedCompletion => {
                "it completes what is not the oldest outstanding write"
            }
            Nonsense::ContradictsCommitted => "its leader would lack what is committed",
            Nonsense::SecondLeader => "two servers would act as leader in one term",
            Nonsense::AcknowledgesUnsent => "its sender would hold what its leader does not",
            Nonsense::AnotherSnapshot => "something else is known of that snapshot",
            Nonsense::ExecutesUnapplied => "the state machine was not handed as much",
        })
    }
}

impl Nonsense {
    /// Whether that is the reason which the implementation gives.
    fn is(self, rejection: &Rejection) -> bool {
        matches!(
            (self, rejection),
            (Nonsense::UnexpectedCompletion, Rejection::UnexpectedCompletion)
                | (Nonsense::ContradictsCommitted, Rejection::ContradictsCommitted { .. })
                | (Nonsense::SecondLeader, Rejection::SecondLeader { .. })
                | (Nonsense::AcknowledgesUnsent, Rejection::AcknowledgesUnsent { .. })
                | (Nonsense::AnotherSnapshot, Rejection::AnotherSnapshot { .. })
                | (Nonsense::ExecutesUnapplied, Rejection::ExecutesUnapplied { .. })
        )
    }

    /// Whether the implementation's reason is one of these.
    pub fn explains(reasons: &[Nonsense], rejection: &Rejection) -> bool {
        reasons.iter().any(|reason| reason.is(rejection))
    }

    /// Whether these are the implementation's words for one of the reasons, in this state. Recordings have
    /// reasons in words only.
    pub fn says(reasons: &[Nonsense], state: &ServerState, input: &Input, words: &str) -> bool {
        let mut rejections = reasons.iter().filter_map(|reason| reason.rejection(state, input));
        rejections.any(|rejection| rejection.to_string() == words)
    }

    /// How the implementation turns the input away for this reason, in this state.
    fn rejection(self, state: &ServerState, input: &Input) -> Option<Rejection> {
        let commit_index = state.commit_index;
        match (self, input) {
            (Nonsense::UnexpectedCompletion, _) => Some(Rejection::UnexpectedCompletion),
            (Nonsense::ContradictsCommitted, Input::Deliver { message, .. }) => {
                let index = contradicted(state, message)?;
                Some(Rejection::ContradictsCommitted { index, commit_index })
            }
            (Nonsense::SecondLeader, Input::Deliver { from, message }) => {
                let (leader, term) = (known_leader(state)?, message.term());
                Some(Rejection::SecondLeader { from: *from, leader, term })
            }
            (
                Nonsense::AcknowledgesUnsent,
                Input::Deliver {
                    message:
                        Message::AppendEntriesReply {
                            outcome: AppendOutcome::Matched { index }, ..
                        },
                    ..
                },
            ) => {
                let (index, last_index) = (*index, state.log.last_index());
                Some(Rejection::AcknowledgesUnsent { index, last_index })
            }
            (
                Nonsense::AnotherSnapshot,
                Input::Deliver { message: Message::InstallSnapshot { snapshot, .. }, .. },
            ) => Some(Rejection::AnotherSnapshot { snapshot: snapshot.id }),
            (Nonsense::ExecutesUnapplied, Input::Executed { index }) => {
                let (index, applied_index) = (*index, state.applied_index);
                Some(Rejection::ExecutesUnapplied { index, applied_index })
            }
            _ => None,
        }
    }
}

/// Why a server in this state must turn the input away: every reason there is; none if it must
/// not.
pub fn reasons_to_reject(state: &ServerState, input: &Input) -> Vec<Nonsense> {
    let reasons = match input {
        Input::HardStateWritten { .. }
        | Input::EntriesWritten { .. }
        | Input::ChunkWritten { .. }
        | Input::SnapshotInstalled { .. } => {
            vec![(state.completion().as_ref() != Some(input), Nonsense::UnexpectedCompletion)]
        }
        Input::Executed { index } => {
            vec![(*index > state.applied_index, Nonsense::ExecutesUnapplied)]
        }
        Input::Deliver { from, message } => vec![
            (contradicts_committed(state, message), Nonsense::ContradictsCommitted),
            (is_second_leader(state, *from, message), Nonsense::SecondLeader),
            (acknowledges_unsent(state, message), Nonsense::AcknowledgesUnsent),
            (is_another_snapshot(state, message), Nonsense::AnotherSnapshot),
        ],
        _ => Vec::new(),
    };
    reasons.into_iter().filter_map(|(applies, reason)| applies.then_some(reason)).collect()
}

/// Whether a server in this state must turn the input away.
pub fn must_be_rejected(state: &ServerState, input: &Input) -> bool {
    !reasons_to_reject(state, input).is_empty()
}

fn contradicts_committed(state: &ServerState, message: &Message) -> bool {
    contradicted(state, message).is_some()
}

/// The first index at which the message contradicts what is committed.
fn contradicted(state: &ServerState, message: &Message) -> Option<LogIndex> {
    if message.term() < state.term {
        return None;
    }
    // What is let go of is not known any more.
    let known = |at: LogPosition| at.index >= state.log.base().index;
    let claims =
        |at: LogPosition| at.index <= state.commit_index && known(at) && !state.log.holds(at);
    match message {
        Message::AppendEntries { prev, entries, .. } => {
            let mut told = [*prev].into_iter().chain(entries.iter().map(Entry::position));
            told.find(|at| claims(*at)).map(|at| at.index)
        }
        // Terms do not fall from one entry to the next.
        Message::InstallSnapshot { snapshot, .. } => {
            let last = snapshot.id.last;
            let committed = state.log.position_at(state.commit_index);
            let contradicts =
                claims(last) || (last.index > committed.index && last.term < committed.term);
            contradicts.then_some(last.index)
        }
        _ => None,
    }
}

fn known_leader(state: &ServerState) -> Option<ServerId> {
    match state.role {
        Role::Leader { .. } => Some(state.id),
        Role::Follower { leader, .. } => leader,
        Role::PreCandidate { .. } | Role::Candidate { .. } => None,
    }
}

fn is_second_leader(state: &ServerState, from: ServerId, message: &Message) -> bool {
    let leads = match message {
        Message::AppendEntries { term, .. }
        | Message::InstallSnapshot { term, .. }
        | Message::ConfirmLeadership { term, .. }
        | Message::TimeoutNow { term } => *term == state.term,
        _ => false,
    };
    leads && known_leader(state).is_some_and(|leader| leader != from)
}

fn acknowledges_unsent(state: &ServerState, message: &Message) -> bool {
    let answers = |term: Term| term == state.term && state.is_leader();
    match message {
        Message::AppendEntriesReply { term, outcome: AppendOutcome::Matched { index } } => {
            answers(*term) && *index > state.log.last_index()
        }
        _ => false,
    }
}

/// Whether a leader's offer names a snapshot that this server knows, and says something else of it.
fn is_another_snapshot(state: &ServerState, message: &Message) -> bool {
    let Message::InstallSnapshot { term, snapshot, .. } = message else { return false };
    let own = state.snapshot.iter().map(|own| &own.about);
    let mut known = own.chain(state.receiving.iter().map(|part| &part.snapshot));
    *term >= state.term && known.any(|known| known.id == snapshot.id && *known != **snapshot)
}
