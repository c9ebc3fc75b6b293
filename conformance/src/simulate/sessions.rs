//! Clients with sessions (rule C2), and how they judge what becomes of their commands.
//!
//! They keep to the rules, as `SessionClient` does. The network between them and the cluster does not:
//! it loses answers, and brings what was sent once more, much later and to another server.

use super::exercised::Exercised;
use super::problem::Invariant;
use bytes::Bytes;
use kontiki::sessions::SessionClient;
use kontiki_specs::{CommandOutcome, LogIndex, SessionCommand, SessionId};
use rustc_hash::{FxHashMap, FxHasher};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU64;

/// How many sessions may be open: fewer than there are clients.
const MOST_SESSIONS: NonZeroU64 = NonZeroU64::MIN.saturating_add(3);
/// How many answers may be remembered for a session.
const MOST_ANSWERS: NonZeroU64 = NonZeroU64::MIN.saturating_add(2);
/// How many clients have a session at once, or take it that they have.
const CLIENTS: usize = 5;
/// How many of the last commands the network may bring once more.
const SENT: usize = 64;

/// All clients of a cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionClients {
    clients: VecDeque<Client>,
    /// What was sent last.
    sent: VecDeque<Bytes>,
    /// Up to where it is known what became of commands.
    known: LogIndex,
    /// For each command of a session, where it was executed.
    executed: FxHashMap<(SessionId, NonZeroU64), LogIndex>,
}

/// A client whose session was opened.
#[derive(Clone, Debug)]
struct Client {
    session: SessionClient,
    /// What it waits for, with the content.
    waits: Vec<(NonZeroU64, Bytes)>,
}

/// What a client does next. It depends on how many commands came before only, so that a schedule has
/// the same commands each time.
fn decision(number: u64) -> u64 {
    let mut hasher = FxHasher::default();
    number.hash(&mut hasher);
    hasher.finish() >> 20
}

impl SessionClients {
    /// The bytes of the next command, of this number, with this content.
    pub(super) fn next(&mut self, number: u64, content: Bytes) -> Bytes {
        let decision = decision(number);
        let bytes = match decision % 16 {
            0 if self.clients.len() < CLIENTS || decision & 0x30 == 0 => {
                return SessionClient::open(MOST_SESSIONS, MOST_ANSWERS).encode();
            }
            1 => SessionCommand::Outside { command: content }.encode(),
            2 if decision & 0x30 == 0 => content_of_nothing(&content),
            3 if decision & 0x70 == 0 => self.ends(decision >> 8),
            3..=6 if !self.sent.is_empty() => {
                let place = usize::try_from(decision >> 8).unwrap_or(0) % self.sent.len();
                return self.sent[place].clone();
            }
            _ => self.begins_or_sends_again(decision >> 8, content),
        };
        self.sent.push_back(bytes.clone());
        if self.sent.len() > SENT {
            self.sent.pop_front();
        }
        bytes
    }

    fn client(&mut self, nth: u64) -> Option<&mut Client> {
        let place = nth.checked_rem(self.clients.len() as u64)?;
        self.clients.get_mut(usize::try_from(place).ok()?)
    }

    fn ends(&mut self, nth: u64) -> Bytes {
        let end = self.client(nth).map(|client| client.session.end());
        end.unwrap_or_else(|| SessionClient::open(MOST_SESSIONS, MOST_ANSWERS)).encode()
    }

    /// A client has something new to do, or asks again for the oldest that it waits for.
    fn begins_or_sends_again(&mut self, nth: u64, content: Bytes) -> Bytes {
        let Some(client) = self.client(nth) else {
            return SessionClient::open(MOST_SESSIONS, MOST_ANSWERS).encode();
        };
        let command = match client.session.begin() {
            Some(sequence) => {
                client.waits.push((sequence, content.clone()));
                client.session.command(sequence, content)
            }
            None => match client.waits.first() {
                Some((sequence, content)) => client.session.command(*sequence, content.clone()),
                None => SessionCommand::Outside { command: content },
            },
        };
        command.encode()
    }

    /// A server has applied a command. What became of it is judged where that is not known yet: all
    /// servers come to the same (`Invariant::SameContent`).
    pub(super) fn became(
        &mut self,
        index: LogIndex,
        command: &Bytes,
        outcome: CommandOutcome,
        exercised: &mut Exercised,
    ) -> Result<(), (Invariant, String)> {
        if index <= self.known {
            return Ok(());
        }
        self.known = index;
        exercised.note_outcome(outcome);
        let Ok(command) = SessionCommand::decode(command) else { return Ok(()) };
        match command {
            SessionCommand::InSession { session, sequence, .. } => {
                self.judge(index, (session, sequence), outcome).map_err(|how| {
                    (Invariant::ExecutedOnce, format!("{command} at {index}: {how}"))
                })?;
                self.hears(index, (session, sequence), outcome);
            }
            SessionCommand::Open { .. } => {
                if self.clients.len() == CLIENTS {
                    self.clients.pop_front();
                }
                let session = SessionClient::new(SessionId(index), MOST_ANSWERS);
                self.clients.push_back(Client { session, waits: Vec::new() });
            }
            SessionCommand::End { session } => self.forgets(session),
            SessionCommand::Outside { .. } => {}
        }
        Ok(())
    }

