//! Whoever wants to see every step of the server that a driver runs.

use crate::core::{Outputs, Raft, StepError};
use kontiki_specs::Input;

/// Sees every step: to record it ([`crate::Recorder`]), or to compare it with the model.
pub trait Observer<S> {
    /// Whether it wants to see steps now. Each input is copied for it.
    fn observes(&self) -> bool {
        true
    }

    /// The server has taken a step, and this is what it is afterwards. `outputs` are those of this
    /// step alone. If the step was not taken, `failure` says why.
    fn stepped(
        &mut self,
        server: &Raft<S>,
        input: Input,
        outputs: &Outputs,
        failure: Option<&StepError>,
    );
}

/// Somebody, or nobody.
impl<S, O: Observer<S>> Observer<S> for Option<O> {
    fn observes(&self) -> bool {
        self.as_ref().is_some_and(Observer::observes)
    }

    fn stepped(
        &mut self,
        server: &Raft<S>,
        input: Input,
        outputs: &Outputs,
        failure: Option<&StepError>,
    ) {
        if let Some(observer) = self {
            observer.stepped(server, input, outputs, failure);
        }
    }
}

/// Nobody.
impl<S> Observer<S> for () {
    fn observes(&self) -> bool {
        false
    }

    fn stepped(&mut self, _: &Raft<S>, _: Input, _: &Outputs, _: Option<&StepError>) {}
}
