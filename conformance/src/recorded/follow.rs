//! The way through a trace: from which earlier step each step goes on.

use super::TraceFault;
use crate::divergence::Reaction;
use crate::implementation::join_applied;
use kontiki::core::StartError;
use kontiki_specs::trace::{Trace, TraceStep};
use kontiki_specs::{Input, Message, Output, ServerId, Snapshot, Term};
use rustc_hash::{FxHashMap, FxHashSet};

/// A step of a trace.
pub(super) struct Observed<'a>(pub(super) &'a TraceStep);

impl Observed<'_> {
    pub(super) fn reaction(&self) -> Reaction {
        Reaction::Took {
            outputs: join_applied(self.0.outputs.iter().cloned()),
            observation: Box::new(self.0.observation.clone()),
        }
    }
}

/// What is remembered on the way.
pub(super) struct Follow<'a, S> {
    trace: &'a Trace,
    /// For each step, the step that it goes on from; 0 for the server's first start.
    parents: Vec<u64>,
    /// How many later steps go on from a step.
    needed: FxHashMap<u64, u64>,
    /// Servers after steps that others go on from.
    kept: FxHashMap<u64, S>,
    sent: FxHashSet<(ServerId, ServerId, &'a Message)>,
    /// Chunks of snapshots, of which a trace tells where they begin. How long they are is their
    /// driver's to say.
    chunks: FxHashSet<(ServerId, ServerId, Chunk<'a>)>,
    /// Every step goes on from the server's latest, so the trace tells what happened in order.
    is_history: bool,
    recorded: FxHashSet<ServerId>,
}

/// What a driver is asked to send in a chunk.
#[derive(PartialEq, Eq, Hash)]
struct Chunk<'a> {
    term: Term,
    snapshot: &'a Snapshot,
    offset: u64,
}

impl<'a, S: Clone> Follow<'a, S> {
    pub(super) fn new(trace: &'a Trace) -> Self {
        let mut latest: FxHashMap<ServerId, u64> = FxHashMap::default();
        let mut parents = Vec::new();
        let mut needed: FxHashMap<u64, u64> = FxHashMap::default();
        for (number, step) in (1..).zip(&trace.steps) {
            let before = latest.insert(step.server, number).unwrap_or(0);
            let parent = step.from.unwrap_or(before);
            parents.push(parent);
            *needed.entry(parent).or_default() += 1;
        }
        Follow {
            trace,
            parents,
            needed,
            kept: FxHashMap::default(),
            sent: FxHashSet::default(),
            chunks: FxHashSet::default(),
            is_history: trace.steps.iter().all(|step| step.from.is_none()),
            recorded: trace.steps.iter().map(|step| step.server).collect(),
        }
    }

    fn parent(&self, number: u64) -> u64 {
        let place = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        self.parents.get(place).copied().unwrap_or(0)
    }

    /// The server before a step, and whether it starts there.
    pub(super) fn before(
        &mut self,
        number: u64,
        step: &Observed<'_>,
        boot: impl Fn(ServerId) -> Result<S, StartError>,
    ) -> Result<(S, bool), StartError> {
        let parent = self.parent(number);
        let left = self.needed.entry(parent).or_default();
        *left = left.saturating_sub(1);
        let kept =
            if *left == 0 { self.kept.remove(&parent) } else { self.kept.get(&parent).cloned() };
        match kept {
            Some(server) => Ok((server, false)),
            None => Ok((boot(step.0.server)?, true)),
        }
    }

    pub(super) fn after(&mut self, number: u64, step: &Observed<'a>, server: S) {
        if self.needed.contains_key(&number) {
            self.kept.insert(number, server);
        }
        if self.is_history {
            for output in &step.0.outputs {
                match output {
                    Output::Send { to, message } => {
                        self.sent.insert((step.0.server, *to, message));
                    }
                    Output::SendChunk { to, term, snapshot, offset } => {
                        let chunk = Chunk { term: *term, snapshot, offset: *offset };
                        self.chunks.insert((step.0.server, *to, chunk));
                    }
                    _ => {}
                }
            }
        }
    }

    /// In a history, what is delivered has been sent, if the sender's steps are there too.
    pub(super) fn check_sent(&self, number: u64, step: &Observed<'_>) -> Result<(), TraceFault> {
        let Input::Deliver { from, message } = &step.0.input else { return Ok(()) };
        let server = step.0.server;
        let is_unknown = !self.is_history || !self.recorded.contains(from);
        let is_sent = || match message {
            Message::InstallSnapshot { term, snapshot, offset, data } if !data.is_empty() => {
                let chunk = Chunk { term: *term, snapshot, offset: *offset };
                self.chunks.contains(&(*from, server, chunk))
            }
            _ => self.sent.contains(&(*from, server, message)),
        };
        if is_unknown || is_sent() {
            return Ok(());
        }
        Err(TraceFault::NeverSent { step: number, server, from: *from })
    }

    /// The inputs of the server from its first start up to a step.
    pub(super) fn path(&self, number: u64) -> Vec<Input> {
        let mut path = Vec::new();
        let mut at = self.parent(number);
        while let Some(step) =
            at.checked_sub(1).and_then(|place| self.trace.steps.get(usize::try_from(place).ok()?))
        {
            path.push(step.input.clone());
            at = self.parent(at);
        }
        path.reverse();
        path
    }
}
