//! What goes over a connection.

/// What a connection is for. Whoever calls says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Everything but what follows.
    Usual,
    /// Bytes of snapshots. They would hold up heartbeats and votes on the same connection: what waits in the
    /// buffers of the system is sent in order. The other side says of each frame that it has taken it.
    Bulk,
    /// One question and its answer. Foundings and disks do not matter here: they are what is asked about.
    Question,
}

/// What the other side of a bulk connection says of each frame that it has taken.
pub(super) const TAKEN: u8 = 1;

impl Lane {
    pub(super) fn byte(self) -> u8 {
        match self {
            Lane::Usual => 0,
            Lane::Bulk => 1,
            Lane::Question => 2,
        }
    }

    pub(super) fn of(byte: u8) -> Option<Lane> {
        [Lane::Usual, Lane::Bulk, Lane::Question].into_iter().find(|lane| lane.byte() == byte)
    }
}
