//! What a server asks for, gathered in a buffer that is used again.

use kontiki_specs::Output;

/// The outputs of one or more steps, in the order in which they are to be carried out.
///
/// Keep one, hand it to every [`crate::core::Raft::step`], and drain it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Writes come first, so that they are under way while messages are (rule L9).
    pub(crate) writes: Vec<Output>,
    pub(crate) effects: Vec<Output>,
}

impl Outputs {
    /// An empty buffer.
    pub fn new() -> Self {
        Outputs::default()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.effects.is_empty()
    }

    /// How many outputs there are.
    pub fn len(&self) -> usize {
        self.writes.len() + self.effects.len()
    }

    /// The outputs, to look at.
    pub fn iter(&self) -> impl Iterator<Item = &Output> {
        self.writes.iter().chain(&self.effects)
    }

    /// Takes all outputs out and keeps the memory.
    pub fn drain(&mut self) -> impl Iterator<Item = Output> + '_ {
        self.writes.drain(..).chain(self.effects.drain(..))
    }

    /// Drops all outputs and keeps the memory.
    pub fn clear(&mut self) {
        self.writes.clear();
        self.effects.clear();
    }
}
