//! One driver, server 1 of three, whose peers, clock and disk the test holds.

use kontiki::bytes::Bytes;
use kontiki::core::Config;
use kontiki::driver::{
    Consistency, Driver, DriverConfig, Effect, Event, Instant, Notice, Outcome, Ticket, Timings,
    WriteGroup,
};
use kontiki::storage::MemoryStore;
use kontiki::{
    AppendOutcome, Entries, Entry, LogIndex, LogPosition, Message, Payload, RoleKind, ServerId,
    Term,
};
use std::time::Duration;

pub const S1: ServerId = ServerId(1);
pub const S2: ServerId = ServerId(2);
pub const S3: ServerId = ServerId(3);

pub const TIMEOUT: Duration = Duration::from_secs(1);
pub const HEARTBEAT: Duration = Duration::from_millis(100);

pub struct Server {
    pub driver: Driver<MemoryStore>,
    pub now: Instant,
    /// The group of writes that is under way.
    pub writing: Option<WriteGroup>,
    /// What the disk and the state machine are asked is done at once.
    pub at_once: bool,
    tickets: u64,
}

pub fn config() -> DriverConfig {
    let mut raft = Config::new(S1, [S1, S2, S3]);
    raft.incarnation = 1;
    let mut config = DriverConfig::new(raft, 1);
    config.timings = Timings::for_election_timeout(TIMEOUT);
    config
}

pub fn start(config: DriverConfig) -> Server {
    let now = Instant::after_origin(Duration::from_secs(100));
    let driver = Driver::start(config, MemoryStore::new(), now).unwrap();
    Server { driver, now, writing: None, at_once: true, tickets: 0 }
}

/// The leader of term 1, with its no-op committed and executed.
pub fn leader(config: DriverConfig) -> Server {
    let mut server = start(config);
    // With leases, the first deadline is that of contact.
    while server.driver.server().role() == RoleKind::Follower {
        server.at(server.driver.next_deadline().unwrap());
    }
    server.hears(S2, Message::RequestPreVoteReply { term: Term(0), granted: true });
    server.hears(S2, Message::RequestVoteReply { term: Term(1), granted: true });
    server.hears(S2, matched(1, 1));
    assert_eq!(server.driver.status().executed_index, LogIndex(1));
    server
}

/// A follower of server 2 in term 1, with the leader's no-op committed and executed.
pub fn follower(config: DriverConfig) -> Server {
    let mut server = start(config);
    server.hears(S2, append(1, at(0, 0), &[1], 1));
    assert_eq!(server.driver.status().executed_index, LogIndex(1));
    server
}

impl Server {
    /// Tells it something and carries out what comes of it. What is for the network, the clients and the
    /// operators comes back; so does what is for the disk and the state machine, unless that is done at
    /// once.
    pub fn tell(&mut self, event: Event) -> Vec<Effect> {
        self.tell_all([event])
    }

    /// As [`Server::tell`], of a burst of events.
    pub fn tell_all(&mut self, events: impl IntoIterator<Item = Event>) -> Vec<Effect> {
        events.into_iter().for_each(|event| self.driver.handle(event, self.now));
        self.carry_out()
    }

    /// Time passes.
    pub fn at(&mut self, now: Instant) -> Vec<Effect> {
        self.now = now;
        self.driver.tick(now);
        self.carry_out()
    }

    pub fn after(&mut self, passed: Duration) -> Vec<Effect> {
        self.at(self.now.plus(passed))
    }

    /// Ticks as often as the driver asks, until so much time has passed.
    pub fn live(&mut self, passed: Duration) -> Vec<Effect> {
        let (end, mut effects) = (self.now.plus(passed), Vec::new());
        while let Some(next) = self.driver.next_deadline().filter(|next| *next <= end) {
            effects.extend(self.at(next));
        }
        effects.extend(self.at(end));
        effects
    }

    pub fn hears(&mut self, from: ServerId, message: Message) -> Vec<Effect> {
        self.tell(Event::Received { from, message })
    }

