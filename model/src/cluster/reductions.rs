//! Which reductions of the state space are used.

/// The reductions of the state space. Each leaves the set of reachable server states as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reductions {
    /// Drop messages that can make no difference any more.
    pub dead_messages: bool,
    /// Take states that differ only in the names of servers for one.
    pub symmetry: bool,
}

impl Reductions {
    /// All of them.
    pub const ALL: Reductions = Reductions { dead_messages: true, symmetry: true };
    /// None of them.
    pub const NONE: Reductions = Reductions { dead_messages: false, symmetry: false };
}
