//! Whatever is fed to a server, it does not panic, its invariants hold, and what it refuses leaves
//! it as it was.

use kontiki::core::{
    Config, Limits, Outputs, Raft, StepError, completion, entry_bytes, snapshot_taken,
};
use kontiki::storage::{LogStore, MemoryStore};
use kontiki::{
    AppendOutcome, Configuration, Entry, Input, LogIndex, LogPosition, MembershipChange, Message,
    Output, Payload, ReadId, ServerId, Snapshot, SnapshotId, Term,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::VecDeque;

/// Small numbers, so that they meet, and now and then an absurd one.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![40 => 0_u64..6, 1 => Just(u64::MAX), 1 => Just(1 << 62), 1 => any::<u64>()]
}

fn term() -> impl Strategy<Value = Term> {
    number().prop_map(Term)
}

fn index() -> impl Strategy<Value = LogIndex> {
    number().prop_map(LogIndex)
}

fn position() -> impl Strategy<Value = LogPosition> {
    (index(), term()).prop_map(|(index, term)| LogPosition { index, term })
}

/// Mostly in order after `prev`, sometimes not.
fn append_entries() -> impl Strategy<Value = Message> {
    let odd = prop_oneof![9 => Just(0_u64), 1 => number()];
    (term(), position(), vec((0_u64..5, odd, payload()), 0..4), index()).prop_map(
        |(term, prev, entries, commit_index)| {
            let entries = (1..).zip(entries).map(|(place, (term, odd, payload))| Entry {
                term: Term(term),
                index: LogIndex(prev.index.0.saturating_add(place).saturating_add(odd)),
                payload,
            });
            Message::AppendEntries { term, prev, entries: entries.collect(), commit_index }
        },
    )
}

fn outcome() -> impl Strategy<Value = AppendOutcome> {
    prop_oneof![
        index().prop_map(|index| AppendOutcome::Matched { index }),
        (index(), position())
            .prop_map(|(prev_index, hint)| AppendOutcome::Mismatch { prev_index, hint }),
    ]
}

/// Mostly one that a server can have taken, sometimes not.
fn snapshot() -> impl Strategy<Value = Snapshot> {
    let id = (prop_oneof![9 => (1_u64..7, 1_u64..4), 1 => (number(), number())], 2_u64..4);
    let odd = prop_oneof![19 => Just(None), 1 => (number(), position(), members()).prop_map(Some)];
    (id, odd).prop_map(|(((index, term), taken_by), odd)| {
        let last = LogPosition { index: LogIndex(index), term: Term(term) };
        let mut snapshot = Snapshot {
            id: SnapshotId { last, taken_by: ServerId(taken_by) },
            configuration: Configuration::of_voters([ServerId(1), ServerId(2)]),
            configuration_position: LogPosition::default(),
            size: 1 + index % 4,
        };
        if let Some((size, position, Payload::Configuration(configuration))) = odd {
            snapshot =
                Snapshot { configuration, configuration_position: position, size, ..snapshot };
        }
        snapshot
    })
}

fn snapshot_message() -> impl Strategy<Value = Message> {
    let offset = || prop_oneof![9 => 0_u64..4, 1 => number()];
    prop_oneof![
        3 => (term(), snapshot(), offset(), 0_usize..4).prop_map(|(term, snapshot, offset, length)| {
            let (snapshot, data) = (Box::new(snapshot), vec![b'x'; length].into());
            Message::InstallSnapshot { term, snapshot, offset, data }
        }),
        1 => (term(), snapshot(), offset(), offset()).prop_map(|(term, snapshot, offset, received)| {
            Message::InstallSnapshotReply { term, snapshot: snapshot.id, offset, received }
        }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        3 => snapshot_message(),
        8 => other_message(),
    ]
}

fn other_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (term(), position()).prop_map(|(term, last)| Message::RequestPreVote { term, last }),
        (term(), any::<bool>())
            .prop_map(|(term, granted)| Message::RequestPreVoteReply { term, granted }),
        (term(), position(), any::<bool>())
            .prop_map(|(term, last, transfer)| Message::RequestVote { term, last, transfer }),
        (term(), any::<bool>())
            .prop_map(|(term, granted)| Message::RequestVoteReply { term, granted }),
        append_entries(),
        (term(), outcome())
            .prop_map(|(term, outcome)| Message::AppendEntriesReply { term, outcome }),
        term().prop_map(|term| Message::TimeoutNow { term }),
        (term(), number()).prop_map(|(term, round)| Message::ConfirmLeadership { term, round }),
        (term(), number())
            .prop_map(|(term, round)| Message::ConfirmLeadershipReply { term, round }),
        (term(), number()).prop_map(|(term, read)| Message::ReadIndex { term, read: ReadId(read) }),
        (term(), number(), number()).prop_map(|(term, read, index)| {
            Message::ReadIndexReply { term, read: ReadId(read), index: LogIndex(index) }
        }),
        term().prop_map(|term| Message::LaterTerm { term }),
    ]
}

fn server() -> impl Strategy<Value = ServerId> {
    (0_u64..6).prop_map(ServerId)
}

