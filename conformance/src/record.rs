//! Records an atlas as a trace: every transition of every server, each going on from the step that
//! first led to where it starts.

use crate::atlas::Atlas;
use crate::nonsense::must_be_rejected;
use kontiki_model::server::{RaftServer, ServerState};
use kontiki_specs::trace::{TraceHeader, TraceStep, TraceWriter};
use rustc_hash::FxHashMap;
use std::io::{self, Write};

/// Writes the atlas of a scope. Returns the number of steps.
///
/// What a server must turn away is left out: it is no step.
///
/// # Errors
/// Those of `to`, and if the trace becomes longer than a reader accepts.
pub fn record(atlas: &Atlas, to: impl Write) -> io::Result<u64> {
    let scope = atlas.scope().clone();
    let about = format!("Everything that can happen to a server in scope {}", scope.name);
    let header = TraceHeader { scope, mutation: None, violates: None, about };
    let mut writer = TraceWriter::begin(&header, to)?;
    let mut written = 0;
    // Where each state was first come to; the list is the order in which they are gone on from.
    let mut arrivals: FxHashMap<ServerState, u64> = FxHashMap::default();
    let mut states: Vec<ServerState> = atlas.servers().iter().map(RaftServer::boot).collect();
    arrivals.extend(states.iter().map(|state| (state.clone(), 0)));
    let mut next = 0;
    while let Some(state) = states.get(next).cloned() {
        next += 1;
        for input in atlas.inputs(&state) {
            if must_be_rejected(&state, &input) {
                continue;
            }
            let Some(turn) = atlas.turn(&state, &input) else { continue };
            let mut from = arrivals.get(&state).copied().unwrap_or(0);
            let after = turn.after().clone();
            for (input, outputs, after) in turn.steps {
                let step = TraceStep {
                    server: state.id,
                    from: Some(from),
                    input,
                    outputs,
                    observation: after.observe(),
                };
                from = writer.step(&step)?;
                written = from;
            }
            if atlas.contains(&after) && !arrivals.contains_key(&after) {
                arrivals.insert(after.clone(), from);
                states.push(after);
            }
        }
    }
    writer.end()?;
    Ok(written)
}
