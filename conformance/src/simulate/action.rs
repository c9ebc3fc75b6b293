//! What a schedule can do to a simulated cluster.

use kontiki_specs::{MembershipChange, ServerId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One event of a simulation.
///
/// An action names no message by its content and no write by its number, so that it still means
/// something when actions before it are taken away: schedules are shrunk that way. One that does
/// not apply does nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// A message arrives. At a server that is down it is lost.
    Deliver {
        /// The sender.
        from: ServerId,
        /// The receiver.
        to: ServerId,
        /// Which of the messages under way between them: 0 is the oldest, and the count begins
        /// again after the newest.
        nth: u64,
    },
    /// A message arrives, and will arrive again.
    Duplicate {
        /// The sender.
        from: ServerId,
        /// The receiver.
        to: ServerId,
        /// Which, as in [`Action::Deliver`].
        nth: u64,
    },
    /// A message is lost.
    Drop {
        /// The sender.
        from: ServerId,
        /// The receiver.
        to: ServerId,
        /// Which, as in [`Action::Deliver`].
        nth: u64,
    },
    /// An election timer runs out. Time does not allow it to a server in leader contact (rule E8),
    /// and a leader has no such timer.
    ElectionTimeout(ServerId),
    /// Nothing happens for a while, where leases depend on clocks (rule C4). Any other action takes as
    /// long as one.
    Wait {
        /// How many actions could have happened meanwhile.
        actions: u64,
    },
    /// A heartbeat timer runs out.
    HeartbeatTimeout(ServerId),
    /// A follower has not heard from its leader for the minimum election timeout.
    LeaderContactExpired(ServerId),
    /// An election timeout has passed since a leader's last quorum check.
    QuorumContactExpired(ServerId),
    /// Clients propose commands, no two of them the same.
    Propose {
        /// The server that is asked.
        server: ServerId,
        /// How many commands.
        commands: u64,
        /// How many bytes each command has, besides those that tell it from the others.
        bytes: u64,
    },
    /// Clients ask for reads (rules C3, C5).
    Read {
        /// The server that is asked.
        server: ServerId,
        /// How many reads.
        reads: u64,
    },
    /// A server that did not lead is asked again for a read, because no answer has come (rule C5).
    ReadAgain {
        /// The server.
        server: ServerId,
        /// Which of the reads that wait there for an answer: 0 is the oldest, and the count begins
        /// again after the newest.
        nth: u64,
    },
    /// An operator asks for another membership.
    ChangeMembership {
        /// The server that is asked.
        server: ServerId,
        /// What is to be changed.
        change: MembershipChange,
        /// Which configuration the operator believes to be in force.
        expected: Expected,
    },
    /// An operator asks for another leader.
    TransferLeadership {
        /// The server that is asked.
        server: ServerId,
        /// Who is to lead.
        to: ServerId,
    },
    /// An election timeout has passed since a leader was asked to hand over.
    TransferExpired(ServerId),
    /// The oldest outstanding write of a server is complete.
    CompleteWrite(ServerId),
    /// The owner of a server asks for a snapshot (rules S1, S5).
    TakeSnapshot {
        /// The server.
        server: ServerId,
        /// Of what.
        of: SnapshotOf,
    },
    /// The snapshot that a server is taking is on disk (rule S3).
    CompleteSnapshot(ServerId),
    /// The oldest outstanding write of a server takes too long (rule E12).
    DiskStalls(ServerId),
    /// A server goes down. What is not on its disk is gone.
    Crash {
        /// The server.
        server: ServerId,
        /// The oldest outstanding write is torn, if it can be: this many of its entries, or of the
        /// bytes of a chunk, counted round, are on disk.
        torn: Option<u64>,
    },
    /// A server that is down starts again.
    Start(ServerId),
    /// A link goes down, one way. What is under way on it waits, what is sent is lost.
    Cut {
        /// The sender that is not heard any more.
        from: ServerId,
        /// The receiver that does not hear it.
        to: ServerId,
    },
    /// All links are whole again.
    Heal,
}

/// Which configuration an operator says is in force, as seen from the server that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// The operator does not say.
    Unsaid,
    /// The one that is.
    Right,
    /// Another one.
    Wrong,
}

/// What a snapshot is asked of, as seen from the server that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotOf {
    /// All that is applied and on disk, but for so many entries.
    AllBut(u64),
    /// One entry more than that, which is refused.
    TooMuch,
}