    /// A command is executed once, and each answer is that one. A client that keeps to the rules is
    /// never told that it has said not to wait for what it waits for.
    fn judge(
        &mut self,
        index: LogIndex,
        own: (SessionId, NonZeroU64),
        outcome: CommandOutcome,
    ) -> Result<(), String> {
        let earlier = self.executed.get(&own).copied();
        let waits = self.clients.iter().any(|client| client.waits_for(own));
        match (outcome, earlier) {
            (CommandOutcome::Executed, None) => {
                self.executed.insert(own, index);
                Ok(())
            }
            (CommandOutcome::Executed, Some(at)) => Err(format!("it was executed at {at} already")),
            (CommandOutcome::Repeated { executed_at }, earlier) if earlier != Some(executed_at) => {
                Err(format!("it is answered as {executed_at} was, and was executed at {earlier:?}"))
            }
            (CommandOutcome::AnswerForgotten, _) if waits => {
                Err("its client waits for the answer, which is forgotten".to_string())
            }
            (CommandOutcome::Opened | CommandOutcome::NotACommand, _) => {
                Err(format!("it is one of a session, and what became of it is: {outcome}"))
            }
            _ => Ok(()),
        }
    }

    /// A client hears of it, unless the answer is lost.
    fn hears(&mut self, index: LogIndex, own: (SessionId, NonZeroU64), outcome: CommandOutcome) {
        if outcome == CommandOutcome::SessionEnded {
            return self.forgets(own.0);
        }
        let is_lost = decision(index.0).is_multiple_of(4);
        let client = self.clients.iter_mut().find(|client| client.waits_for(own));
        if let Some(client) = client.filter(|_| !is_lost) {
            client.waits.retain(|(sequence, _)| *sequence != own.1);
            client.session.answered(own.1);
        }
    }

    fn forgets(&mut self, session: SessionId) {
        self.clients.retain(|client| client.session.session() != session);
    }
}

/// Bytes that are no command of sessions.
fn content_of_nothing(content: &Bytes) -> Bytes {
    [b"nothing".as_slice(), content].concat().into()
}

impl Client {
    fn waits_for(&self, (session, sequence): (SessionId, NonZeroU64)) -> bool {
        self.session.session() == session && self.waits.iter().any(|(own, _)| *own == sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client with a session that was opened at index 1, and its first command.
    fn first_command() -> (SessionClients, Bytes) {
        let mut all = SessionClients::default();
        let open = SessionClient::open(MOST_SESSIONS, MOST_ANSWERS).encode();
        assert!(became(&mut all, 1, &open, CommandOutcome::Opened));
        let command = all.begins_or_sends_again(0, Bytes::from_static(b"content"));
        (all, command)
    }

    fn became(
        all: &mut SessionClients,
        index: u64,
        bytes: &Bytes,
        outcome: CommandOutcome,
    ) -> bool {
        let judged = all.became(LogIndex(index), bytes, outcome, &mut Exercised::default());
        let invariant = judged.map_err(|(invariant, _)| invariant);
        assert!(matches!(invariant, Ok(()) | Err(Invariant::ExecutedOnce)));
        invariant.is_ok()
    }

    #[test]
    fn a_command_is_executed_once_and_answered_as_it_was() {
        let (mut all, command) = first_command();
        assert!(became(&mut all, 2, &command, CommandOutcome::Executed));
        let repeated = |at| CommandOutcome::Repeated { executed_at: LogIndex(at) };
        assert!(became(&mut all.clone(), 3, &command, repeated(2)));
        assert!(!became(&mut all.clone(), 3, &command, repeated(1)));
        assert!(!became(&mut all.clone(), 3, &command, CommandOutcome::NotACommand));
        assert!(became(&mut all.clone(), 3, &command, CommandOutcome::SessionEnded));
        assert!(!became(&mut all, 3, &command, CommandOutcome::Executed));
        // What became of it is known already.
        assert!(became(&mut all, 3, &command, CommandOutcome::Executed));
    }

    #[test]
    fn what_was_not_executed_has_no_answer() {
        let (mut all, command) = first_command();
        let repeated = CommandOutcome::Repeated { executed_at: LogIndex(1) };
        assert!(!became(&mut all, 2, &command, repeated));
    }

    #[test]
    fn what_is_waited_for_is_not_forgotten() {
        let (mut all, command) = first_command();
        assert!(!became(&mut all, 2, &command, CommandOutcome::AnswerForgotten));
        let (mut all, command) = first_command();
        assert!(became(&mut all, 2, &command, CommandOutcome::SessionEnded));
        assert!(became(&mut all, 3, &command, CommandOutcome::AnswerForgotten));
    }
}
