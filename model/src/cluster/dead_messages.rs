//! Dead messages: those that can never again make a difference.
//!
//! The network is a set from which nothing is ever removed, so most messages in it have had their
//! effect. A message is dropped from the explored state when its delivery would change nothing
//! now nor ever after; `fates` finds out which these are.
//!
//! An answer to a follower's read changes no server. It is dead when no driver waits for it.
//!
//! A request that changes nothing may still be answered. It is dead when every answer that it
//! could get is dead. Of several that get the same live answers in all that the receiver can come
//! to, one is kept.
//!
//! The argument leans on two properties. Election safety: within a term, a server follows one
//! leader. And match indexes that only grow while a leader leads (`monotonic-match`): a leader's
//! stand-ins begin with what it knows now, so one that came to know less could be told by a message
//! that has been dropped. Scopes check both unless they list others, and report where one is broken.
//!
//! That the reduction is exact is shown by test: with it and without it the same server states
//! are reached together.

use super::bounds::Bounds;
use super::fates::{Fate, Fates};
use super::numbers::{AnswersNumber, MessageNumber};
use super::reads::may_be_awaited;
use super::state::State;
use super::tables::Tables;
use kontiki_specs::Message;
use smallvec::SmallVec;

/// Drops the messages that a move of the server in place `moved` has made dead: it is the receiver
/// or, for a request's answers, the sender. Looks at all messages if there is no such place.
/// `crashes` says whether there may be any more.
pub(super) fn drop_dead_messages(
    tables: &mut Tables,
    fates: &mut Fates,
    bounds: &Bounds,
    state: &mut State,
    moved: Option<usize>,
    crashes: bool,
) {
    let State { servers, reads, counts, .. } = &*state;
    let (servers, reads, counts) = (servers.clone(), reads.clone(), *counts);
    let mut answered: SmallVec<[(MessageNumber, AnswersNumber); 8]> = SmallVec::new();
    state.messages.retain(|message| {
        let (from, to) = tables.ends(*message);
        if moved.is_some_and(|moved| to != moved && from != moved) {
            return true;
        }
        if let Message::ReadIndexReply { read, .. } = tables.message(*message) {
            return may_be_awaited(&reads, to, *read, bounds, counts);
        }
        match fates.fate(tables, servers[to], *message, crashes) {
            Fate::Alive => true,
            Fate::Dead => false,
            Fate::Answered(answers) => {
                let lives = fates.any_answer_lives(tables, answers, servers[from], crashes);
                if lives {
                    answered.push((*message, answers));
                }
                lives
            }
        }
    });
    let mut spare: SmallVec<[MessageNumber; 8]> = SmallVec::new();
    for (message, answers) in &answered {
        let (from, to) = tables.ends(*message);
        let replaced = answered.iter().any(|(other, others)| {
            tables.ends(*other) == (from, to)
                && tables.rank(*other) < tables.rank(*message)
                && fates.same_live_answers(tables, *answers, *others, servers[from], crashes)
        });
        if replaced {
            spare.push(*message);
        }
    }
    if !spare.is_empty() {
        state.messages.retain(|message| !spare.contains(message));
    }
}
