//! One event at one server, and all that comes of it there.

use super::words::{differences, said};
use crate::server::ServerState;
use kontiki_specs::{Input, Output, ServerId};

/// One event, and the steps that the server takes: with a synchronous disk more than one.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The server.
    pub server: ServerId,
    /// The number of the earlier moment of the server that this one goes on from, if that is not
    /// its latest; 0 for its first start.
    pub from: Option<u64>,
    /// Its state before.
    pub before: ServerState,
    /// The steps: what happened, what the server put out, and its state afterwards.
    pub steps: Vec<(Input, Vec<Output>, ServerState)>,
}

impl Moment {
    /// The event, with the server's name.
    pub fn headline(&self) -> String {
        let Some((input, ..)) = self.steps.first() else { return String::new() };
        let input = format!("{input}{}", said(input));
        match self.from {
            None => format!("{} {input}", self.server),
            Some(0) => format!("{}, as first started: {input}", self.server),
            Some(from) => format!("{}, as after {from}: {input}", self.server),
        }
    }

    /// What changes in the server and what it puts out, a line for each thing.
    pub fn changes(&self) -> Vec<String> {
        let after = self.steps.last().map_or(&self.before, |(.., after)| after);
        let mut lines = differences(&self.before, after);
        if let [_, rest @ ..] = self.steps.as_slice()
            && !rest.is_empty()
        {
            lines.push("its disk completes the writes at once".to_string());
        }
        let outputs = self.steps.iter().flat_map(|(_, outputs, _)| outputs);
        lines.extend(outputs.filter_map(|output| match output {
            // What is said of these already, and what is the driver's.
            Output::RoleChanged { .. }
            | Output::LeaderChanged { .. }
            | Output::ResetElectionTimer { .. } => None,
            output => Some(output.to_string()),
        }));
        if lines.is_empty() {
            lines.push("nothing changes".to_string());
        }
        lines
    }
}
