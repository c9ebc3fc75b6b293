//! Majorities.

use kontiki_specs::LogIndex;
use smallvec::SmallVec;

/// Rule E5: whether `count` of `voters` are a majority.
pub(crate) fn is_majority(count: usize, voters: usize) -> bool {
    count > voters / 2
}

/// Rule L4: the highest index that a majority holds, given what each voter holds.
pub(crate) fn majority_index(mut held: SmallVec<[LogIndex; 7]>) -> LogIndex {
    held.sort_unstable_by(|a, b| b.cmp(a));
    // With the voters in falling order, the one at half their number is the least of a majority.
    held.get(held.len() / 2).copied().unwrap_or_default()
}
