//! What a server receives was sent to it.

use super::Fault;
use kontiki_specs::{Input, Message, Output, ServerId};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::hash::{Hash, Hasher};

/// The most messages that are remembered at a time, of some 10 to 20 bytes each.
const MOST_MESSAGES: usize = 1 << 24;

/// Who sends, and to whom.
type Link = (ServerId, ServerId);

/// How far a server was followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// Not yet to its end.
    ToCome,
    /// To its end, from its first start on.
    Whole,
    /// To its end, with gaps.
    Gaps,
}

/// The messages of all servers, which are followed one after the other.
///
/// Of each link one end is followed before the other. So only what was sent is remembered, or only what was
/// received, and only until the other end was followed, too. Where that is too much, a sample of all messages
/// is remembered and looked for, chosen by their fingerprints.
pub(super) struct Messages {
    most: usize,
    servers: FxHashMap<ServerId, Sight>,
    /// What was sent to servers that are to come.
    sent: FxHashMap<Link, FxHashSet<u64>>,
    /// What was received from servers that are to come.
    received: FxHashMap<Link, FxHashSet<u64>>,
    remembered: usize,
    /// Only fingerprints without any of these bits are looked for.
    left_out: u64,
    /// How many received messages were found to have been sent.
    pub(super) found: u64,
    /// How many received messages were not looked for.
    pub(super) not_looked_for: u64,
}

impl Messages {
    /// The servers are those that are to be followed.
    pub(super) fn between(servers: impl IntoIterator<Item = ServerId>) -> Messages {
        Messages {
            most: MOST_MESSAGES,
            servers: servers.into_iter().map(|server| (server, Sight::ToCome)).collect(),
            sent: FxHashMap::default(),
            received: FxHashMap::default(),
            remembered: 0,
            left_out: 0,
            found: 0,
            not_looked_for: 0,
        }
    }

    /// A server puts out something. Of a chunk of a snapshot it does not know the bytes.
    pub(super) fn puts_out(&mut self, from: ServerId, output: &Output) {
        match output {
            Output::Send { to, message } => self.sends((from, *to), fingerprint(message)),
            Output::SendChunk { to, term, snapshot, offset } => {
                self.sends((from, *to), hash(&(Chunk, term, snapshot, offset)));
            }
            _ => {}
        }
    }

    /// Something happens to a server.
    pub(super) fn happens(&mut self, to: ServerId, input: &Input) -> Result<(), Fault> {
        match input {
            Input::Deliver { from, message } if *from != to => {
                self.receives((*from, to), fingerprint(message))
            }
            _ => Ok(()),
        }
    }

    fn sends(&mut self, link: Link, message: u64) {
        match self.servers.get(&link.1) {
            Some(Sight::ToCome) if self.is_looked_for(message) => {
                let new = self.sent.entry(link).or_default().insert(message);
                self.remembers(new);
            }
            Some(Sight::Whole | Sight::Gaps) => {
                let received = self.received.get_mut(&link);
                if received.is_some_and(|received| received.remove(&message)) {
                    self.found += 1;
                    self.remembered -= 1;
                }
            }
            Some(Sight::ToCome) | None => {}
        }
    }

    fn receives(&mut self, link: Link, message: u64) -> Result<(), Fault> {
        let Some(sight) = self.servers.get(&link.0).copied() else { return Ok(()) };
        if !self.is_looked_for(message) {
            self.not_looked_for += 1;
            return Ok(());
        }
        if sight == Sight::ToCome {
            let new = self.received.entry(link).or_default().insert(message);
            self.remembers(new);
            return Ok(());
        }
        match self.sent.get(&link).is_some_and(|sent| sent.contains(&message)) {
            true => self.found += 1,
            false if sight == Sight::Whole => return Err(Fault::NeverSent { from: link.0 }),
            false => {}
        }
        Ok(())
    }

    /// All that there is of a server was seen. If others have received from it what it has never sent, one of
    /// them, and what is wrong.
    pub(super) fn has_followed(
        &mut self,
        server: ServerId,
        is_complete: bool,
    ) -> Option<(ServerId, Fault)> {
        let sight = if is_complete { Sight::Whole } else { Sight::Gaps };
        self.servers.insert(server, sight);
        self.sent.retain(|(_, to), _| *to != server);
        let never_sent = self
            .received
            .iter()
            .filter(|((from, _), left)| *from == server && is_complete && !left.is_empty());
        let to = never_sent.map(|((_, to), _)| *to).min();
        self.received.retain(|(from, _), _| *from != server);
        self.remembered = self.count();
        to.map(|to| (to, Fault::NeverSent { from: server }))
    }

