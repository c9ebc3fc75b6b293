//! Where model and implementation differ, made readable.

use crate::fields::{fields, only_one_has};
use crate::implementation::Failure;
use crate::nonsense::Nonsense;
use kontiki::core::{Raft, Rejection};
use kontiki::storage::MemoryStore;
use kontiki_specs::{
    Entry, Input, Observation, Output, Receiving, RoleKind, RoleObservation, ServerId,
};
use std::fmt;

/// What one side did at an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It took the step.
    Took {
        /// What it put out.
        outputs: Vec<Output>,
        /// Its state afterwards.
        observation: Box<Observation>,
    },
    /// It turned the input away, or broke.
    Failed(Failure),
    /// It must turn the input away, and say this.
    Rejected(Rejection),
    /// It must turn the input away, for one of these reasons: no honest cluster comes to it.
    MustReject {
        /// Every reason there is.
        reasons: Vec<Nonsense>,
    },
}

/// Where two servers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// In what they do at an input.
    Input(Input),
    /// In the state that they are in already, once the implementation keeps as little in memory as
    /// it may.
    MemoryReleased,
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Occasion::Input(input) => write!(f, "{input}"),
            Occasion::MemoryReleased => {
                write!(f, "nothing more happens: it shows another state once memory is released")
            }
        }
    }
}

/// The first difference that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The server.
    pub server: ServerId,
    /// The inputs that led there from the server's first start.
    pub path: Vec<Input>,
    /// Where the two differ after that.
    pub at: Occasion,
    /// What is expected: what the model did, or what the trace says.
    pub expected: Reaction,
    /// What was done instead.
    pub found: Reaction,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} after {} steps:", self.server, self.path.len())?;
        write!(f, "{}", numbered(&self.path))?;
        writeln!(f, "   >>> {}", self.at)?;
        writeln!(f, "what was expected (-) and what came instead (+):")?;
        for line in differing_lines(&self.expected, &self.found) {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// Inputs, a line for each with its number.
pub(crate) fn numbered(path: &[Input]) -> String {
    (1..).zip(path).map(|(number, input): (u64, _)| format!("  {number:>3}. {input}\n")).collect()
}

/// What only one side has, in words; where words do not tell them apart, to the last field; and where
/// that does not either, everything in its order.
pub(crate) fn differing_lines(expected: &Reaction, found: &Reaction) -> Vec<String> {
    for in_full in [false, true] {
        let lines = only_one_has(&expected.lines(in_full), &found.lines(in_full));
        if !lines.is_empty() {
            return lines;
        }
    }
    let (expected, found) = (expected.lines(false), found.lines(false));
    let expected = expected.iter().map(|line| format!("- {line}"));
    expected.chain(found.iter().map(|line| format!("+ {line}"))).collect()
}

impl Reaction {
    fn lines(&self, in_full: bool) -> Vec<String> {
        match self {
            Reaction::Took { outputs, observation } => {
                let outputs = outputs.iter().map(|output| match in_full {
                    true => format!("{output:?}"),
                    false => output.to_string(),
                });
                let state = match in_full {
                    true => fields(observation),
                    false => state_lines(observation),
                };
                outputs.chain(state).collect()
            }
            Reaction::Rejected(rejection) => {
                vec![Failure::Rejected(*rejection).to_string()]
            }
            Reaction::Failed(failure) => vec![failure.to_string()],
            Reaction::MustReject { reasons } => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                let reasons = reasons.join(", and ");
                vec![format!("turns it away, as no honest cluster comes to this: {reasons}")]
            }
        }
    }
}

/// What the implementation did: its outputs, and the state that it is in now.
pub fn observed(raft: &Raft<MemoryStore>, outputs: Vec<Output>) -> Reaction {
    match raft.observe() {
        Ok(observation) if !says_of_itself(raft, &observation) => {
            let why = "what single questions are answered with is not what is observed";
            Reaction::Failed(Failure::Broken(why.to_string()))
        }
        Ok(observation) => Reaction::Took { outputs, observation: Box::new(observation) },
        Err(error) => Reaction::Failed(Failure::Broken(error.to_string())),
    }
}

