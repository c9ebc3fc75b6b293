//! Why a story cannot be played.

use kontiki_specs::scope::ScopeError;
use kontiki_specs::{Input, NotAChange, ServerId};
use thiserror::Error;

/// Where a story goes wrong, and how.
#[derive(Debug, Error)]
#[error("story {story}, after {steps} steps: {problem}")]
pub struct StoryError {
    /// The story.
    pub story: String,
    /// How many steps were taken before.
    pub steps: usize,
    /// What is wrong.
    pub problem: Box<StoryProblem>,
}

/// What a story asks for that cannot be.
#[derive(Debug, Error)]
pub enum StoryProblem {
    /// The text of its scope is wrong.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The text of a change of membership is wrong.
    #[error(transparent)]
    Change(#[from] NotAChange),
    /// It names a server that the scope does not have.
    #[error("there is no {0}")]
    NoServer(ServerId),
    /// A server is to start from a disk, but it has started already.
    #[error("{0} has started already")]
    Started(ServerId),
    /// A message is to arrive or to be lost, and there is none.
    #[error("nothing is under way from {from} to {to}")]
    NothingUnderWay {
        /// The sender.
        from: ServerId,
        /// The receiver.
        to: ServerId,
    },
    /// A write is to complete, and there is none.
    #[error("{0} writes nothing")]
    NothingToWrite(ServerId),
    /// A snapshot is to be complete, and none is being taken.
    #[error("{0} takes no snapshot")]
    NoSnapshot(ServerId),
    /// The scope does not let this happen, or not now.
    #[error("this cannot happen to {server} now: {input}")]
    Impossible {
        /// The server.
        server: ServerId,
        /// What was to happen to it.
        input: Input,
    },
    /// There have been as many crashes as the scope allows.
    #[error("the scope allows {0} crashes and no more")]
    Crashes(u64),
    /// A server's term or log has left the scope.
    #[error("{0} leaves the scope: its term or its log is beyond the bounds")]
    BeyondScope(ServerId),
    /// There are more steps than a story may have.
    #[error("a story has at most {0} steps")]
    TooLong(usize),
}
