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
//! * What others send cannot make a node take memory without bound, and cannot make it panic.
//! * With TLS ([`Security`]), connections between servers are encrypted, and whoever connects as a server shows
//!   a certificate of that server of that cluster. Plaintext has to be asked for by name, and is refused beyond
//!   loopback unless that is asked for by name, too. `tls.md`, beside README.md, says how certificates are made
//!   and replaced, and what a stolen key can do.
//! * Leases (rule C4) need a clock that goes on while the machine sleeps. Linux has one. Elsewhere they are
//!   refused.

mod client;
mod clock;
pub mod codec;
mod config;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod machine;
mod network;
mod node;
mod record;
mod request;
mod security;
mod sessions;
mod snapshot;
mod threads;

pub use client::{Client, Patience, Servers, Session, SessionError};
pub use config::{NodeConfig, NodeLimits};
pub use error::{RequestError, StartError, TransportError};
pub use machine::{SnapshotImage, StateMachine};
pub use network::PeerStatus;
pub use node::{Handle, Node, NodeStatus};
pub use record::RecordTo;
pub use request::Seen;
pub use security::{CertificateError, CertificateProblem, Security, certificate_name};
#[cfg(feature = "tls")]
pub use security::{Pem, Tls};
pub use sessions::WithSessions;

pub use kontiki;
