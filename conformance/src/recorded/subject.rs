//! The two sides, as servers that take the steps of a trace.

use super::Subject;
use super::follow::Observed;
use crate::divergence::{Reaction, observed};
use crate::implementation::{Implementation, Memory, config};
use crate::nonsense::reasons_to_reject;
use kontiki::core::{Config, StartError};
use kontiki::storage::{HardState, MemoryStore};
use kontiki_model::actor::servers;
use kontiki_model::server::{Disk, Log, RaftServer, ServerState};
use kontiki_specs::scope::Scope;
use kontiki_specs::{Input, ServerId};

/// A server of the implementation.
#[derive(Clone)]
pub(super) struct ImplementationSubject {
    config: Config,
    implementation: Implementation,
}

impl ImplementationSubject {
    pub(super) fn boot(scope: &Scope, id: ServerId, memory: Memory) -> Result<Self, StartError> {
        let config = config(scope, id, memory);
        Ok(ImplementationSubject { implementation: Implementation::boot(config.clone())?, config })
    }
}

impl Subject for ImplementationSubject {
    fn restart_with(&mut self, Observed(step): &Observed<'_>) {
        let shown = &step.observation;
        let hard_state = HardState { term: shown.term, vote: shown.vote };
        let disk = MemoryStore::with(hard_state, shown.log.clone());
        // A disk that no server wrote is not started with; the comparison then tells.
        let incarnation = before(shown.incarnation);
        let config = Config { incarnation, ..self.config.clone() };
        if let Ok(started) = Implementation::recover(config, disk) {
            self.implementation = started;
        }
    }

    fn react(&mut self, input: &Input) -> Reaction {
        match self.implementation.step(input) {
            Ok(outputs) => observed(self.implementation.raft(), outputs),
            Err(failure) => Reaction::Failed(failure),
        }
    }
}

/// A server of the model.
#[derive(Clone)]
pub(super) struct ModelSubject {
    server: RaftServer,
    state: ServerState,
}

impl ModelSubject {
    pub(super) fn boot(scope: &Scope, id: ServerId) -> Result<Self, StartError> {
        let mut all = servers(scope, None);
        let place = all.iter().position(|server| server.id == id).unwrap_or(0);
        let server = all.swap_remove(place);
        Ok(ModelSubject { state: server.boot(), server })
    }
}

impl Subject for ModelSubject {
    fn restart_with(&mut self, Observed(step): &Observed<'_>) {
        let shown = &step.observation;
        if shown.log.iter().zip(1..).all(|(entry, index)| entry.index.0 == index) {
            let log = Log::from_entries(shown.log.clone());
            let disk = Disk { term: shown.term, vote: shown.vote, log, ..Disk::default() };
            self.state = self.server.recover(disk, before(shown.incarnation));
        }
    }

    fn react(&mut self, input: &Input) -> Reaction {
        let reasons = reasons_to_reject(&self.state, input);
        if !reasons.is_empty() {
            return Reaction::MustReject { reasons };
        }
        let (after, outputs) = self.server.step(&self.state, input);
        self.state = after;
        Reaction::Took { outputs, observation: Box::new(self.state.observe()) }
    }
}

/// The incarnation that the restart which a trace begins with puts an end to.
fn before(incarnation: u64) -> u64 {
    incarnation.wrapping_sub(1)
}