fn change() -> impl Strategy<Value = MembershipChange> {
    let servers = || prop::collection::vec(server(), 0..4);
    prop_oneof![
        server().prop_map(MembershipChange::AddLearner),
        server().prop_map(MembershipChange::AddVoter),
        server().prop_map(MembershipChange::Demote),
        server().prop_map(MembershipChange::Remove),
        (servers(), servers())
            .prop_map(|(voters, learners)| MembershipChange::Replace { voters, learners }),
    ]
}

fn members() -> impl Strategy<Value = Payload> {
    let servers = || prop::collection::btree_set(server(), 0..4);
    (servers(), servers(), servers()).prop_map(|(voters, outgoing, learners)| {
        Payload::Configuration(Configuration { voters, outgoing, learners })
    })
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![2 => Just(Payload::Noop), 1 => members()]
}

fn operator() -> impl Strategy<Value = Input> {
    prop_oneof![
        (change(), prop::option::of(position()))
            .prop_map(|(change, expected)| { Input::ChangeMembership { change, expected } }),
        server().prop_map(|to| Input::TransferLeadership { to }),
        Just(Input::TransferExpired),
    ]
}

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    Input(Input),
    /// The oldest outstanding write is complete.
    Written,
    /// The state machine has executed all that it was handed.
    Executed,
    /// The snapshot that is being taken is on disk, with so many bytes.
    Taken(u64),
    /// Of the oldest outstanding write some of its entries may be on disk, or half of it.
    Crash(Option<usize>),
    /// A server answers in this one's term.
    Answer(u64, u8, u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0_u64..6, message())
            .prop_map(|(from, message)| Event::Input(Input::Deliver { from: ServerId(from), message })),
        8 => Just(Event::Written),
        4 => Just(Event::Executed),
        2 => (0_u64..4).prop_map(Event::Taken),
        1 => option::of(0_usize..3).prop_map(Event::Crash),
        8 => (2_u64..6, 0_u8..5, 0_u64..5)
            .prop_map(|(from, answer, number)| Event::Answer(from, answer, number)),
        12 => input().prop_map(Event::Input),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        3 => Just(Input::ElectionTimeout),
        2 => Just(Input::HeartbeatTimeout),
        1 => Just(Input::LeaderContactExpired),
        1 => Just(Input::QuorumContactExpired),
        1 => Just(Input::DiskStalled),
        2 => operator(),
        2 => vec(0_usize..300, 0..5).prop_map(|sizes| crate::support::propose(&sizes)),
        3 => index().prop_map(|index| Input::TakeSnapshot { index }),
        2 => number().prop_map(|read| Input::Read { read: ReadId(read) }),
        1 => number().prop_map(|round| Input::LeaseExpired { round }),
        1 => index().prop_map(|index| Input::Executed { index }),
        1 => (term(), option::of(0_u64..4)).prop_map(|(term, vote)| {
            Input::HardStateWritten { incarnation: 0, term, vote: vote.map(ServerId) }
        }),
        1 => (term(), index())
            .prop_map(|(leader_term, index)| Input::EntriesWritten { incarnation: 0, leader_term, index }),
        1 => (snapshot(), number()).prop_map(|(snapshot, received)| {
            Input::ChunkWritten { incarnation: 0, snapshot: snapshot.id, received }
        }),
        1 => snapshot()
            .prop_map(|snapshot| Input::SnapshotInstalled { incarnation: 0, snapshot: snapshot.id }),
        1 => position().prop_map(|last| Input::SnapshotFailed { incarnation: 0, last }),
        1 => (position(), number())
            .prop_map(|(last, size)| Input::SnapshotTaken { incarnation: 0, last, size }),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let switches = (any::<bool>(), any::<bool>(), any::<bool>());
    let apply_bytes = prop_oneof![3 => 1_u64..400, 1 => Just(u64::MAX)];
    let limits = (1_u64..4, 1_u64..5, 1_u64..300, 1_u64..600, 0_u64..300, apply_bytes);
    (1_u64..6, switches, limits).prop_map(|(voters, switches, limits)| {
        let mut config = Config::new(ServerId(1), (1..=voters).map(ServerId));
        config.catch_up_rounds = limits.0 - 1;
        config.kept_entries = limits.1 - 1;
        (config.pre_vote, config.leader_contact, config.check_quorum) = switches;
        config.leases = config.leader_contact && limits.0 == 3;
        config.limits.batch_entries = limits.0;
        config.limits.window_entries = limits.1;
        config.limits.batch_bytes = limits.2;
        config.limits.window_bytes = limits.3;
        config.limits.recent_bytes = limits.4;
        config.limits.uncommitted_bytes = limits.3;
        config.limits.waiting_reads = limits.0;
        config.limits.apply_bytes = limits.5;
        config.snapshot_bytes = limits.4;
        config
    })
}

