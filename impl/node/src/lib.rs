//! Kontiki servers that run.
//!
//! A [`Node`] is a server: the driver ([`kontiki::driver`]), which decides, with a store on files
//! ([`kontiki_store`]), TCP connections to the other servers, and a [`StateMachine`] of yours. A [`Handle`] is
//! how you write to it and read from it.
//!
//! `impl/node/examples/three_nodes.rs` is a complete program. README.md says what is missing, and
//! OPERATING.md how servers are operated.
//!
//! # What is promised
//!
//! * What [`Handle::write`] has answered is on the disks of a majority, and stays executed.
//! * [`RequestError`] says of every other request whether it was done, was certainly not done, or may have
//!   been.
//! * A server comes into its cluster once, and with one disk (rule M9, [`Start`]). One that has lost its disk,
//!   or is to form a cluster that exists, is refused ([`AdmissionError`]). One that was removed is told so
//!   ([`Standing`]).
//! * A disk or a state machine that fails stops the server for good ([`NodeStatus::stopped`]). Its disk is
//!   left as it is. A full disk is waited for, once the server has started.
//! * What others send cannot make a node take memory without bound, and cannot make it panic.
//! * With TLS ([`Security`]), connections between servers are encrypted, and whoever connects as a server shows
//!   a certificate of that server of that cluster. Plaintext has to be asked for by name, and is refused beyond
//!   loopback unless that is asked for by name, too. `tls.md`, beside README.md, says how certificates are made
//!   and replaced, and what a stolen key can do.
//! * Leases (rule C4) need a clock that goes on while the machine sleeps. Linux has one. Elsewhere they are
//!   refused.

mod admission;
mod book;
mod client;
mod clock;
pub mod codec;
mod config;
mod doubling;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod machine;
mod members;
mod network;
mod node;
mod promise;
mod record;
pub mod recovery;
mod request;
mod security;
mod sessions;
mod snapshot;
mod start;
mod telemetry;
mod threads;

pub use client::{Client, Patience, Servers, Session, SessionError};
pub use config::{NodeConfig, NodeLimits};
pub use error::{AddressError, AdmissionError, RequestError, StartError, TransportError};
pub use machine::{SnapshotImage, StateMachine};
pub use network::PeerStatus;
pub use node::{Handle, Node, NodeStatus};
pub use record::RecordTo;
pub use request::Seen;
pub use security::{CertificateError, CertificateProblem, Security, certificate_name};
#[cfg(feature = "tls")]
pub use security::{Pem, Tls};
pub use sessions::WithSessions;
pub use start::{Standing, Start};
pub use telemetry::{METRICS, Metric, MetricKind};

pub use kontiki;
pub use kontiki_store;
