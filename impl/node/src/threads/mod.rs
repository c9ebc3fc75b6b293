//! The threads of a node. One decides ([`driver`]), one writes to the disk ([`writer`]), one executes
//! ([`executor`]), and one reads snapshots to send them ([`chunks`]). Snapshots are written by a thread each.

pub(crate) mod chunks;
pub(crate) mod driver;
pub(crate) mod executor;
mod membership;
pub(crate) mod writer;

use crate::admission::Told;
use crate::machine::StateMachine;
use crate::network::{Facts, Wants};
use crate::node::NodeStatus;
use crate::request::Request;
use kontiki::driver::Event;
use kontiki::{Message, ServerId, SnapshotId};
use std::fmt::Display;
use std::io;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// What the driver's thread is told.
pub(crate) enum Signal<M: StateMachine> {
    /// A message has come. The permit bounds how many wait.
    Received { from: ServerId, message: Message, permit: OwnedSemaphorePermit },
    /// Somebody asks for something.
    Request { request: Request<M>, permit: OwnedSemaphorePermit },
    /// The disk or the state machine has done something.
    Event(Event),
    /// Bytes of a snapshot have been read.
    Chunk { to: ServerId, message: Message },
    /// What is known of the servers has changed.
    BookChanged,
    /// The task that brings the server into the cluster has found something out.
    Told(Told),
    /// Another server asks what is known of the cluster, and may want something for itself.
    Question { from: ServerId, wants: Wants, answer: oneshot::Sender<Facts> },
    /// Somebody wants to know how the server is.
    Status(oneshot::Sender<NodeStatus>),
    /// The node is to end in good order.
    Shutdown(oneshot::Sender<()>),
    /// Nobody has the node any more.
    Abandoned,
}

/// Starts a thread.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(format!("kontiki-{name}")).spawn(run)
}

/// Tells operators why there is no snapshot.
pub(crate) fn given_up(snapshot: SnapshotId, error: &dyn Display) {
    tracing::warn!(%snapshot, %error, "snapshot given up");
}

/// Tells the driver if a thread ends by a panic, which is a failure like others.
pub(crate) struct Watch<M: StateMachine> {
    pub(crate) inbox: Sender<Signal<M>>,
    pub(crate) failure: fn(String) -> Event,
    pub(crate) thread: &'static str,
}

impl<M: StateMachine> Drop for Watch<M> {
    fn drop(&mut self) {
        if thread::panicking() {
            let event = (self.failure)(format!("the thread of the {} has panicked", self.thread));
            // If the driver is gone, nobody has to know.
            drop(self.inbox.send(Signal::Event(event)));
        }
    }
}
