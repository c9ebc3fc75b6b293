//! The contract of Kontiki: what the model and the implementation agree on.
//!
//! This crate holds data and nothing that decides: the messages, what can happen to a server
//! ([`Input`]), what a server asks for ([`Output`]), what both sides must agree on after every
//! step ([`Observation`]), the [`trace`] format and that of a [`recording`], and the [`scope`] files
//! that say how far the model is checked. A rule of the protocol is written once in the model and
//! once in the implementation, never here. `rules.md` beside this crate states every rule in words.

#[cfg(feature = "checking")]
mod claims;
mod command_text;
mod configuration;
mod entries;
mod entry;
mod ids;
mod input;
mod membership_change;
mod message;
#[cfg(feature = "checking")]
mod mutations;
mod observation;
mod output;
#[cfg(feature = "checking")]
mod properties;
pub mod recording;
#[cfg(feature = "checking")]
mod reductions;
#[cfg(feature = "checking")]
mod rules;
#[cfg(feature = "checking")]
pub mod scope;
mod session;
#[cfg(feature = "checking")]
mod simulations;
mod snapshot;
pub mod spelling;
#[cfg(feature = "checking")]
pub mod trace;

#[cfg(feature = "checking")]
pub use claims::{Claim, ClaimRun, ClaimVerdict, Expectation, claims};
pub use configuration::Configuration;
pub use entries::Entries;
pub use entry::{Entry, LogPosition, Payload};
pub use ids::{LogIndex, ReadId, ServerId, Term};
pub use input::Input;
pub use membership_change::{MembershipChange, NotAChange};
pub use message::{AppendOutcome, Envelope, Message};
#[cfg(feature = "checking")]
pub use mutations::{MutationRow, mutation_rows};
pub use observation::{
    CatchUp, FollowerProgress, Lease, Observation, Receiving, ReplicationMode, RoleObservation,
    WaitingRead, WaitingReads,
};
pub use output::{Output, Refusal, RoleKind};
#[cfg(feature = "checking")]
pub use properties::{Goal, Property};
#[cfg(feature = "checking")]
pub use reductions::{ReductionScopes, ReductionScopesError, reduction_scopes};
#[cfg(feature = "checking")]
pub use rules::{RULES, rule_titles};
pub use session::{
    CommandOutcome, OpenSession, OpenSessions, SessionCommand, SessionCommandError, SessionId,
};
#[cfg(feature = "checking")]
pub use simulations::{SimulationRecord, simulation_records};
pub use snapshot::{Snapshot, SnapshotId};
