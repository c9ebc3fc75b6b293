//! What the servers of a cluster did must go together, whatever each did by itself.

use super::{Fault, Followed, RunFault};
use kontiki_model::console::grouped;
use kontiki_model::server::ServerState;
use kontiki_specs::{
    Entry, Input, LogIndex, LogPosition, Message, Output, RoleKind, ServerId, Term,
};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::fmt;
use std::hash::{Hash, Hasher};

/// The most messages that are remembered, of those sent and of those received.
const MOST_MESSAGES: usize = 1 << 22;

/// What was compared between servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// How many indices have an entry that somebody has executed.
    pub indices: u64,
    /// How many executions of entries were compared with another of the same index.
    pub executions_compared: u64,
    /// How many terms have a leader.
    pub terms_with_leader: u64,
    /// How many received messages were found to have been sent.
    pub messages_found: u64,
    /// Whether there were more messages than can be remembered, so that not all were looked for.
    pub too_many_messages: bool,
}

/// As `between the servers: ...`.
impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "between the servers: {} indices executed, {} executions of the same entry, {} terms with a \
             leader, {} received messages that were sent",
            grouped(self.indices),
            grouped(self.executions_compared),
            grouped(self.terms_with_leader),
            grouped(self.messages_found)
        )?;
        match self.too_many_messages {
            true => write!(f, " (there were more than are looked for)"),
            false => Ok(()),
        }
    }
}

/// An entry that was executed.
#[derive(Clone, Copy)]
struct Executed {
    term: Term,
    payload: u64,
    by: ServerId,
}

/// Sees all steps of all servers, one server after the other.
///
/// It takes some 32 bytes an entry and a message, whatever these have.
#[derive(Default)]
pub struct Judge {
    executed: FxHashMap<LogIndex, Executed>,
    /// Entries that snapshots end with, to be compared in the end: who executed them may come later.
    covered: FxHashMap<LogPosition, ServerId>,
    leaders: FxHashMap<Term, ServerId>,
    votes: FxHashMap<(ServerId, Term), ServerId>,
    sent: FxHashSet<u64>,
    received: FxHashMap<u64, (ServerId, ServerId)>,
    /// Servers whose every step is there.
    complete: FxHashSet<ServerId>,
    judged: Judged,
}

impl Judge {
    /// A server has taken a step, and is in this state now.
    pub(super) fn sees(
        &mut self,
        after: &ServerState,
        input: &Input,
        outputs: &[Output],
    ) -> Result<(), Fault> {
        let server = after.id;
        if let Input::Deliver { from, message } = input
            && *from != server
            && !brings_bytes(message)
        {
            self.receives(*from, server, message);
        }
        if let Some(vote) = after.vote {
            let other = *self.votes.entry((server, after.term)).or_insert(vote);
            if other != vote {
                return Err(Fault::SecondVote { term: after.term, vote, other });
            }
        }
        for output in outputs {
            match output {
                Output::Send { to, message } => self.sends(server, *to, message),
                Output::Apply { entries } => {
                    entries.iter().try_for_each(|entry| self.executes(server, entry))?;
                }
                Output::InstallSnapshot { snapshot, .. } => {
                    self.covered.entry(snapshot.id.last).or_insert(server);
                }
                Output::TakeSnapshot { last, .. } => {
                    self.covered.entry(*last).or_insert(server);
                }
                Output::RoleChanged { role: RoleKind::Leader } => {
                    let term = after.term;
                    let other = *self.leaders.entry(term).or_insert(server);
                    if other != server {
                        return Err(Fault::SecondLeader { term, other });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn executes(&mut self, by: ServerId, entry: &Entry) -> Result<(), Fault> {
        let Entry { term, index, payload } = entry;
        let executed = Executed { term: *term, payload: hash(payload), by };
        let Some(other) = self.executed.get(index) else {
            self.executed.insert(*index, executed);
            return Ok(());
        };
        self.judged.executions_compared += 1;
        if (other.term, other.payload) == (executed.term, executed.payload) {
            return Ok(());
        }
        let (other, other_term) = (other.by, other.term);
        Err(Fault::ExecutesAnother { index: *index, term: *term, other, other_term })
    }

    fn sends(&mut self, from: ServerId, to: ServerId, message: &Message) {
        if self.sent.len() < MOST_MESSAGES {
            self.sent.insert(hash(&(from, to, message)));
        } else {
            self.judged.too_many_messages = true;
        }
    }

    fn receives(&mut self, from: ServerId, to: ServerId, message: &Message) {
        if self.received.len() < MOST_MESSAGES {
            self.received.insert(hash(&(from, to, message)), (from, to));
        } else {
            self.judged.too_many_messages = true;
        }
    }

    /// All that there is of a server was seen.
    pub(super) fn has_followed(&mut self, server: ServerId, followed: &Followed) {
        if followed.is_complete {
            self.complete.insert(server);
        }
    }

    /// What can be said only when all was seen.
    pub(super) fn conclude(mut self) -> Result<Judged, Box<RunFault>> {
        for (last, server) in &self.covered {
            if let Some(executed) = self.executed.get(&last.index)
                && executed.term != last.term
            {
                let (last, other, term) = (*last, executed.by, executed.term);
                let fault = Fault::OtherSnapshot { last, other, term };
                return Err(Box::new(RunFault::Between { server: *server, fault }));
            }
        }
        if !self.judged.too_many_messages {
            for (message, (from, to)) in &self.received {
                if self.sent.contains(message) {
                    self.judged.messages_found += 1;
                } else if self.complete.contains(from) {
                    let fault = Fault::NeverSent { from: *from };
                    return Err(Box::new(RunFault::Between { server: *to, fault }));
                }
            }
        }
        self.judged.indices = self.executed.len() as u64;
        self.judged.terms_with_leader = self.leaders.len() as u64;
        Ok(self.judged)
    }
}

/// A chunk of a snapshot, whose bytes its sender's recording does not have.
fn brings_bytes(message: &Message) -> bool {
    matches!(message, Message::InstallSnapshot { data, .. } if !data.is_empty())
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    of.hash(&mut hasher);
    hasher.finish()
}
