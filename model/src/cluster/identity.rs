//! What tells states of the cluster apart: a key that is equal for states that differ only in the
//! names of servers.

use super::hashes::{mix, wide_hash};
use super::histories::History;
use super::numbers::{MessageNumber, StateNumber};
use super::state::State;
use super::tables::Tables;
use smallvec::SmallVec;

/// The keys of a state.
pub(super) struct Keys {
    /// That of its servers and its history.
    pub(super) servers: u128,
    /// That of the whole state.
    pub(super) whole: u128,
}

/// The keys of a state with this history. `step` stands for what is to be told apart of the step
/// that led to it.
pub(super) fn keys(tables: &Tables, history: &History, state: &State, step: u64) -> Keys {
    let history = &history.hashes;
    let sums = tables.renamings.iter().enumerate().map(|(place, renaming)| {
        let hashes = |number: &StateNumber| tables.states[*number as usize].hashes[place];
        let servers = state.servers.iter().map(hashes).fold(0, u128::wrapping_add);
        let changes = u128::from(renaming.changes_made(state.counts.changes));
        let reads = match (&state.reads[..], &state.promises[..]) {
            ([], []) => 0,
            (reads, []) => wide_hash(&renaming.open_reads(reads)),
            (reads, promises) => {
                wide_hash(&(renaming.open_reads(reads), renaming.promises(promises)))
            }
        };
        (mix(servers, history[place]), changes, reads)
    });
    let sums: SmallVec<[(u128, u128, u128); 24]> = sums.collect();
    let least = sums.iter().copied().min().unwrap_or_default();
    let ties = sums.iter().enumerate().filter(|(_, sum)| **sum == least);
    let messages = ties.map(|(renaming, _)| {
        let hashes = |number: &MessageNumber| tables.messages[*number as usize].hashes[renaming];
        state.messages.iter().map(hashes).fold(0, u128::wrapping_add)
    });
    let messages = messages.min().unwrap_or_default();
    let (servers, changes, reads) = least;
    let counts = state.counts;
    let counts = [
        counts.restarts,
        counts.commands,
        counts.transfers,
        counts.snapshots,
        counts.reads,
        counts.follower_reads,
    ];
    let counts = counts.into_iter().fold(changes, |sum, count| sum << 8 | u128::from(count));
    let rest = counts << 64 | u128::from(step);
    let messages = if reads == 0 { messages } else { mix(messages, reads) };
    Keys { servers, whole: mix(mix(servers, messages), rest) }
}
