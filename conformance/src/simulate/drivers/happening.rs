//! What happens in a cluster of drivers, in the order of time.

use super::clock::Time;
use bytes::Bytes;
use kontiki::driver::Event;
use kontiki_specs::{Message, ServerId, Snapshot};
use std::collections::BTreeMap;

/// Something that happens to the server in a place.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A message arrives.
    Message { from: ServerId, message: Message },
    /// What concerns one start of a server, counted from 0.
    OfStart { start: u64, what: Own },
    /// A server that is down starts.
    Start,
    /// A process that was stopped goes on.
    GoOn,
}

/// What happens within a server.
#[derive(Clone, Debug)]
pub(super) enum Own {
    /// Its driver is told something.
    Told(Event),
    /// The group of writes that is under way is done, or fails.
    Written { fails: bool },
    /// The state machine does its next task.
    Work,
    /// A snapshot is on disk, or has failed.
    Snapshot { snapshot: Snapshot, bytes: Bytes, fails: bool },
    /// The driver's clock may show the moment that the driver waits for.
    Wake,
}

/// Everything that will happen.
#[derive(Debug, Default)]
pub(super) struct Queue {
    happenings: BTreeMap<(Time, u64), (usize, Happening)>,
    queued: u64,
}

impl Queue {
    /// Something will happen to the server in a place. What is put in earlier happens earlier, at one
    /// moment.
    pub(super) fn put(&mut self, at: Time, to: usize, happening: Happening) {
        self.queued += 1;
        self.happenings.insert((at, self.queued), (to, happening));
    }

    /// What happens next, up to a moment.
    pub(super) fn next(&mut self, until: Time) -> Option<(Time, usize, Happening)> {
        let first = self.happenings.first_entry().filter(|first| first.key().0 <= until)?;
        let ((at, _), (to, happening)) = first.remove_entry();
        Some((at, to, happening))
    }
}
