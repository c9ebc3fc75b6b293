//! What a benign schedule did, kept so that it can be told.

use crate::server::ServerState;
use kontiki_specs::{Input, Output, ServerId};

/// A benign schedule that does not recover, from its first attempt to its last.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// What was tried, in order.
    pub attempts: Vec<Attempt>,
}

/// One thing that the schedule tried.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What it tried.
    pub what: String,
    /// Whether it only prepares what comes next, and is not worth a word if nothing comes of it.
    pub prepares: bool,
    /// The turns of servers that came of it. An event other than a message's arrival is left out if
    /// it changed and put out nothing.
    pub turns: Vec<AccountTurn>,
    /// What was still missing afterwards, if that was looked at.
    pub missing: Option<String>,
}

/// What one event made of one server.
#[derive(Clone, Debug)]
pub struct AccountTurn {
    /// The server.
    pub server: ServerId,
    /// Its state before.
    pub before: ServerState,
    /// The event, then the writes that its disk completed: inputs, outputs and states afterwards.
    pub steps: Vec<(Input, Vec<Output>, ServerState)>,
}

impl Account {
    pub(super) fn attempt(&mut self, what: String, prepares: bool) {
        self.attempts.push(Attempt { what, prepares, turns: Vec::new(), missing: None });
    }

    pub(super) fn missing(&mut self, missing: String) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.missing = Some(missing);
        }
    }

    /// A step of a server. The completion of a write belongs to the turn that issued the write.
    pub(super) fn step(
        &mut self,
        before: &ServerState,
        input: &Input,
        outputs: &[Output],
        after: &ServerState,
    ) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        let step = (input.clone(), outputs.to_vec(), after.clone());
        let completes =
            matches!(input, Input::HardStateWritten { .. } | Input::EntriesWritten { .. });
        let arrives = matches!(input, Input::Deliver { .. });
        match attempt.turns.last_mut() {
            Some(turn) if completes && turn.server == before.id => turn.steps.push(step),
            _ if before == after && outputs.is_empty() && !arrives => {}
            _ => attempt.turns.push(AccountTurn {
                server: before.id,
                before: before.clone(),
                steps: vec![step],
            }),
        }
    }
}
