//! The model's server beside the implementation's, fed the same inputs: for what is too large to
//! be exhausted.

use crate::divergence::{Reaction, agree};
use crate::implementation::Failure;
use crate::nonsense::{Nonsense, reasons_to_reject};
use kontiki::core::Raft;
use kontiki::storage::MemoryStore;
use kontiki_model::server::{RaftServer, ServerState};
use kontiki_specs::{Input, LogIndex, Observation, Output};

/// How many steps may pass before the whole log is compared again, though no step changed it.
const STEPS_BETWEEN_WHOLE_LOGS: u32 = 256;

/// A model server that follows an implementation server step by step.
#[derive(Clone, Debug)]
pub struct Shadow {
    server: RaftServer,
    state: ServerState,
    steps: u32,
}

/// How the two differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What the model did.
    pub expected: Reaction,
    /// What the implementation did.
    pub found: Reaction,
}

impl Shadow {
    /// The shadow of a server that starts for the first time.
    pub fn boot(server: RaftServer) -> Shadow {
        let state = server.boot();
        Shadow { server, state, steps: 0 }
    }

    /// The model's state.
    pub fn state(&self) -> &ServerState {
        &self.state
    }

    /// Takes the step that the implementation has taken, or turned away, and compares all of it.
    /// `implementation` is the server of the implementation afterwards.
    ///
    /// # Errors
    /// How they differ.
    pub fn follow(
        &mut self,
        input: &Input,
        reaction: &Result<Vec<Output>, Failure>,
        implementation: &Raft<MemoryStore>,
    ) -> Result<(), Box<Difference>> {
        let reasons = reasons_to_reject(&self.state, input);
        let outputs = match reaction {
            Err(Failure::Rejected(rejection)) if Nonsense::explains(&reasons, rejection) => {
                return self.stays(input, implementation);
            }
            Err(failure) => return Err(self.difference(input, Reaction::Failed(failure.clone()))),
            Ok(outputs) => outputs,
        };
        let (after, expected) = self.server.step(&self.state, input);
        self.steps = self.steps.wrapping_add(1);
        let first = self.first_to_compare(input, &expected, &after);
        let same = reasons.is_empty()
            && expected == *outputs
            && implementation.observe_from(first).is_ok_and(|found| observes(&after, first, found));
        if !same {
            let found = crate::divergence::observed(implementation, outputs.clone());
            return Err(self.difference(input, found));
        }
        self.state = after;
        self.forget();
        Ok(())
    }

    /// The difference from an implementation that has gone wrong beside the server itself.
    pub fn differs_by(&self, failure: Failure) -> Difference {
        let observation = Box::new(self.state.observe());
        let expected = Reaction::Took { outputs: Vec::new(), observation };
        Difference { expected, found: Reaction::Failed(failure) }
    }

    /// Takes a step that the implementation has not taken: a write is done, and the server goes down
    /// before it notices. What would have been put out.
    pub fn takes_unnoticed(&mut self, input: &Input) -> Vec<Output> {
        let (after, outputs) = self.server.step(&self.state, input);
        self.state = after;
        outputs
    }

    /// What the log has let go of is forgotten now and then: memory stays bounded, and steps that copy
    /// a log stay cheap.
    fn forget(&mut self) {
        if self.steps.is_multiple_of(STEPS_BETWEEN_WHOLE_LOGS) {
            self.state.log.forget();
            self.state.disk.log.forget();
            self.state.forget_outcomes();
        }
    }

    /// What was turned away has changed nothing.
    fn stays(
        &self,
        input: &Input,
        implementation: &Raft<MemoryStore>,
    ) -> Result<(), Box<Difference>> {
        let first = LogIndex(1);
        let same = implementation
            .observe_from(first)
            .is_ok_and(|found| observes(&self.state, first, found));
        if same {
            return Ok(());
        }
        Err(self.difference(input, crate::divergence::observed(implementation, Vec::new())))
    }

    /// From where the logs have to be compared: a step that writes no entries changes none.
    fn first_to_compare(&self, input: &Input, outputs: &[Output], after: &ServerState) -> LogIndex {
        if matches!(input, Input::Restart { .. })
            || self.steps.is_multiple_of(STEPS_BETWEEN_WHOLE_LOGS)
        {
            return LogIndex(1);
        }
        let written = outputs.iter().find_map(|output| match output {
            Output::WriteEntries { first_index, .. } => Some(*first_index),
            _ => None,
        });
        written.unwrap_or(after.log.last_index())
    }

    fn difference(&self, input: &Input, found: Reaction) -> Box<Difference> {
        let (after, outputs) = self.server.step(&self.state, input);
        let reasons = reasons_to_reject(&self.state, input);
        let expected = if reasons.is_empty() {
            Reaction::Took { outputs, observation: Box::new(after.observe()) }
        } else {
            Reaction::MustReject { reasons }
        };
        debug_assert!(!agree(&expected, &found));
        Box::new(Difference { expected, found })
    }
}

/// Whether that is what shows of the model's state, of the log only what stands from `first` on.
fn observes(state: &ServerState, first: LogIndex, found: Observation) -> bool {
    state.observe_from(first) == found
}