/// A message holds one entry, or no more than the limits say.
fn is_within(output: &Output, limits: &Limits) -> bool {
    let Output::Send { message: Message::AppendEntries { entries, .. }, .. } = output else {
        return true;
    };
    let bytes: u64 = entries.iter().map(entry_bytes).sum();
    let count = entries.len() as u64;
    count <= 1 || (count <= limits.batch_entries && bytes <= limits.batch_bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn no_input_harms(config in config(), events in vec(event(), 1..150)) {
        let mut raft = Raft::start(config, MemoryStore::new()).unwrap();
        let mut driver = Driver::default();
        let mut outputs = Outputs::new();
        for event in events {
            let Some(input) = driver.input(event, &mut raft) else { continue };
            let before = raft.clone();
            match raft.step(input.clone(), &mut outputs) {
                Ok(()) => {}
                Err(StepError::Rejected(_)) => {
                    prop_assert!(outputs.is_empty() && raft == before, "{:?}", input);
                }
                Err(other) => prop_assert!(false, "{} at {:?}", other, input),
            }
            prop_assert_eq!(raft.broken_invariant(), None);
            prop_assert!(raft.observe().is_ok());
            prop_assert!(outputs.iter().all(|output| is_within(output, &raft.config().limits)));
            if matches!(input, Input::Restart { .. }) {
                driver.handed = raft.applied_index();
                driver.waiting.clear();
            }
            if input == (Input::Executed { index: driver.handed }) {
                driver.waiting.clear();
            }
            for output in outputs.drain() {
                if matches!(output, Output::DropEntries { .. }) {
                    raft.store_mut().write(&output);
                }
                driver.carry_out(output);
            }
            prop_assert_eq!(driver.handed, raft.applied_index());
            let (waits, limit) = (driver.waiting.iter().sum::<u64>(), raft.config().limits.apply_bytes);
            prop_assert!(waits <= limit || driver.waiting.len() == 1, "{:?}", driver.waiting);
            let rest = raft.applied_index() < raft.commit_index();
            prop_assert!(!rest || !driver.waiting.is_empty(), "nothing is handed over");
        }
    }
}

/// A disk, and a state machine that knows only what it was handed.
#[derive(Default)]
struct Driver {
    writes: VecDeque<Output>,
    asked: Option<Output>,
    handed: LogIndex,
    /// The sizes of the entries that it was handed since it had executed all.
    waiting: Vec<u64>,
}

impl Driver {
    /// What the server is told of an event; `None` if it cannot happen now.
    fn input(&mut self, event: Event, raft: &mut Raft<MemoryStore>) -> Option<Input> {
        match event {
            Event::Input(input)
                if self.writes.front().and_then(completion) != Some(input.clone()) =>
            {
                Some(input)
            }
            Event::Input(_) | Event::Written => {
                let write = self.writes.pop_front()?;
                raft.store_mut().write(&write);
                completion(&write)
            }
            Event::Executed => Some(Input::Executed { index: self.handed }),
            Event::Taken(size) => {
                let asked = self.asked.take()?;
                let (snapshot, input) = snapshot_taken(&asked, raft.id(), size + 1)?;
                let bytes = vec![b'x'; usize::try_from(snapshot.size).ok()?];
                raft.store_mut().keep_snapshot(snapshot, bytes.into());
                Some(input)
            }
            Event::Crash(torn) => {
                if let (Some(write), Some(written)) = (self.writes.front(), torn) {
                    raft.store_mut().tear(write, written);
                }
                self.writes.clear();
                self.asked = None;
                Some(Input::Restart { torn: None })
            }
            Event::Answer(from, answer, number) => {
                let message = self.answer(answer, number, raft)?;
                Some(Input::Deliver { from: ServerId(from), message })
            }
        }
    }

    /// What makes a candidate lead, and a leader get on.
    fn answer(&self, answer: u8, number: u64, raft: &Raft<MemoryStore>) -> Option<Message> {
        let (term, index) = (raft.term(), LogIndex(number).min(raft.last_index()));
        Some(match answer {
            0 => Message::RequestVoteReply { term, granted: true },
            1 => {
                let outcome = AppendOutcome::Matched { index };
                Message::AppendEntriesReply { term, outcome }
            }
            3 => Message::ConfirmLeadershipReply { term, round: number },
            2 => {
                let (prev_index, hint) = (LogIndex(number + 1), LogPosition::default());
                let outcome = AppendOutcome::Mismatch { prev_index, hint };
                Message::AppendEntriesReply { term, outcome }
            }
            _ => {
                let snapshot = raft.store().snapshot().ok()??.id;
                let offset = number % 2;
                Message::InstallSnapshotReply { term, snapshot, offset, received: number }
            }
        })
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Apply { entries } => {
                assert_eq!(entries.first_index(), Some(self.handed.next()));
                self.handed = entries.last_index().unwrap();
                self.waiting.extend(entries.iter().map(entry_bytes));
            }
            Output::Restore { snapshot } => {
                self.handed = snapshot.last.index;
                self.waiting.clear();
            }
            Output::TakeSnapshot { .. } => self.asked = Some(output),
            Output::WriteHardState { .. }
            | Output::WriteEntries { .. }
            | Output::WriteChunk { .. }
            | Output::InstallSnapshot { .. } => self.writes.push_back(output),
            _ => {}
        }
    }
}
