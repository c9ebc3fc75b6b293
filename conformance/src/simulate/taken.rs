//! A step that a server has taken, with what it was before.

use kontiki_specs::{Input, Message, Output, RoleKind, ServerId};

/// What is known of a step besides the server as it is afterwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'a> {
    /// The server's place: one less than its id.
    pub(super) place: usize,
    /// Its role before.
    pub(super) role: RoleKind,
    /// To whom it was handing leadership over before (rule E10).
    pub(super) transfers_to: Option<ServerId>,
    /// Whether it was campaigning because a leader had told it to (rule E10).
    pub(super) was_told: bool,
    pub(super) input: &'a Input,
    pub(super) outputs: &'a [Output],
}

impl Taken<'_> {
    /// Who was told to campaign in the step.
    pub(super) fn tells(&self) -> impl Iterator<Item = ServerId> {
        self.outputs.iter().filter_map(|output| match output {
            Output::Send { to, message: Message::TimeoutNow { .. } } => Some(*to),
            _ => None,
        })
    }

    /// Whether something was appended that clients or operators have asked for.
    pub(super) fn takes(&self) -> bool {
        self.outputs.iter().any(|output| matches!(output, Output::Proposed { .. }))
    }
}
