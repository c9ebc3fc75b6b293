//! Kontiki servers that run.
//!
//! A [`Node`] is a server: the driver ([`kontiki::driver`]), which decides, with a store on files
//! ([`kontiki_store`]), TCP connections to the other servers, and a [`StateMachine`] of yours. A [`Handle`] is
//! how you write to it and read from it.
//!
//! `impl/node/examples/three_nodes.rs` is a complete program. README.md says what is missing.
//!
//! # What is promised
//!
//! * What [`Handle::write`] has answered is on the disks of a majority, and stays executed.
//! * [`RequestError`] says of every other request whether it was done, was certainly not done, or may have
//!   been.
//! * A disk or a state machine that fails stops the server for good ([`NodeStatus::stopped`]). Its disk is
//!   left as it is. A full disk is waited for.
//! * What others send cannot make a node take memory without bound, and cannot make it panic. But the
//!   connections have no encryption, and nobody proves who he is: whoever can reach the port can pretend to be
//!   a server. So addresses beyond the machine are refused unless they are asked for
//!   ([`NodeConfig::plaintext_beyond_loopback`]).
//! * Leases (rule C4) need a clock that goes on while the machine sleeps. Linux has one. Elsewhere they are
//!   refused.

mod admission;
mod book;
mod client;
mod clock;
pub mod codec;
mod config;
mod error;
mod machine;
mod members;
mod network;
mod node;
mod request;
mod sessions;
mod snapshot;
mod start;
mod threads;

pub use client::{Client, Patience, Servers, Session, SessionError};
pub use config::{NodeConfig, NodeLimits};
pub use error::{AddressError, AdmissionError, RequestError, StartError, TransportError};
pub use machine::{SnapshotImage, StateMachine};
pub use network::PeerStatus;
pub use node::{Handle, Node, NodeStatus};
pub use request::Seen;
pub use sessions::WithSessions;
pub use start::{Standing, Start};

pub use kontiki;
