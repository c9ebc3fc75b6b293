//! What the servers of a cluster did must go together, whatever each did by itself.

use super::messages::{Messages, hash};
use super::{Fault, Followed, RunFault};
use kontiki_model::console::grouped;
use kontiki_model::server::ServerState;
use kontiki_specs::{Entry, Input, LogIndex, LogPosition, Output, RoleKind, ServerId, Term};
use rustc_hash::FxHashMap;
use std::fmt;

/// What was compared between servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// How many indices have an entry that somebody has executed.
    pub indices: u64,
    /// How many executions of entries were compared with another of the same index.
    pub executions_compared: u64,
    /// How many terms have a leader.
    pub terms_with_leader: u64,
    /// How many received messages were found to have been sent. One that came more than once may count once.
    pub messages_found: u64,
    /// How many received messages were not looked for, because there were more than can be remembered. If
    /// there are any, not all was judged.
    pub messages_not_looked_for: u64,
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
        match self.messages_not_looked_for {
            0 => Ok(()),
            others => {
                let others = grouped(others);
                write!(f, "; there were too many to look for all: {others} were not looked for")
            }
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
pub struct Judge {
    executed: FxHashMap<LogIndex, Executed>,
    /// Entries that snapshots end with, to be compared in the end: who executed them may come later.
    covered: FxHashMap<LogPosition, ServerId>,
    leaders: FxHashMap<Term, ServerId>,
    votes: FxHashMap<(ServerId, Term), ServerId>,
    messages: Messages,
    judged: Judged,
}

impl Judge {
    /// A judge of these servers, which are followed one after the other.
    pub(super) fn of(servers: impl IntoIterator<Item = ServerId>) -> Judge {
        Judge {
            executed: FxHashMap::default(),
            covered: FxHashMap::default(),
            leaders: FxHashMap::default(),
            votes: FxHashMap::default(),
            messages: Messages::between(servers),
            judged: Judged::default(),
        }
    }

    /// Something happens to a server that leaves it as it is.
    pub(super) fn hears(&mut self, server: ServerId, input: &Input) -> Result<(), Fault> {
        self.messages.happens(server, input)
    }

    /// A server has taken a step, and is in this state now.
    pub(super) fn sees(
        &mut self,
        after: &ServerState,
        input: &Input,
        outputs: &[Output],
    ) -> Result<(), Fault> {
        let server = after.id;
        self.messages.happens(server, input)?;
        // A vote that a crash keeps from the disk was told nobody (E3).
        let term = after.disk.term;
        if let Some(vote) = after.disk.vote {
            let other = *self.votes.entry((server, term)).or_insert(vote);
            if other != vote {
                return Err(Fault::SecondVote { term, vote, other });
            }
        }
        for output in outputs {
            self.messages.puts_out(server, output);
            match output {
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

    /// All that there is of a server was seen.
    pub(super) fn has_followed(
        &mut self,
        server: ServerId,
        followed: &Followed,
    ) -> Result<(), Box<RunFault>> {
        match self.messages.has_followed(server, followed.is_complete) {
            None => Ok(()),
            Some((server, fault)) => Err(Box::new(RunFault::Between { server, fault })),
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
        self.judged.messages_found = self.messages.found;
        self.judged.messages_not_looked_for = self.messages.not_looked_for;
        self.judged.indices = self.executed.len() as u64;
        self.judged.terms_with_leader = self.leaders.len() as u64;
        Ok(self.judged)
    }
}
