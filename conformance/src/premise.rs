//! What the comparison takes for granted: no honest cluster comes to what must be turned away.
//!
//! Where [`crate::nonsense`] says that an input must be turned away, replay asks the
//! implementation for that and compares nothing else. If it said so of something that can happen,
//! and the implementation's screen were wrong in the same way, the two would agree and nothing
//! else would notice. So the clusters that were explored are asked: no message that could still
//! make a difference in one of them may meet a server that would have to turn it away.

use crate::nonsense::{Nonsense, reasons_to_reject};
use kontiki_model::check::Progress;
use kontiki_model::cluster::Cluster;
use kontiki_model::path::{Path, describe};
use kontiki_model::server::ServerState;
use kontiki_model::walker::walk;
use kontiki_specs::{Envelope, Input};
use std::fmt;

/// A message that a server of an honest cluster would have to turn away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refutation {
    /// The receiver.
    pub state: ServerState,
    /// The message.
    pub envelope: Envelope,
    /// Why it would have to be turned away.
    pub reasons: Vec<Nonsense>,
    /// A shortest way of the cluster to where the two meet.
    pub steps: u64,
    /// The same as a story.
    pub story: String,
}

/// The nearest message that a server would have to turn away in a cluster that has been explored
/// to its end; nothing if the premise holds. Calls `progress` while it looks for the way there.
pub fn refute(cluster: &Cluster, progress: impl FnMut(Progress)) -> Option<Refutation> {
    refute_with(cluster, reasons_to_reject, progress)
}

/// The same, with other reasons than those of [`reasons_to_reject`].
///
/// Each pair is looked at under one naming of the servers only, that under which the exploration
/// met it. That is enough: the reasons ask whether names are equal, never which they are.
pub fn refute_with(
    cluster: &Cluster,
    reasons: impl Fn(&ServerState, &Input) -> Vec<Nonsense>,
    mut progress: impl FnMut(Progress),
) -> Option<Refutation> {
    let why = |state: &ServerState, Envelope { from, message, .. }: &Envelope| {
        reasons(state, &Input::Deliver { from: *from, message: message.clone() })
    };
    let refuted = |state: &ServerState, envelope: &Envelope| !why(state, envelope).is_empty();
    let somewhere = cluster.find_meeting(refuted)?;
    // Breadth-first, and so to the nearest, which may be another than the first in the tables.
    let mut nearest = None;
    let stop = |state: &_| {
        nearest = cluster.find_meeting_in(state, refuted);
        nearest.is_some()
    };
    let walked = walk(cluster, u64::MAX, stop, |unique_states, _, depth| {
        progress(Progress { unique_states, depth });
    });
    let (state, envelope) = nearest.unwrap_or(somewhere);
    let path = Path::follow(cluster, &walked.stopped_at.unwrap_or_default());
    let (steps, story) = path.map_or((0, String::new()), |path| (path.len() as u64, path.story()));
    Some(Refutation { reasons: why(&state, &envelope), state, envelope, steps, story })
}

impl fmt::Display for Refutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Envelope { from, to, message } = &self.envelope;
        writeln!(f, "after {} steps:", self.steps)?;
        write!(f, "{}", self.story)?;
        writeln!(f, "Then this can happen:")?;
        writeln!(f, "   >>> {to} receives from {from}: {message}")?;
        writeln!(f, "and this server would have to turn it away:")?;
        writeln!(f, "       {}", describe(&self.state))?;
        for reason in &self.reasons {
            writeln!(f, "   because {reason}")?;
        }
        Ok(())
    }
}