    pub fn proposes(&mut self, bytes: usize) -> (Ticket, Event) {
        self.tickets += 1;
        let (ticket, command) = (Ticket(self.tickets), Bytes::from(vec![b'x'; bytes]));
        (ticket, Event::Propose { ticket, command, deadline: None })
    }

    pub fn reads(&mut self, consistency: Consistency) -> (Ticket, Event) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        (ticket, Event::Read { ticket, consistency, deadline: None })
    }

    pub fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// The group of writes that is under way is done.
    pub fn written(&mut self) -> Vec<Effect> {
        let group = self.writing.take().unwrap();
        let store = self.driver.store_mut();
        group.writes.iter().for_each(|write| store.write(write));
        self.tell(Event::Written { group: group.number })
    }

    fn carry_out(&mut self) -> Vec<Effect> {
        let mut rest = Vec::new();
        let effects: Vec<Effect> = self.driver.effects().collect();
        let mut events = Vec::new();
        for effect in effects {
            match effect {
                Effect::Write(group) => {
                    assert!(self.writing.is_none(), "two groups are under way");
                    self.writing = Some(group.clone());
                    if !self.at_once {
                        rest.push(Effect::Write(group));
                    }
                }
                Effect::Apply { ref entries } if self.at_once => {
                    events.extend(entries.last_index().map(|index| Event::Executed { index }));
                    rest.push(effect);
                }
                Effect::Restore { snapshot } if self.at_once => {
                    events.push(Event::Executed { index: snapshot.last.index });
                    rest.push(effect);
                }
                effect => rest.push(effect),
            }
        }
        if !events.is_empty() {
            rest.extend(self.tell_all(events));
        }
        if self.at_once && self.writing.is_some() {
            rest.extend(self.written());
        }
        rest
    }
}

pub fn at(index: u64, term: u64) -> LogPosition {
    LogPosition { index: LogIndex(index), term: Term(term) }
}

/// Entries from a position on, of these terms.
pub fn append(term: u64, prev: LogPosition, terms: &[u64], commit: u64) -> Message {
    let entry = |(index, term): (u64, &u64)| {
        let payload = Payload::Noop;
        Entry { index: LogIndex(index), term: Term(*term), payload }
    };
    let entries: Entries = (prev.index.0 + 1..).zip(terms).map(entry).collect();
    Message::AppendEntries { term: Term(term), prev, entries, commit_index: LogIndex(commit) }
}

pub fn matched(term: u64, index: u64) -> Message {
    let outcome = AppendOutcome::Matched { index: LogIndex(index) };
    Message::AppendEntriesReply { term: Term(term), outcome }
}

/// The outcomes among effects.
pub fn answers(effects: &[Effect]) -> Vec<(Ticket, Outcome)> {
    let answers = effects.iter().filter_map(|effect| match effect {
        Effect::Answer { ticket, outcome } => Some((*ticket, outcome.clone())),
        _ => None,
    });
    answers.collect()
}

/// What is sent to a server.
pub fn sent_to(effects: &[Effect], server: ServerId) -> Vec<Message> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to, message } if *to == server => Some(message.clone()),
        _ => None,
    });
    sent.collect()
}

pub fn notices(effects: &[Effect]) -> Vec<Notice> {
    let notices = effects.iter().filter_map(|effect| match effect {
        Effect::Notice(notice) => Some(notice.clone()),
        _ => None,
    });
    notices.collect()
}

pub fn roles(effects: &[Effect]) -> Vec<RoleKind> {
    let role = |notice| match notice {
        Notice::RoleChanged { role } => Some(role),
        _ => None,
    };
    notices(effects).into_iter().filter_map(role).collect()
}

/// How many entries each message to a server brings, of those that bring any.
pub fn batches(effects: &[Effect], server: ServerId) -> Vec<usize> {
    let entries = sent_to(effects, server).into_iter().filter_map(|message| match message {
        Message::AppendEntries { entries, .. } if !entries.is_empty() => Some(entries.len()),
        _ => None,
    });
    entries.collect()
}
