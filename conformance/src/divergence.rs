//! Where model and implementation differ, made readable.

use crate::implementation::{Failure, Implementation};
use kontiki_specs::{Input, Observation, Output, ServerId};
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
    /// It must turn the input away, because no honest cluster comes to it.
    MustReject,
}

/// The first difference that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The server.
    pub server: ServerId,
    /// The inputs that led there from the server's first start.
    pub path: Vec<Input>,
    /// The input at which the two differ.
    pub input: Input,
    /// What is expected: what the model did, or what the trace says.
    pub expected: Reaction,
    /// What was done instead.
    pub found: Reaction,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} after {} steps:", self.server, self.path.len())?;
        for (number, input) in (1..).zip(&self.path) {
            writeln!(f, "  {number:>3}. {input}")?;
        }
        writeln!(f, "   >>> {}", self.input)?;
        let (expected, found) = (self.expected.lines(), self.found.lines());
        writeln!(f, "what was expected (-) and what came instead (+):")?;
        for line in expected.iter().filter(|line| !found.contains(line)) {
            writeln!(f, "  - {line}")?;
        }
        for line in found.iter().filter(|line| !expected.contains(line)) {
            writeln!(f, "  + {line}")?;
        }
        let differ = expected.iter().any(|line| !found.contains(line))
            || found.iter().any(|line| !expected.contains(line));
        if !differ {
            writeln!(f, "  the same, in another order:")?;
            expected.iter().try_for_each(|line| writeln!(f, "  - {line}"))?;
            found.iter().try_for_each(|line| writeln!(f, "  + {line}"))?;
        }
        Ok(())
    }
}

impl Reaction {
    fn lines(&self) -> Vec<String> {
        match self {
            Reaction::Took { outputs, observation } => {
                let outputs = outputs.iter().map(|output| format!("{output} ({output:?})"));
                outputs.chain(state_lines(observation)).collect()
            }
            Reaction::Failed(Failure::Rejected(rejection)) => {
                vec![format!("turns it away: {rejection}")]
            }
            Reaction::Failed(Failure::Broken(why)) => vec![format!("stops: {why}")],
            Reaction::MustReject => {
                vec!["turns it away: no honest cluster comes to this".to_string()]
            }
        }
    }
}

/// What the implementation did: its outputs, and the state that it is in now.
pub fn observed(implementation: &Implementation, outputs: Vec<Output>) -> Reaction {
    match implementation.observe() {
        Ok(observation) => Reaction::Took { outputs, observation: Box::new(observation) },
        Err(error) => Reaction::Failed(Failure::Broken(error.to_string())),
    }
}

/// Whether what was found is what was expected.
pub fn agree(expected: &Reaction, found: &Reaction) -> bool {
    match (expected, found) {
        (Reaction::MustReject, Reaction::Failed(Failure::Rejected(_))) => true,
        _ => expected == found,
    }
}

/// A server's state, a line for each thing.
fn state_lines(of: &Observation) -> Vec<String> {
    let vote = |vote: Option<ServerId>| vote.map_or("none".to_string(), |vote| vote.to_string());
    let log: Vec<String> = of.log.iter().map(ToString::to_string).collect();
    vec![
        format!("term: {}", of.term),
        format!("vote: {}", vote(of.vote)),
        format!("term on disk: {}", of.durable_term),
        format!("vote on disk: {}", vote(of.durable_vote)),
        format!("log: {}", if log.is_empty() { "empty".to_string() } else { log.join(", ") }),
        format!("durable up to: {}", of.durable_index),
        format!("commit: {}", of.commit_index),
        format!("applied: {}", of.applied_index),
        format!("role: {:?}", of.role),
    ]
}
