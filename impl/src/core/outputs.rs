//! What a server asks for, gathered in a buffer that is used again.

use kontiki_specs::{Message, Output, ServerId};

/// The outputs of one or more steps, in the order in which they are to be carried out.
///
/// Keep one, hand it to every [`crate::core::Raft::step`], and drain it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Writes come first, so that they are under way while messages are (rule L9).
    outputs: Vec<Output>,
    /// How many of them are writes.
    writes: usize,
}

/// How full a buffer is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    writes: usize,
    length: usize,
}

impl Outputs {
    /// An empty buffer.
    pub fn new() -> Self {
        Outputs::default()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// How many outputs there are.
    pub fn len(&self) -> usize {
        self.outputs.len()
    }

    /// The outputs, to look at.
    pub fn iter(&self) -> impl Iterator<Item = &Output> {
        self.outputs.iter()
    }

    /// Takes all outputs out and keeps the memory.
    pub fn drain(&mut self) -> impl Iterator<Item = Output> + '_ {
        self.writes = 0;
        self.outputs.drain(..)
    }

    /// Drops all outputs and keeps the memory.
    pub fn clear(&mut self) {
        self.writes = 0;
        self.outputs.clear();
    }

    /// Adds a write, behind the writes that are there and before all else.
    #[inline]
    pub(crate) fn push_write(&mut self, write: Output) {
        // Most steps write before they say anything, so that nothing has to be moved.
        self.outputs.insert(self.writes, write);
        self.writes += 1;
    }

    /// Adds anything but a write.
    #[inline]
    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// Adds a message to be sent.
    #[inline]
    pub(crate) fn send(&mut self, to: ServerId, message: Message) {
        self.push(Output::Send { to, message });
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { writes: self.writes, length: self.outputs.len() }
    }

    /// Takes back all that was added since the mark.
    pub(crate) fn take_back(&mut self, mark: Mark) {
        let added = self.writes - mark.writes;
        self.outputs.drain(mark.writes..mark.writes + added);
        self.outputs.truncate(mark.length);
        self.writes = mark.writes;
    }
}
