//! Traces: recorded from the model and replayed on the implementation, or logged by an
//! implementation and checked against the model.

mod follow;
mod subject;

use crate::divergence::{Divergence, Occasion, Reaction, agree};
use crate::implementation::Memory;
use follow::{Follow, Observed};
use kontiki::core::StartError;
use kontiki_specs::trace::Trace;
use kontiki_specs::{Input, ServerId};
use std::fmt;
use subject::{ImplementationSubject, ModelSubject};

/// Why a trace is not what a server does.
#[derive(Debug, thiserror::Error)]
pub enum TraceFault {
    /// The trace was recorded with a broken rule, which nothing else has.
    #[error("the trace shows a broken rule, {mutation}: only the mutated model does this")]
    Mutated {
        /// The mutation.
        mutation: String,
    },
    /// Nothing would be compared.
    #[error("the trace has no steps: there is nothing to compare")]
    NoSteps,
    /// The header's scope cannot be run.
    #[error("the trace's scope cannot be run: {0}")]
    Config(StartError),
    /// A message that its sender, whose steps are in the trace, has not sent before.
    #[error(
        "step {step}: {server} receives what {from} has not sent to it\n  steps are missing, or in another order than they happened in"
    )]
    NeverSent {
        /// The step.
        step: u64,
        /// The receiver.
        server: ServerId,
        /// The sender.
        from: ServerId,
    },
    /// The two differ.
    #[error("step {step}: {divergence}")]
    Diverges {
        /// The step.
        step: u64,
        /// How they differ.
        divergence: Box<Divergence>,
    },
}

/// By hand: what `#[from]` marks is a source, and its text would be printed a second time.
impl From<StartError> for TraceFault {
    fn from(error: StartError) -> Self {
        TraceFault::Config(error)
    }
}

/// Replays a trace of the model on the implementation: all that the trace says must come out.
/// Returns the number of steps.
///
/// # Errors
/// The first step that comes out otherwise, or why the trace cannot be replayed.
pub fn replay_trace(trace: &Trace, memory: Memory) -> Result<u64, TraceFault> {
    let subject = |id| ImplementationSubject::boot(&trace.header.scope, id, memory);
    compare(trace, subject, |recorded, found| {
        let expected = recorded.reaction();
        (!agree(&expected, &found)).then_some((expected, found))
    })
}

/// Checks a trace that an implementation logged against the model: the model must allow all that
/// the trace says. Returns the number of steps.
///
/// # Errors
/// The first step that the model takes otherwise, or why the trace cannot be checked.
pub fn validate_trace(trace: &Trace) -> Result<u64, TraceFault> {
    let subject = |id| ModelSubject::boot(&trace.header.scope, id);
    compare(trace, subject, |recorded, expected| {
        let found = recorded.reaction();
        (!agree(&expected, &found)).then_some((expected, found))
    })
}

/// Something that takes the steps of a trace: a server of either side.
trait Subject: Clone {
    /// Begins with what a disk holds, as the observation after a restart shows it.
    fn restart_with(&mut self, disk: &Observed<'_>);
    /// Takes a step.
    fn react(&mut self, input: &Input) -> Reaction;
}

/// Takes every step of a trace. `differ` says what was expected and what was found, if they differ.
fn compare<S: Subject>(
    trace: &Trace,
    boot: impl Fn(ServerId) -> Result<S, StartError>,
    differ: impl Fn(&Observed<'_>, Reaction) -> Option<(Reaction, Reaction)>,
) -> Result<u64, TraceFault> {
    if let Some(mutation) = &trace.header.mutation {
        return Err(TraceFault::Mutated { mutation: mutation.clone() });
    }
    if trace.steps.is_empty() {
        return Err(TraceFault::NoSteps);
    }
    let mut follow = Follow::new(trace);
    for (number, recorded) in (1..).zip(trace.steps.iter().map(Observed)) {
        follow.check_sent(number, &recorded)?;
        let (mut subject, is_first) = follow.before(number, &recorded, &boot)?;
        if is_first && matches!(recorded.0.input, Input::Restart { .. }) {
            subject.restart_with(&recorded);
        }
        let reaction = subject.react(&recorded.0.input);
        if let Some((expected, found)) = differ(&recorded, reaction) {
            let divergence = Divergence {
                server: recorded.0.server,
                path: follow.path(number),
                at: Occasion::Input(recorded.0.input.clone()),
                expected,
                found,
            };
            return Err(TraceFault::Diverges { step: number, divergence: Box::new(divergence) });
        }
        follow.after(number, &recorded, subject);
    }
    Ok(trace.steps.len() as u64)
}

impl fmt::Debug for Observed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