    fn is_looked_for(&self, message: u64) -> bool {
        message & self.left_out == 0
    }

    fn count(&self) -> usize {
        self.sent.values().chain(self.received.values()).map(FxHashSet::len).sum()
    }

    /// One more is remembered, if it is new. If there are too many then, half of them are forgotten.
    fn remembers(&mut self, new: bool) {
        self.remembered += usize::from(new);
        if self.remembered <= self.most {
            return;
        }
        self.left_out = (self.left_out << 1) | 1;
        let left_out = self.left_out;
        for sent in self.sent.values_mut() {
            sent.retain(|message| message & left_out == 0);
        }
        for received in self.received.values_mut() {
            let before = received.len();
            received.retain(|message| message & left_out == 0);
            self.not_looked_for += (before - received.len()) as u64;
        }
        self.remembered = self.count();
    }
}

/// Stands before what is known of a chunk of a snapshot.
#[derive(Hash)]
struct Chunk;

/// Of a chunk of a snapshot all but its bytes, which its sender's recording does not have.
fn fingerprint(message: &Message) -> u64 {
    match message {
        Message::InstallSnapshot { term, snapshot, offset, data } if !data.is_empty() => {
            hash(&(Chunk, term, snapshot, offset))
        }
        message => hash(message),
    }
}

pub(super) fn hash(of: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_specs::Term;

    const S1: ServerId = ServerId(1);
    const S2: ServerId = ServerId(2);
    const ROUNDS: u64 = 10_000;

    fn message(round: u64) -> Message {
        Message::ConfirmLeadership { term: Term(1), round }
    }

    fn send(messages: &mut Messages, from: ServerId, to: ServerId, round: u64) {
        messages.puts_out(from, &Output::Send { to, message: message(round) });
    }

    fn receive(messages: &mut Messages, from: ServerId, to: ServerId, round: u64) -> bool {
        messages.happens(to, &Input::Deliver { from, message: message(round) }).is_ok()
    }

    /// S1 and then S2 are followed. Each sends to the other, and receives what the other sends.
    fn follow(most: usize) -> Messages {
        let mut messages = Messages { most, ..Messages::between([S1, S2]) };
        for round in 0..ROUNDS {
            send(&mut messages, S1, S2, round);
            assert!(receive(&mut messages, S2, S1, round));
        }
        assert!(messages.has_followed(S1, true).is_none());
        for round in 0..ROUNDS {
            send(&mut messages, S2, S1, round);
            assert!(receive(&mut messages, S1, S2, round), "{round}");
            assert!(messages.remembered <= most);
        }
        messages
    }

    #[test]
    fn all_that_was_received_is_found() {
        let mut messages = follow(MOST_MESSAGES);
        assert_eq!((messages.found, messages.not_looked_for), (2 * ROUNDS, 0));
        assert!(messages.has_followed(S2, true).is_none());
        assert_eq!(messages.remembered, 0);
    }

    #[test]
    fn where_there_are_too_many_a_part_is_looked_for_and_the_others_are_counted() {
        let messages = follow(5000);
        assert!(messages.found > 1000, "{}", messages.found);
        assert_eq!(messages.found + messages.not_looked_for, 2 * ROUNDS);
    }

    #[test]
    fn what_was_never_sent_is_noticed_whoever_is_followed_first() {
        for most in [MOST_MESSAGES, 5000] {
            let mut messages = follow(most);
            let unsent = ROUNDS..ROUNDS + 1000;
            let noticed = unsent.clone().filter(|round| !receive(&mut messages, S1, S2, *round));
            let noticed = noticed.count();
            assert!(noticed > 50 && (noticed == 1000 || most == 5000), "{noticed}");
            let mut messages = Messages { most, ..Messages::between([S1, S2]) };
            unsent.for_each(|round| assert!(receive(&mut messages, S2, S1, round)));
            assert!(messages.has_followed(S1, true).is_none());
            let wrong = messages.has_followed(S2, true);
            assert!(matches!(wrong, Some((S1, Fault::NeverSent { from: S2 }))), "{wrong:?}");
        }
    }

    #[test]
    fn who_has_gaps_or_no_recording_may_have_sent_anything() {
        let mut messages = Messages::between([S1, S2]);
        assert!(receive(&mut messages, ServerId(3), S1, 1) && messages.remembered == 0);
        assert!(receive(&mut messages, S2, S1, 1));
        assert!(messages.has_followed(S1, false).is_none());
        assert!(receive(&mut messages, S1, S2, 1));
        assert!(messages.has_followed(S2, false).is_none());
        assert_eq!(messages.found, 0);
    }
}
