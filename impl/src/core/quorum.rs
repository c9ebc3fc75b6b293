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

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn indexes(held: &[u8]) -> SmallVec<[LogIndex; 7]> {
        held.iter().map(|index| LogIndex(u64::from(*index))).collect()
    }

    quickcheck! {
        /// Half of the voters are not enough, any more are.
        fn a_majority_is_more_than_half(count: u8, voters: u8) -> bool {
            let (count, voters) = (usize::from(count), usize::from(voters));
            is_majority(count, voters) == (2 * count > voters)
        }

        /// The plain definition: of all indexes that a majority holds, the highest.
        fn the_majority_index_is_the_highest_that_a_majority_holds(held: Vec<u8>) -> bool {
            let holders = |index: u64| held.iter().filter(|held| u64::from(**held) >= index).count();
            let highest = (0..=255).rev().find(|index| is_majority(holders(*index), held.len()));
            majority_index(indexes(&held)) == LogIndex(highest.unwrap_or(0))
        }

        /// It does not matter who holds what.
        fn the_order_of_voters_means_nothing(held: Vec<u8>) -> bool {
            let mut other = held.clone();
            other.reverse();
            majority_index(indexes(&held)) == majority_index(indexes(&other))
        }

        /// More acknowledged never means less committed.
        fn it_grows_with_what_is_held(held: Vec<u8>, place: usize, more: u8) -> bool {
            let mut grown = held.clone();
            if let Some(one) = grown.get_mut(place % held.len().max(1)) {
                *one = one.saturating_add(more);
            }
            majority_index(indexes(&grown)) >= majority_index(indexes(&held))
        }
    }
}
