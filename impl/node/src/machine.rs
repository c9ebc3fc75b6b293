//! What is replicated: the state machine of whoever uses a node.

use kontiki::LogIndex;
use kontiki::bytes::Bytes;
use std::io;

/// A state machine. Every server of a cluster has one, and all execute the same commands in the same
/// order, so [`StateMachine::apply`] has to be a function of nothing but state, index and command.
///
/// One thread calls all methods. A panic in any of them stops the server for good.
pub trait StateMachine: Send + 'static {
    /// What a client is answered when its command was executed.
    type Answer: Send + 'static;
    /// What a client asks when it reads.
    type Query: Send + 'static;
    /// What it is told.
    type Reply: Send + 'static;

    /// Executes a command, which stands in the log at `index`. Indices rise, and some are left out. A
    /// command may be any bytes that a client has sent, so one that makes no sense has to be answered as
    /// such.
    fn apply(&mut self, index: LogIndex, command: &Bytes) -> Self::Answer;

    /// Executes commands in order, and gives their answers in the same order, as many. What is written here
    /// is [`StateMachine::apply`] for each. A state machine for which many at once are cheaper, because of
    /// a transaction for example, has its own. An index is [`StateMachine::apply`]'s.
    fn apply_all(&mut self, commands: &[(LogIndex, Bytes)]) -> Vec<Self::Answer> {
        commands.iter().map(|(index, command)| self.apply(*index, command)).collect()
    }

    /// Reads.
    fn query(&self, query: Self::Query) -> Self::Reply;

    /// Takes a snapshot of the present state. What is returned writes it, in another thread, while
    /// commands go on to be executed. It has to write the state of this moment.
    fn snapshot(&self) -> SnapshotImage;

    /// Replaces the state by one that [`StateMachine::snapshot`] has written, at this server or another.
    ///
    /// # Errors
    /// If the bytes cannot be read or make no sense. The server stops for good.
    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()>;
}

/// A state that is to be written. If it cannot be, the snapshot is given up and the server goes on.
pub type SnapshotImage = Box<dyn FnOnce(&mut dyn io::Write) -> io::Result<()> + Send>;
