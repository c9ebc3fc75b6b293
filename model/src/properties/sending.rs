//! A property of a step in which a leader sends entries: L9 and L10.

use super::steps::Judged;
use crate::server::{Options, Role};
use kontiki_specs::{Entry, FollowerProgress, LogIndex, Message, ReplicationMode, ServerId};

impl Judged<'_> {
    /// L9: a message holds no more than a batch; in pipeline no more than a window is under way. L10:
    /// a probe is one message.
    pub(super) fn window_is_kept(&self) -> bool {
        let within = |entries: &[Entry]| entries.len() as u64 <= self.server.options.batch;
        let batches = self.sends().filter_map(|(_, sent)| entries_of(sent)).all(within);
        let Role::Leader { progress, .. } = &self.after.role else { return batches };
        let followed = |(follower, known): (&ServerId, &FollowerProgress)| match known.mode {
            ReplicationMode::Probe => self.entries_to(*follower).count() <= 1,
            ReplicationMode::Pipeline => self.is_within_window(*follower, known),
        };
        batches && progress.iter().all(followed)
    }

    /// What was under way before may still be.
    fn is_within_window(&self, follower: ServerId, known: &FollowerProgress) -> bool {
        let Options { window, .. } = self.server.options;
        let had = match &self.before.role {
            Role::Leader { progress, .. } => progress.get(&follower),
            _ => None,
        };
        let sends_no_more =
            had.is_some_and(|had| (had.mode, had.next_index) == (known.mode, known.next_index));
        let room = known.next_index <= LogIndex(known.match_index.0 + window).next();
        let is_known = |entry: &Entry| entry.index < known.next_index;
        (room || sends_no_more)
            && self.entries_to(follower).all(|entries| entries.iter().all(is_known))
    }

    fn entries_to(&self, follower: ServerId) -> impl Iterator<Item = &[Entry]> {
        let to_it = self.sends().filter(move |(to, _)| *to == follower);
        to_it.filter_map(|(_, sent)| entries_of(sent))
    }
}

/// The entries that a message carries, if it carries any.
fn entries_of(message: &Message) -> Option<&[Entry]> {
    match message {
        Message::AppendEntries { entries, .. } if !entries.is_empty() => Some(entries),
        _ => None,
    }
}
