//! Raft, as a library that is compared, step by step, with a checked model.
//!
//! * [`core`] is the protocol: [`core::Raft`], one server, without clock, thread or IO. What
//!   happened goes in, what is to be done comes out.
//! * [`driver`] is what a server needs around it, still without IO: [`driver::Driver`] owns a
//!   server, its timers, the order of its disk work, and all who wait for an answer. Time is handed in.
//! * [`storage`] is how a server reads what is on disk, with a store in memory.
//! * [`Recorder`] logs what a server does, to be checked against the model afterwards.
//!
//! The types of messages, inputs and outputs are those that the model uses too, so that the two
//! can be compared. In small clusters, whose states are all checked, everything that can happen to a
//! server is compared; larger clusters are compared at random. Limits on what is proposed
//! ([`core::Limits`]) have no counterpart in the model. `conformance/README.md` says what all this
//! proves, and `specs/VERIFIED.md` what was not looked at.
//!
//! # Where to begin
//!
//! Use a [`driver::Driver`]. It is told what happens and when, and says what is to be sent, written,
//! executed and answered; every request gets one outcome, which says whether it was done. Sockets, files
//! and threads are yours. `impl/examples/counter.rs` has three of them in one process.
//!
//! Who writes another driver finds in [`core`] what a server expects of it.
//!
//! # Sessions
//!
//! To the core a command is bytes, and it is applied as often as it stands in the log. A client that gets
//! no answer sends its command again. [`sessions::Sessions`], between core and state machine, executes it
//! once all the same, and gives the first answer again.
//!
//! # Members
//!
//! The servers that a cluster is started with have one [`core::Config::bootstrap`]; a server that
//! is to be taken in starts with none ([`core::Config::joining`]) and waits. A server that has lost
//! its disk comes back as a new one, under an id that was never used: with the old one it could go
//! by a configuration of long ago while it is sent the log. From then on the log says who belongs
//! to the cluster ([`core::Raft::configuration`]), and only the log: a server that restarts finds
//! its configuration there.
//!
//! An operator asks the leader ([`driver::Event::ChangeMembership`]). What makes sense is appended at
//! once, and everything else is refused with a typed reason and changes nothing. A new server joins as a
//! learner, catches up ([`driver::Notice::CaughtUp`], or [`driver::Notice::TooSlow`]), and is then made
//! a voter. One server at a time goes in one step. Any other set of voters goes through a joint
//! configuration, which the leader leaves by itself. A leader that is taken out hands over and steps
//! down.
//!
//! Servers that are to go may still be needed until the change is complete
//! ([`driver::Outcome::Changed`]), and until enough of those that stay have heard of that: stop them
//! only afterwards.
//!
//! With changes of membership, keep leader contact and check-quorum on together, as they are unless
//! changed. A server that is taken out hears nothing any more, and campaigns. Leader contact keeps it, as
//! a rule, from deposing anybody. Without check-quorum, a leader that was replaced and has not heard of it
//! stays in contact with itself and ignores every request for votes. Its vote is then missing for ever.

pub use bytes;

pub mod core;
pub mod driver;
mod recorder;
pub mod sessions;
pub mod storage;

pub use recorder::{Recorder, RecorderError, RecordingFiles};

pub use kontiki_specs::{
    AppendOutcome, CatchUp, CommandOutcome, Configuration, Entries, Entry, Envelope,
    FollowerProgress, Input, Lease, LogIndex, LogPosition, MembershipChange, Message, NotAChange,
    Observation, OpenSession, OpenSessions, Output, Payload, ReadId, Receiving, Refusal,
    ReplicationMode, RoleKind, RoleObservation, ServerId, SessionCommand, SessionCommandError,
    SessionId, Snapshot, SnapshotId, Term, WaitingRead, WaitingReads,
};
