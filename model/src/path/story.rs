//! Moments, told one after the other.

use super::stuck::{Stuck, tell};
use super::{Moment, describe};
use crate::server::{RaftServer, ServerState};
use kontiki_specs::Property;
use kontiki_specs::scope::Scope;
use std::fmt;

/// What happened, how the servers are in the end, and what that breaks. Printed with numbered
/// steps.
pub struct Story<'a> {
    /// The scope.
    pub scope: &'a Scope,
    /// The servers, with the rule that is broken.
    pub servers: &'a [RaftServer],
    /// What happened, in order.
    pub moments: &'a [Moment],
    /// The servers' states in the end, in the order of `servers`.
    pub last: &'a [ServerState],
    /// The properties that the end breaks.
    pub broken: &'a [Property],
}

impl fmt::Display for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, moment) in (1..).zip(self.moments) {
            write_moment(f, number, moment)?;
        }
        writeln!(f, "In the end:")?;
        for server in self.last {
            writeln!(f, "       {}", describe(server))?;
        }
        for property in self.broken {
            writeln!(f, "This breaks {property}: {}", property.description())?;
            if *property == Property::Recovery
                && let Some(stuck) = Stuck::find(self.scope, self.servers, self.last)
            {
                tell(f, &stuck, self.moments.len() + 1)?;
            }
        }
        Ok(())
    }
}

/// A moment as a numbered step.
pub(super) fn write_moment(
    f: &mut fmt::Formatter<'_>,
    number: usize,
    moment: &Moment,
) -> fmt::Result {
    writeln!(f, "{number:>3}. {}", moment.headline())?;
    moment.changes().iter().try_for_each(|line| writeln!(f, "       {line}"))
}
