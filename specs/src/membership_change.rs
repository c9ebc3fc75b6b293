//! What an operator asks a leader to make of the cluster's membership.

use crate::ServerId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A change of membership. Those of one server go in one step (rule M6); `Replace` goes through a
/// joint configuration (rule M1).
///
/// As text, in scope files and on command lines: `add-learner 4`, `add-voter 4`, `demote 3`,
/// `remove 3`, `replace 1 2 4`, `replace 1 2 learners 3 4`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum MembershipChange {
    /// Takes a server in as a learner (rule M5).
    AddLearner(ServerId),
    /// Makes a server a voter: a learner, or one that is no member yet.
    AddVoter(ServerId),
    /// Makes a voter a learner.
    Demote(ServerId),
    /// Takes a server out, voter or learner.
    Remove(ServerId),
    /// Makes these the members, whoever is a member now.
    Replace {
        /// The voters.
        voters: Vec<ServerId>,
        /// The learners.
        learners: Vec<ServerId>,
    },
}

/// A text that is no change of membership.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no change of membership, as `add-voter 4` and `replace 1 2 learners 3` are")]
pub struct NotAChange(pub String);

impl FromStr for MembershipChange {
    type Err = NotAChange;

    fn from_str(text: &str) -> Result<Self, NotAChange> {
        let wrong = || NotAChange(crate::spelling::printable(text));
        let mut words = text.split_whitespace();
        let verb = words.next().ok_or_else(wrong)?;
        let rest: Vec<&str> = words.collect();
        let servers = |words: &[&str]| -> Option<Vec<ServerId>> {
            words.iter().map(|word| word.parse().ok().map(ServerId)).collect()
        };
        let change = match (verb, rest.as_slice()) {
            ("replace", rest) => {
                let mut halves = rest.splitn(2, |word| *word == "learners");
                let (voters, learners) = (halves.next(), halves.next());
                let empty = learners.is_some_and(<[_]>::is_empty);
                let voters = servers(voters.unwrap_or_default());
                let learners = servers(learners.unwrap_or_default()).filter(|_| !empty);
                voters.zip(learners).map(|(voters, learners)| Self::Replace { voters, learners })
            }
            (verb, [server]) => server.parse().ok().map(ServerId).and_then(|server| match verb {
                "add-learner" => Some(Self::AddLearner(server)),
                "add-voter" => Some(Self::AddVoter(server)),
                "demote" => Some(Self::Demote(server)),
                "remove" => Some(Self::Remove(server)),
                _ => None,
            }),
            _ => None,
        };
        change.ok_or_else(wrong)
    }
}

impl fmt::Display for MembershipChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddLearner(server) => write!(f, "add-learner {}", server.0),
            Self::AddVoter(server) => write!(f, "add-voter {}", server.0),
            Self::Demote(server) => write!(f, "demote {}", server.0),
            Self::Remove(server) => write!(f, "remove {}", server.0),
            Self::Replace { voters, learners } => {
                write!(f, "replace")?;
                voters.iter().try_for_each(|voter| write!(f, " {}", voter.0))?;
                if !learners.is_empty() {
                    write!(f, " learners")?;
                }
                learners.iter().try_for_each(|learner| write!(f, " {}", learner.0))
            }
        }
    }
}
