//! A property of a step in which a leader sends entries: L9, L10 and L12. The same of a step in which
//! a server hands entries to its state machine: L8.

use super::steps::Judged;
use crate::server::{Options, Role, entry_bytes};
use kontiki_specs::{Entry, FollowerProgress, Input, Message, Output, ReplicationMode, ServerId};

impl Judged<'_> {
    /// L9: no message carries more than a batch, and to a follower in pipeline no more than a window
    /// comes to be under way, in entries and in bytes; a single entry may have any size. L10: a
    /// probe is one message. L12: a heartbeat timeout sends no entries, whatever a follower lacks:
    /// it may be down.
    pub(super) fn sending_is_within_limits(&self) -> bool {
        let Options { batch, batch_bytes, .. } = self.server.options;
        let mut batches = self.sends().filter_map(|(_, sent)| entries_of(sent));
        if *self.input == Input::HeartbeatTimeout {
            return batches.next().is_none();
        }
        if !batches.all(|entries| is_within(entries, batch, batch_bytes)) {
            return false;
        }
        let Role::Leader { progress, .. } = &self.after.role else { return true };
        progress.iter().all(|(follower, known)| match (self.entries_to(*follower), known.mode) {
            (0, _) => true, // What was under way before may still be.
            (messages, ReplicationMode::Probe) => messages == 1,
            (_, ReplicationMode::Pipeline) => self.window_is_kept(known),
            (_, ReplicationMode::Snapshot { .. }) => false,
        })
    }

    /// L8: what the state machine is handed stays within the limit together with what it was handed
    /// before and has not executed, or is a single entry and all that it has to do.
    pub(super) fn handing_over_is_within_limits(&self) -> bool {
        let Some(limit) = self.server.options.apply_bytes else { return true };
        let applied = self.before.applied_index;
        let restored = self.outputs.iter().any(|output| matches!(output, Output::Restore { .. }));
        let idle =
            restored || self.is_restart() || *self.input == Input::Executed { index: applied };
        let has_to_do = if idle { 0 } else { self.before.unexecuted_bytes };
        let handed_over: Vec<u64> = self.outputs.iter().flat_map(applied_entries).collect();
        let bytes: u64 = handed_over.iter().sum();
        let single = handed_over.len() <= 1 && has_to_do == 0;
        handed_over.is_empty() || single || has_to_do + bytes <= limit
    }

    fn window_is_kept(&self, known: &FollowerProgress) -> bool {
        let Options { window, window_bytes, .. } = self.server.options;
        let sent = self.after.log.up_to(known.next_index.previous());
        let matched = self.after.log.up_to(known.match_index).len();
        is_within(sent.get(matched..).unwrap_or_default(), window, window_bytes)
    }

    /// How many messages with entries go to a follower.
    fn entries_to(&self, follower: ServerId) -> usize {
        let to_it = self.sends().filter(|(to, _)| *to == follower);
        to_it.filter(|(_, sent)| entries_of(sent).is_some()).count()
    }
}

fn is_within(entries: &[Entry], most: u64, most_bytes: u64) -> bool {
    let bytes: u64 = entries.iter().map(entry_bytes).sum();
    entries.len() <= 1 || (entries.len() as u64 <= most && bytes <= most_bytes)
}

/// The sizes of the entries that an output hands to the state machine.
fn applied_entries(output: &Output) -> Vec<u64> {
    match output {
        Output::Apply { entries } => entries.iter().map(entry_bytes).collect(),
        _ => Vec::new(),
    }
}

/// The entries that a message carries, if it carries any.
fn entries_of(message: &Message) -> Option<&[Entry]> {
    match message {
        Message::AppendEntries { entries, .. } if !entries.is_empty() => Some(entries),
        _ => None,
    }
}
