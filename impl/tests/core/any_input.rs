//! Whatever is fed to a server, it does not panic, its invariants hold, and what it refuses leaves
//! it as it was.

use kontiki::core::{Config, Limits, Outputs, Raft, StepError, completion, entry_bytes};
use kontiki::storage::MemoryStore;
use kontiki::{
    AppendOutcome, Configuration, Entry, Input, LogIndex, LogPosition, MembershipChange, Message,
    Output, Payload, ServerId, Term,
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

fn message() -> impl Strategy<Value = Message> {
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

/// An input, or `None` for the completion of the oldest outstanding write.
fn input() -> impl Strategy<Value = Option<Input>> {
    prop_oneof![
        8 => (0_u64..6, message())
            .prop_map(|(from, message)| Some(Input::Deliver { from: ServerId(from), message })),
        8 => Just(None),
        3 => Just(Some(Input::ElectionTimeout)),
        1 => Just(Some(Input::HeartbeatTimeout)),
        1 => Just(Some(Input::LeaderContactExpired)),
        1 => Just(Some(Input::QuorumContactExpired)),
        1 => Just(Some(Input::DiskStalled)),
        2 => operator().prop_map(Some),
        2 => vec(0_usize..300, 0..5)
            .prop_map(|sizes| Some(crate::support::propose(&sizes))),
        1 => Just(Some(Input::Restart { torn: None })),
        1 => (term(), option::of(0_u64..4)).prop_map(|(term, vote)| {
            Some(Input::HardStateWritten { incarnation: 0, term, vote: vote.map(ServerId) })
        }),
        1 => (term(), index())
            .prop_map(|(leader_term, index)| Some(Input::EntriesWritten { incarnation: 0, leader_term, index })),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let switches = (any::<bool>(), any::<bool>(), any::<bool>());
    let limits = (1_u64..4, 1_u64..5, 1_u64..300, 1_u64..600, 0_u64..300);
    (1_u64..6, switches, limits).prop_map(|(voters, switches, limits)| {
        let mut config = Config::new(ServerId(1), (1..=voters).map(ServerId));
        config.catch_up_rounds = limits.0 - 1;
        (config.pre_vote, config.leader_contact, config.check_quorum) = switches;
        config.limits.batch_entries = limits.0;
        config.limits.window_entries = limits.1;
        config.limits.batch_bytes = limits.2;
        config.limits.window_bytes = limits.3;
        config.limits.recent_bytes = limits.4;
        config.limits.uncommitted_bytes = limits.3;
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
    fn no_input_harms(config in config(), inputs in vec(input(), 1..120)) {
        let mut raft = Raft::start(config, MemoryStore::new()).unwrap();
        let mut writes: VecDeque<Output> = VecDeque::new();
        let mut outputs = Outputs::new();
        for input in inputs {
            let oldest = || writes.front().and_then(completion);
            let Some(input) = input.or_else(oldest) else { continue };
            if Some(&input) == oldest().as_ref() {
                raft.store_mut().write(&writes.pop_front().unwrap());
            }
            if matches!(input, Input::Restart { .. }) {
                writes.clear();
            }
            let before = raft.clone();
            match raft.step(input.clone(), &mut outputs) {
                Ok(()) => {}
                Err(StepError::Rejected(_)) => {
                    prop_assert!(outputs.is_empty() && raft == before, "{:?}", input);
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
            prop_assert_eq!(raft.broken_invariant(), None);
            prop_assert!(raft.observe().is_ok());
            prop_assert!(outputs.iter().all(|output| is_within(output, &raft.config().limits)));
            let issued = outputs.drain().filter(|output| completion(output).is_some());
            writes.extend(issued);
        }
    }
}
