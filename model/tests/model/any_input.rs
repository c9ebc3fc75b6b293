//! Whatever happens to a server, in whatever state: it does not panic, it does the same again,
//! and it keeps the properties that no other server has a part in.

use bytes::Bytes;
use kontiki_model::actor::servers;
use kontiki_model::environment::Turn;
use kontiki_model::properties::judge_step;
use kontiki_specs::scope::Scope;
use kontiki_specs::{
    AppendOutcome, Configuration, Entry, Input, LogIndex, LogPosition, MembershipChange, Message,
    Payload, Property, ReadId, ServerId, Term,
};
use proptest::prelude::*;

/// Small terms, so that they meet. That terms cannot run out is for whoever takes messages in.
fn term() -> impl Strategy<Value = Term> {
    (0_u64..5).prop_map(Term)
}

/// Small numbers, and now and then the largest.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0_u64..5, 1 => Just(u64::MAX)]
}

fn position() -> impl Strategy<Value = LogPosition> {
    (number(), term()).prop_map(|(index, term)| LogPosition { index: LogIndex(index), term })
}

/// Entries as a leader sends them: consecutive, after `prev`.
fn append_entries() -> impl Strategy<Value = Message> {
    (term(), position(), prop::collection::vec((0_u64..5, payload()), 0..3), number()).prop_map(
        |(term, prev, terms, commit)| Message::AppendEntries {
            term,
            prev,
            entries: (1..)
                .zip(terms)
                .map(|(place, (term, payload))| Entry {
                    term: Term(term),
                    index: LogIndex(prev.index.0.saturating_add(place)),
                    payload,
                })
                .collect(),
            commit_index: LogIndex(commit),
        },
    )
}

fn outcome() -> impl Strategy<Value = AppendOutcome> {
    prop_oneof![
        number().prop_map(|index| AppendOutcome::Matched { index: LogIndex(index) }),
        (number(), position()).prop_map(|(index, hint)| AppendOutcome::Mismatch {
            prev_index: LogIndex(index),
            hint
        }),
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

/// An input, or the completion of the oldest write that is outstanding.
fn input() -> impl Strategy<Value = Option<Input>> {
    prop_oneof![
        4 => (2_u64..5, message())
            .prop_map(|(from, message)| Some(Input::Deliver { from: ServerId(from), message })),
        4 => Just(None),
        2 => Just(Some(Input::ElectionTimeout)),
        1 => Just(Some(Input::HeartbeatTimeout)),
        1 => Just(Some(Input::LeaderContactExpired)),
        1 => Just(Some(Input::QuorumContactExpired)),
        1 => Just(Some(Input::DiskStalled)),
        2 => operator().prop_map(Some),
        1 => (0_u64..3).prop_map(|read| Some(Input::Read { read: ReadId(read) })),
        1 => (0_u64..4).prop_map(|round| Some(Input::LeaseExpired { round })),
        1 => (0_usize..3).prop_map(|count| {
            Some(Input::Propose { commands: vec![Bytes::from_static(b"command"); count] })
        }),
        1 => prop::option::of(0_u64..3).prop_map(|torn| Some(Input::Restart { torn })),
        1 => (term(), prop::option::of(1_u64..4)).prop_map(|(term, vote)| {
            Some(Input::HardStateWritten { incarnation: 0, term, vote: vote.map(ServerId) })
        }),
        1 => (term(), number()).prop_map(|(leader_term, index)| {
            Some(Input::EntriesWritten { incarnation: 0, leader_term, index: LogIndex(index) })
        }),
    ]
}

/// What one server keeps by itself, even among liars. That commits do not conflict, it does not.
const KEPT: &[Property] = &[
    Property::MonotonicTerm,
    Property::MonotonicVote,
    Property::MonotonicCommit,
    Property::MonotonicMatch,
    Property::LeaderAppendOnly,
    Property::OwnTermCommit,
    Property::LaterTermAdopted,
    Property::UndisturbedLeader,
    Property::CutOffRaisesNoTerm,
    Property::LeaderHasMajority,
    Property::OrderlyTransfer,
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_input_harms(
        inputs in prop::collection::vec(input(), 1..60),
        pre_vote: bool,
        leader_contact: bool,
        check_quorum: bool,
        leases: bool,
    ) {
        let leases = leases && leader_contact;
        let text = format!(
            "servers = 3\nterms = 3\nlog = 3\npre-vote = {pre_vote}\n\
             leader-contact = {leader_contact}\ncheck-quorum = {check_quorum}\n\
             leases = {leases}\nreads = 1"
        );
        let server = servers(&Scope::parse("any", "test", &text).unwrap(), None).remove(0);
        let mut state = server.boot();
        for input in inputs {
            let oldest = || state.completion();
            let Some(input) = input.or_else(oldest) else { continue };
            let (after, outputs) = server.step(&state, &input);
            prop_assert_eq!(&server.step(&state, &input), &(after.clone(), outputs.clone()));
            let turn = Turn { steps: vec![(input, outputs, after.clone())] };
            let broken = judge_step(&server, &state, &turn).broken;
            for property in KEPT {
                prop_assert!(!broken.contains(*property), "{} by {:?}", property, turn);
            }
            state = after;
        }
    }
}
