//! The threads of a node. One decides ([`driver`]), one writes to the disk ([`writer`]), one executes
//! ([`executor`]), and one reads snapshots to send them ([`chunks`]). Snapshots are written by a thread each.

pub(crate) mod chunks;
pub(crate) mod driver;
pub(crate) mod executor;
pub(crate) mod writer;

use crate::machine::StateMachine;
use crate::network::PeerStatus;
use crate::request::Request;
use kontiki::driver::{Event, Status, StopCause};
use kontiki::{Message, ServerId};
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
    /// Another server is at this address.
    Address { server: ServerId, address: String },
    /// Somebody wants to know how the server is.
    Status(oneshot::Sender<DriverStatus>),
    /// The node is to end in good order.
    Shutdown(oneshot::Sender<()>),
    /// Nobody has the node any more.
    Abandoned,
}

/// What the driver's thread knows.
pub(crate) struct DriverStatus {
    pub(crate) server: Status,
    pub(crate) stopped: Option<StopCause>,
    pub(crate) record_failure: Option<String>,
    pub(crate) peers: Vec<PeerStatus>,
}

/// Starts a thread.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(format!("kontiki-{name}")).spawn(run)
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
