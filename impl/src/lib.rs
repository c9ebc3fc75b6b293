//! Raft, as a library that is compared, step by step, with a checked model.
//!
//! * [`core`] is the protocol: [`core::Raft`], one server, without clock, thread or IO. What
//!   happened goes in, what is to be done comes out.
//! * [`storage`] is how it reads what is on disk, with a store in memory.
//! * [`Recorder`] logs what a server does, to be checked against the model afterwards.
//!
//! The types of messages, inputs and outputs are those that the model uses too, so that the two
//! can be compared. In small clusters, whose states are all checked, everything that can happen to a
//! server is compared; larger clusters are compared at random. Limits on what is proposed
//! ([`core::Limits`]) have no counterpart in the model. `conformance/README.md` says what all this
//! proves, and `specs/VERIFIED.md` what was not looked at.
//!
//! # The driver's part
//!
//! A driver owns the clock, the network and the disk. It feeds a server with what happens
//! ([`Input`]) and carries out what the server puts out ([`Output`]), in order:
//!
//! * `Send`: to the network, which may lose, repeat and reorder.
//! * `WriteHardState`, `WriteEntries`, `WriteChunk`, `InstallSnapshot`: to the disk, in the order
//!   issued. When a write is durable, the driver says so by the input that [`core::completion`] gives.
//!   Nothing else has to wait for it: what depends on a write is put out only then.
//! * `Apply`: to the state machine. When it has executed all that it was handed, the driver says so by
//!   [`Input::Executed`]. What is handed over and not executed stays within
//!   [`core::Limits::apply_bytes`], or is one entry. So no step hands over a whole log; and if the driver
//!   never gives `Executed`, the server stops handing over. After every start the server begins again
//!   behind its snapshot, or with the first entry. A state machine that outlives its server has to
//!   remember how far it came, and skip that.
//! * `TakeSnapshot`, `Restore`: to the state machine; `DropEntries`: to the disk; `SendChunk`: from
//!   the disk to the network. All as below.
//! * `ResetElectionTimer`: to the clock, as below.
//! * `Proposed`, `Truncated`, `Refused`: to the clients. A command is known by the position at which
//!   it was appended. It has happened when an entry of this position is applied; after `Truncated` it
//!   may not have happened; a refusal means that it certainly has not.
//! * `ChangeCompleted`, `CaughtUp`, `TooSlow`, `TransferBegun`, `TransferGivenUp`, `TransferEnded`: to
//!   the operators.
//! * `RoleChanged`, `LeaderChanged`: to whoever wants to know. A server that begins to lead begins to
//!   wait for its heartbeats and quorum checks.
//!
//! An input that is rejected has changed nothing: log it and go on. If the store fails, the server
//! stops ([`core::Raft::is_stopped`]).
//!
//! The driver's timers are these. At a server that does not lead, the election timeout, drawn anew
//! for each wait, at random between a minimum and, say, twice that. The wait begins when the server
//! starts, and again with every `ResetElectionTimer`; when it is over, [`Input::ElectionTimeout`]. If
//! that output says `leader_contact`, the minimum is waited for, too, and when that is over,
//! [`Input::LeaderContactExpired`], which so comes before any election timeout. At a leader,
//! [`Input::HeartbeatTimeout`] several times per minimum election timeout, and
//! [`Input::QuorumContactExpired`] once per minimum election timeout, for the first time a whole one
//! after it became leader: it ends leadership without a majority, and is what the rounds of learners
//! are measured by. Followers learn of a commit with the next message that goes to them. Where they
//! are to learn of it at once though nothing more is proposed, a leader's driver that has applied
//! entries and has no proposal waiting gives [`Input::HeartbeatTimeout`] before its time.
//!
//! A write that is not done within, say, two election timeouts is [`Input::DiskStalled`]: a leader
//! whose disk hangs makes way for another.
//!
//! What the store shows when a server starts, or is given [`Input::Restart`], counts as durable. So no
//! earlier write may be under way then: each is done and durable, or will never be done. What may
//! still come are completions, in some queue. A driver that starts another [`core::Raft`] over the same
//! disk, in the same process, therefore names a [`core::Config::incarnation`] that is larger than any
//! before, so that a completion of a write before is not taken for one of a write now.
//!
//! # Snapshots
//!
//! Without snapshots a log grows for ever, and a server that starts applies all of it. The server says
//! when so much has been handed to the state machine that it is time for a snapshot (`SnapshotDue`,
//! [`core::Config::snapshot_bytes`]). When to take one is the driver's to decide: it gives
//! [`Input::TakeSnapshot`] with an index that the state machine has executed, and whose entry is on
//! the server's disk. The server refuses with a reason, or puts out `TakeSnapshot`. Then the state
//! as of exactly that index goes to disk, together with all that the output says. Nothing waits for
//! this, and it keeps no place among the writes. When it is durable, the driver says so by
//! the input that [`core::snapshot_taken`] gives. From then on the snapshot is the server's
//! ([`core::Raft::snapshot`]). `DropEntries` says which entries the disk may forget, together with
//! older snapshots; [`core::Config::kept_entries`] of those covered stay. A snapshot that cannot be
//! written is given up by [`Input::SnapshotFailed`]: until then, the server begins no other. The next is
//! due after as many bytes, counted from when this one was begun, and the driver may ask sooner.
//!
//! A follower that lags too far is sent the leader's snapshot. For each `SendChunk`, the leader's
//! driver reads bytes of that snapshot from the offset on: at least one, and as many as it wants in one
//! message. [`core::chunk`] makes the message of them. A driver that has not got the bytes, because a
//! newer snapshot has taken their place, sends nothing: the next heartbeat asks the follower again. At
//! the follower, `WriteChunk` puts the bytes on disk. With the last of them comes `InstallSnapshot`, a
//! write too: it makes the snapshot the follower's own, and then drops the log. `Restore` puts the
//! state machine into the snapshot's state before it applies anything else. The bytes may be on their
//! way to disk still when `Restore` comes, so the state machine waits for the writes of the same step.
//!
//! The snapshot that counts is the newest that is durable, whether the server took it or was sent it,
//! and whether it was told of that before it crashed or not. A driver that starts a server first puts
//! the state machine into the state of that snapshot: no `Restore` comes for it. No snapshot that was
//! asked for earlier may be on its way to disk then, as with writes.
//!
//! # Reads
//!
//! A read needs no entry in the log. The driver gives [`Input::Read`], with a number for one read or for
//! all that have come meanwhile. `ReadReady` names the read index: the reads may be served from the
//! state machine as soon as that has executed the log up to there, or was restored from a snapshot that
//! covers it. They then see every write that was acknowledged, and every value that was read, before
//! the input. A read that comes after the input needs a number of its own, even if the input is given
//! again. `ReadRefused` says that the reads are not served: the server knows of no leader, leads no more,
//! or has too many waiting ([`core::Limits::waiting_reads`]).
//!
//! *Numbers.* No two reads of one server may have the same number, restarts included: an answer to the
//! first could come late and be taken for the answer to the second. Answers go only to the server that
//! asked, so other servers may use the same numbers. A counter of the server's starts that is on disk, in
//! the upper 24 bits, and a counter of reads in the lower 40 will do.
//!
//! *What is lost.* A leader answers a read or refuses it. At a server that does not lead, question and
//! answer go through the network and may be lost. So the driver keeps what waits there, and gives the
//! input again with the same number, after some time and with every `LeaderChanged` that names a leader,
//! this server included. What was asked while the server led is not asked again. Any server may be asked,
//! a learner too. A server that was removed may be given a read index that its log never reaches, and a
//! leader without check-quorum that is cut off neither answers nor refuses: so reads need a deadline.
//! When the server stops or restarts, nothing more is said of the reads that waited.
//!
//! *Weaker reads* ask nobody. Suppose that a client carries an index: that of its last write, or the one
//! up to which the state machine had executed the log when the client last read, whichever is higher.
//! It may read from any server whose state machine has executed that much. It sees its own writes, and
//! never goes back in time. It may miss what others were told since. A client that carries nothing may
//! see any state of the past.
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
//! An operator asks the leader ([`Input::ChangeMembership`]). What makes sense is appended at once,
//! as `Proposed` says. It is complete with the `ChangeCompleted` of that position or, if it goes
//! through a joint configuration, with the first of a later one; `Truncated` over the position means
//! that it may be lost. Until then, and until enough of those that
//! stay have it, servers that are to go may still be needed: stop them only afterwards. Everything
//! else is refused with a typed reason and changes nothing. A new server joins as a learner,
//! catches up (`CaughtUp`; `TooSlow` if it does not), and is then made a voter. One server at a
//! time goes in one step; any other set of voters goes through a joint configuration, which the
//! leader leaves by itself. A leader that is taken out hands over and steps down.
//!
//! [`Input::TransferLeadership`] hands leadership to another voter. The leader takes no command
//! and no change of membership until that has happened, and goes on answering reads; the driver gives it about an election timeout, and then says
//! [`Input::TransferExpired`].
//!
//! With changes of membership, keep leader contact and check-quorum on together, as they are unless
//! changed: a server that is taken out hears nothing any more and campaigns, and leader contact
//! keeps it, as a rule, from deposing anybody; without check-quorum, a leader that has been
//! replaced and hears nothing of it stays in contact with itself, ignores every request for votes,
//! and its vote is missing for ever.
//!
//! # Example
//!
//! Three servers in one process elect a leader and commit a command. The network is a queue, and
//! a disk is done with a write at once.
//!
//! ```
//! use kontiki::core::{Config, Outputs, Raft, completion};
//! use kontiki::storage::MemoryStore;
//! use kontiki::{Input, Output, Payload, RoleKind, ServerId};
//! use std::collections::VecDeque;
//!
//! /// Feeds inputs to servers until nothing is left to do; returns the commands applied.
//! fn run(
//!     servers: &mut [Raft<MemoryStore>],
//!     inputs: impl IntoIterator<Item = (ServerId, Input)>,
//! ) -> Result<Vec<(ServerId, Vec<u8>)>, Box<dyn std::error::Error>> {
//!     let mut queue: VecDeque<(ServerId, Input)> = inputs.into_iter().collect();
//!     let mut applied = Vec::new();
//!     let mut outputs = Outputs::new();
//!     while let Some((id, input)) = queue.pop_front() {
//!         let Some(server) = servers.iter_mut().find(|server| server.id() == id) else { continue };
//!         server.step(input, &mut outputs)?;
//!         for output in outputs.drain() {
//!             if let Some(completion) = completion(&output) {
//!                 server.store_mut().write(&output);
//!                 queue.push_back((id, completion));
//!             }
//!             match output {
//!                 Output::Send { to, message } => {
//!                     queue.push_back((to, Input::Deliver { from: id, message }));
//!                 }
//!                 Output::Apply { entries } => {
//!                     let index = entries.last_index().unwrap_or_default();
//!                     queue.push_back((id, Input::Executed { index }));
//!                     for entry in &entries {
//!                         if let Payload::Command(command) = &entry.payload {
//!                             applied.push((id, command.to_vec()));
//!                         }
//!                     }
//!                 }
//!                 _ => {}
//!             }
//!         }
//!     }
//!     Ok(applied)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ids = [ServerId(1), ServerId(2), ServerId(3)];
//! let mut servers = Vec::new();
//! for id in ids {
//!     servers.push(Raft::start(Config::new(id, ids), MemoryStore::new())?);
//! }
//!
//! // Server 1 has not heard from a leader: it asks for votes and gets them.
//! run(&mut servers, [(ids[0], Input::ElectionTimeout)])?;
//! assert_eq!(servers[0].role(), RoleKind::Leader);
//! assert_eq!(servers[1].leader(), Some(ids[0]));
//!
//! // A command is committed when a majority has it on disk. The others learn of that with the
//! // next message.
//! let commands = vec![b"x = 1".as_slice().into()];
//! let applied = run(&mut servers, [(ids[0], Input::Propose { commands })])?;
//! assert_eq!(applied, [(ids[0], b"x = 1".to_vec())]);
//! let applied = run(&mut servers, [(ids[0], Input::HeartbeatTimeout)])?;
//! assert_eq!(applied.len(), 2);
//! # Ok(())
//! # }
//! ```

pub use bytes;

pub mod core;
mod recorder;
pub mod sessions;
pub mod storage;

pub use recorder::{Recorder, RecorderError};

pub use kontiki_specs::{
    AppendOutcome, CatchUp, Configuration, Entries, Entry, Envelope, FollowerProgress, Input,
    LogIndex, LogPosition, MembershipChange, Message, NotAChange, Observation, Output, Payload,
    ReadId, Receiving, Refusal, ReplicationMode, RoleKind, RoleObservation, ServerId,
    SessionCommand, SessionCommandError, SessionId, Snapshot, SnapshotId, Term, WaitingRead,
    WaitingReads,
};
