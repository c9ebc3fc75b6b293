//! Which inputs must be turned away: written for itself, not asked of either side.
//!
//! A scope's messages are all well formed, but an atlas pairs every message of a scope with every
//! state of its receiver, and some pairs can only come about if another server breaks its
//! promises. The model, which defines what honest servers do, takes them as they come. The
//! implementation must turn them away.

use kontiki_model::server::{Role, ServerState, Write};
use kontiki_specs::{AppendOutcome, Entry, Input, LogPosition, Message, ServerId, Term};

/// Whether a server in this state must turn the input away.
pub fn must_be_rejected(state: &ServerState, input: &Input) -> bool {
    match input {
        Input::HardStateWritten { .. } | Input::EntriesWritten { .. } => {
            state.writes.first().map(Write::completion).as_ref() != Some(input)
        }
        Input::Deliver { from, message } => {
            contradicts_commit(state, message)
                || is_second_leader(state, *from, message)
                || acknowledges_unsent(state, message)
        }
        _ => false,
    }
}

/// Leader completeness excludes it: a leader lacks what is committed.
fn contradicts_commit(state: &ServerState, message: &Message) -> bool {
    let Message::AppendEntries { term, prev, entries, .. } = message else { return false };
    let claims = |at: LogPosition| at.index <= state.commit_index && !state.log.holds(at);
    *term >= state.term && (claims(*prev) || entries.iter().map(Entry::position).any(claims))
}

/// Election safety excludes it: two servers lead in one term.
fn is_second_leader(state: &ServerState, from: ServerId, message: &Message) -> bool {
    let leader = match state.role {
        Role::Leader { .. } => Some(state.id),
        Role::Follower { leader, .. } => leader,
        Role::PreCandidate { .. } | Role::Candidate { .. } => None,
    };
    matches!(message, Message::AppendEntries { term, .. } if *term == state.term)
        && leader.is_some_and(|leader| leader != from)
}

/// Nobody holds what the leader does not.
fn acknowledges_unsent(state: &ServerState, message: &Message) -> bool {
    let answers = |term: Term| term == state.term && state.is_leader();
    match message {
        Message::AppendEntriesReply { term, outcome: AppendOutcome::Matched { index } } => {
            answers(*term) && *index > state.log.last_index()
        }
        _ => false,
    }
}