impl Action {
    /// Events like this one that are easier to read, if they still do what it did. No action
    /// comes back to itself that way.
    pub(super) fn plainer(&self) -> Vec<Action> {
        match *self {
            Action::Duplicate { from, to, nth } => vec![Action::Deliver { from, to, nth }],
            Action::Deliver { from, to, nth } if nth > 0 => {
                vec![Action::Deliver { from, to, nth: 0 }]
            }
            Action::Drop { from, to, nth } if nth > 0 => vec![Action::Drop { from, to, nth: 0 }],
            Action::Propose { server, commands, bytes } if (commands, bytes) != (1, 0) => {
                vec![Action::Propose { server, commands: 1, bytes: 0 }]
            }
            Action::Read { server, reads } if reads != 1 => vec![Action::Read { server, reads: 1 }],
            Action::ReadAgain { server, nth } if nth > 0 => {
                vec![Action::ReadAgain { server, nth: 0 }]
            }
            Action::ChangeMembership { server, ref change, expected } => {
                let plainer = |change: MembershipChange| Action::ChangeMembership {
                    server,
                    change,
                    expected: Expected::Unsaid,
                };
                let said = expected != Expected::Unsaid;
                let mut all: Vec<Action> =
                    said.then(|| plainer(change.clone())).into_iter().collect();
                if let MembershipChange::Replace { voters, learners } = change
                    && !learners.is_empty()
                {
                    let (voters, learners) = (voters.clone(), Vec::new());
                    all.push(plainer(MembershipChange::Replace { voters, learners }));
                }
                all
            }
            Action::TakeSnapshot { server, of } if of != SnapshotOf::AllBut(0) => {
                vec![Action::TakeSnapshot { server, of: SnapshotOf::AllBut(0) }]
            }
            Action::Crash { server, torn: Some(torn) } => {
                let mut plainer = vec![Action::Crash { server, torn: None }];
                if torn > 0 {
                    plainer.push(Action::Crash { server, torn: Some(0) });
                }
                plainer
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Deliver { from, to, nth } => {
                write!(f, "{to} receives message {nth} from {from}")
            }
            Action::Duplicate { from, to, nth } => {
                write!(f, "{to} receives message {nth} from {from}, which will come again")
            }
            Action::Drop { from, to, nth } => {
                write!(f, "message {nth} from {from} to {to} is lost")
            }
            Action::ElectionTimeout(server) => write!(f, "{server}: election timeout"),
            Action::Wait { actions } => {
                write!(f, "nothing happens for the time of {actions} actions")
            }
            Action::HeartbeatTimeout(server) => write!(f, "{server}: heartbeat timeout"),
            Action::LeaderContactExpired(server) => write!(f, "{server}: leader contact expires"),
            Action::QuorumContactExpired(server) => write!(f, "{server}: quorum contact expires"),
            Action::Propose { server, commands, bytes } => {
                write!(f, "{server}: clients propose {commands} commands of {bytes} bytes")
            }
            Action::Read { server, reads } => write!(f, "{server}: clients ask for {reads} reads"),
            Action::ReadAgain { server, nth } => {
                write!(f, "{server} is asked again for read {nth} of those without an answer")
            }
            Action::ChangeMembership { server, change, expected } => {
                let condition = match expected {
                    Expected::Unsaid => "",
                    Expected::Right => ", expecting the configuration in force",
                    Expected::Wrong => ", expecting another configuration",
                };
                write!(f, "{server}: an operator asks to {change}{condition}")
            }
            Action::TransferLeadership { server, to } => {
                write!(f, "{server}: an operator asks that {to} lead")
            }
            Action::TransferExpired(server) => write!(f, "{server}: leadership transfer expires"),
            Action::CompleteWrite(server) => write!(f, "{server}: its oldest write is complete"),
            Action::TakeSnapshot { server, of: SnapshotOf::AllBut(0) } => {
                write!(f, "{server} is to take a snapshot of all that is settled")
            }
            Action::TakeSnapshot { server, of: SnapshotOf::AllBut(entries) } => {
                write!(
                    f,
                    "{server} is to take a snapshot of all that is settled but {entries} entries"
                )
            }
            Action::TakeSnapshot { server, of: SnapshotOf::TooMuch } => {
                write!(f, "{server} is to take a snapshot of more than is settled")
            }
            Action::CompleteSnapshot(server) => write!(f, "{server}: its snapshot is complete"),
            Action::DiskStalls(server) => write!(f, "{server}: its disk makes no progress"),
            Action::Crash { server, torn: None } => write!(f, "{server} crashes"),
            Action::Crash { server, torn: Some(entries) } => {
                write!(f, "{server} crashes, {entries} entries or bytes into its oldest write")
            }
            Action::Start(server) => write!(f, "{server} starts again"),
            Action::Cut { from, to } => write!(f, "the link from {from} to {to} is cut"),
            Action::Heal => write!(f, "all links are whole again"),
        }
    }
}