/// Whether the server answers single questions as it shows itself as a whole.
fn says_of_itself(raft: &Raft<MemoryStore>, observation: &Observation) -> bool {
    let (kind, leader, contact) = match &observation.role {
        RoleObservation::Follower { leader, leader_contact } => {
            (RoleKind::Follower, *leader, *leader_contact)
        }
        RoleObservation::PreCandidate { .. } => (RoleKind::PreCandidate, None, false),
        RoleObservation::Candidate { .. } => (RoleKind::Candidate, None, false),
        RoleObservation::Leader { .. } => (RoleKind::Leader, Some(raft.id()), false),
    };
    let transfers_to = match &observation.role {
        RoleObservation::Leader { transfer, .. } => *transfer,
        _ => None,
    };
    let last_index = observation.log.last().map_or(observation.log_base.index, |entry| entry.index);
    let configured = observation.configuration_index;
    let entry = observation.log.iter().find(|entry| entry.index == configured);
    let covered = observation.snapshot.as_ref().map(|own| own.configuration_position);
    let configuration_position = entry.map(Entry::position).or(covered).unwrap_or_default();
    (raft.role(), raft.leader(), raft.has_leader_contact()) == (kind, leader, contact)
        && (raft.term(), raft.commit_index()) == (observation.term, observation.commit_index)
        && raft.last_index() == last_index
        && raft.applied_index() == observation.applied_index
        && raft.durable_index() == observation.durable_index
        && raft.configuration() == &observation.configuration
        && raft.configuration_index() == observation.configuration_index
        && raft.configuration_position() == configuration_position
        && raft.transfers_to() == transfers_to
        && raft.disk_stalls() == observation.disk_stalls
        && raft.log_base() == observation.log_base
        && raft.snapshot() == observation.snapshot.as_ref()
        && raft.taking_snapshot() == observation.taking
        && !raft.is_stopped()
}

/// Whether what was found is what was expected.
pub fn agree(expected: &Reaction, found: &Reaction) -> bool {
    match (expected, found) {
        (Reaction::MustReject { reasons }, Reaction::Failed(Failure::Rejected(rejection))) => {
            Nonsense::explains(reasons, rejection)
        }
        (Reaction::Rejected(expected), Reaction::Failed(Failure::Rejected(rejection))) => {
            expected == rejection
        }
        _ => expected == found,
    }
}

/// A server's state, a line for each thing.
fn state_lines(of: &Observation) -> Vec<String> {
    let vote = |vote: Option<ServerId>| vote.map_or("none".to_string(), |vote| vote.to_string());
    let log: Vec<String> = of.log.iter().map(ToString::to_string).collect();
    let or_none = |known: Option<String>| known.unwrap_or_else(|| "none".to_string());
    let receiving = of.receiving.map(|part| {
        let Receiving { snapshot, received, durable } = part;
        format!("{received} bytes of {snapshot}, {durable} of them on disk")
    });
    vec![
        format!("log begins behind: {}", of.log_base),
        format!("snapshot: {}", or_none(of.snapshot.as_ref().map(ToString::to_string))),
        format!("snapshot on disk: {}", or_none(of.durable_snapshot.map(|id| id.to_string()))),
        format!("snapshot being taken: {}", or_none(of.taking.map(|last| last.to_string()))),
        format!("snapshot being received: {}", or_none(receiving)),
        format!("term: {}", of.term),
        format!("vote: {}", vote(of.vote)),
        format!("term on disk: {}", of.durable_term),
        format!("vote on disk: {}", vote(of.durable_vote)),
        format!("log: {}", if log.is_empty() { "empty".to_string() } else { log.join(", ") }),
        format!("configuration: {} at {}", of.configuration, of.configuration_index),
        format!("incarnation: {}", of.incarnation),
        format!("disk makes no progress: {}", of.disk_stalls),
        format!("durable up to: {}", of.durable_index),
        format!("commit: {}", of.commit_index),
        format!("applied: {}", of.applied_index),
        format!("bytes that are not executed: {}", of.unexecuted_bytes),
        format!("bytes since a snapshot: {}", of.bytes_since_snapshot),
        format!("role: {}", of.role),
    ]
}
