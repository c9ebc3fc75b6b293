//! What is replicated: the state machine of whoever uses a node.

use kontiki::LogIndex;
use kontiki::bytes::Bytes;
use std::io;

/// A state machine. Every server of a cluster has one, and all execute the same commands in the same
/// order, so [`StateMachine::apply`] has to be a function of nothing but state, index and command.
///
/// One thread calls all methods. While one of them is under way, the server executes nothing and answers
/// nothing, and goes on to lead if it leads: a call that never returns has to be ended from outside
/// (`OPERATING.md`, "When the state machine fails").
///
/// A panic in any of them stops the server for good. All servers execute the same commands, and again after a
/// start, so a command on which `apply` panics stops all of them, and again after each start.
///
/// The server restores the state when it starts: from its snapshot, and by executing the log behind it. A state
/// machine with a disk of its own begins in its first state, too, or counts what it has executed by index and
/// leaves out what it has executed before.
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

    /// Why the state machine cannot go on, if it cannot. It is asked after each call of
    /// [`StateMachine::apply_all`], and before anybody is told of the answers. The server stops for good.
    ///
    /// For a command of a later version, for example: servers that leave out what others execute come to have
    /// other states. Until this was asked, `apply` may answer anything. What is written here is that it can go on.
    fn failure(&self) -> Option<String> {
        None
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
