//! The limits in bytes, of which the model has those on messages, against a plain calculation.

use kontiki::core::{Config, Outputs, Raft, completion};
use kontiki::storage::MemoryStore;
use kontiki::{
    AppendOutcome, Input, LogIndex, Message, Observation, Output, Refusal, ReplicationMode,
    RoleObservation, ServerId, Term,
};
use proptest::collection::vec;
use proptest::prelude::*;

const S2: ServerId = ServerId(2);
const TERM: Term = Term(1);

/// What an entry counts for besides its command.
const OVERHEAD: u64 = 24;

#[derive(Clone, Debug)]
enum Event {
    Propose(Vec<u64>),
    /// Server 2 acknowledges so many more entries.
    Acknowledge(u64),
    CompleteWrite,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => vec(0_u64..120, 1..5).prop_map(Event::Propose),
        3 => (1_u64..5).prop_map(Event::Acknowledge),
        2 => Just(Event::CompleteWrite),
    ]
}

/// A leader with limits, its outstanding completions, and the sizes of its entries.
struct Leader {
    raft: Raft<MemoryStore>,
    writes: std::collections::VecDeque<Output>,
    sizes: Vec<u64>,
}

impl Leader {
    fn step(&mut self, input: Input) -> Result<Vec<Output>, TestCaseError> {
        let mut outputs = Outputs::new();
        let taken = self.raft.step(input, &mut outputs);
        prop_assert_eq!(taken, Ok(()));
        let outputs: Vec<Output> = outputs.drain().collect();
        self.writes.extend(outputs.iter().filter(|output| completion(output).is_some()).cloned());
        Ok(outputs)
    }

    fn complete_write(&mut self) -> Result<(), TestCaseError> {
        if let Some(write) = self.writes.pop_front() {
            self.raft.store_mut().write(&write);
            completion(&write).map_or(Ok(Vec::new()), |input| self.step(input))?;
        }
        Ok(())
    }

    fn acknowledge(&mut self, index: u64) -> Result<(), TestCaseError> {
        let outcome = AppendOutcome::Matched { index: LogIndex(index) };
        let message = Message::AppendEntriesReply { term: TERM, outcome };
        self.step(Input::Deliver { from: S2, message })?;
        Ok(())
    }

    /// The bytes of the entries after one index, up to another.
    fn bytes(&self, after: LogIndex, through: LogIndex) -> u64 {
        let sizes = (1..).zip(&self.sizes);
        sizes.filter(|(at, _)| after.0 < *at && *at <= through.0).map(|(_, size)| size).sum()
    }

    /// What must be said to a proposal of commands of these sizes.
    fn refusal(&self, commands: &[u64]) -> Option<Refusal> {
        let limits = self.raft.config().limits;
        if let Some(size) = commands.iter().max().filter(|size| **size > limits.command_bytes) {
            return Some(Refusal::CommandTooLarge { size: *size, limit: limits.command_bytes });
        }
        let settled = self.raft.commit_index().min(self.raft.durable_index());
        let uncommitted = self.bytes(settled, self.raft.last_index());
        let proposed: u64 = commands.iter().map(|size| OVERHEAD + size).sum();
        let limit = limits.uncommitted_bytes;
        (uncommitted > 0 && uncommitted + proposed > limit)
            .then_some(Refusal::TooMuchUncommitted { uncommitted, limit })
    }

    /// What is in flight is within the limit or one entry, and nothing that would fit waits.
    fn check_window(&self) -> Result<(), TestCaseError> {
        let limit = self.raft.config().limits.window_bytes;
        let observed = self.raft.observe();
        let Ok(Observation { role: RoleObservation::Leader { progress, .. }, .. }) = observed
        else {
            return Err(TestCaseError::fail("it leads no more"));
        };
        for known in progress.values().filter(|one| one.mode == ReplicationMode::Pipeline) {
            let last = known.next_index.previous();
            let in_flight = self.bytes(known.match_index, last);
            prop_assert!(in_flight <= limit || last == known.match_index.next(), "{:?}", known);
            if known.next_index <= self.raft.last_index() {
                let with_next = self.bytes(known.match_index, known.next_index);
                prop_assert!(with_next > limit && in_flight > 0, "{:?}", known);
            }
        }
        Ok(())
    }
}

/// The leader of term 1, whose no-op is committed and durable.
fn leader(config: Config) -> Result<Leader, TestCaseError> {
    let raft = Raft::start(config, MemoryStore::new());
    let raft = raft.map_err(|error| TestCaseError::fail(error.to_string()))?;
    let mut leader = Leader { raft, writes: Default::default(), sizes: vec![OVERHEAD] };
    leader.step(Input::ElectionTimeout)?;
    leader.complete_write()?;
    let vote = Message::RequestVoteReply { term: TERM, granted: true };
    leader.step(Input::Deliver { from: S2, message: vote })?;
    leader.complete_write()?;
    leader.acknowledge(1)?;
    Ok(leader)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn limits_in_bytes_are_kept(
        command_bytes in 60_u64..120,
        uncommitted_bytes in 1_u64..600,
        window_bytes in 1_u64..400,
        batch_bytes in 1_u64..400,
        events in vec(event(), 1..40),
    ) {
        let mut config = Config::new(ServerId(1), (1..=3).map(ServerId));
        config.pre_vote = false;
        config.limits.command_bytes = command_bytes;
        config.limits.uncommitted_bytes = uncommitted_bytes;
        config.limits.window_bytes = window_bytes;
        config.limits.batch_bytes = batch_bytes;
        let mut leader = leader(config)?;
        for event in events {
            match event {
                Event::Propose(sizes) => {
                    let expected = leader.refusal(&sizes);
                    let commands = sizes.iter().map(|size| vec![b'x'; *size as usize].into());
                    let outputs = leader.step(Input::Propose { commands: commands.collect() })?;
                    let refused = outputs.iter().find_map(|output| match output {
                        Output::Refused { refusal } => Some(refusal.clone()),
                        _ => None,
                    });
                    if refused.is_none() {
                        leader.sizes.extend(sizes.iter().map(|size| OVERHEAD + size));
                    }
                    prop_assert_eq!(refused, expected);
                }
                Event::Acknowledge(more) => {
                    let held = leader.raft.commit_index().0 + more;
                    leader.acknowledge(held.min(leader.raft.last_index().0))?;
                }
                Event::CompleteWrite => leader.complete_write()?,
            }
            prop_assert_eq!(leader.raft.last_index(), LogIndex(leader.sizes.len() as u64));
            prop_assert_eq!(leader.raft.broken_invariant(), None);
            leader.check_window()?;
        }
    }
}
