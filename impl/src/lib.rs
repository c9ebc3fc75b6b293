//! Raft, as a library.
//!
//! * [`core`] is the protocol: [`core::Raft`], one server, without clock, thread, or IO. What
//!   happened goes in, what is to be done comes out.
//! * [`storage`] is how it reads what is on disk.
//!
//! The types of messages, inputs and outputs are those of `kontiki-specs`, which the model shares.
//! Every step of [`core::Raft`] is compared with the checked model: see `conformance/README.md`.

pub mod core;
pub mod storage;

pub use kontiki_specs::{
    AppendOutcome, Configuration, Entries, Entry, Envelope, FollowerProgress, Input, LogIndex,
    LogPosition, Message, Observation, Output, Payload, Refusal, ReplicationMode, RoleKind,
    RoleObservation, ServerId, Term,
};
