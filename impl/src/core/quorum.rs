//! Majorities, of one set of voters or of both halves of a joint configuration: pure values.

use kontiki_specs::{Configuration, LogIndex, ServerId};
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// Rules E5 and M1: whether the servers of which `is_in` is true are a quorum: a majority of the
/// voters, and of the outgoing voters too while the configuration is joint. Without any voter there
/// is none.
pub(crate) fn is_quorum(configuration: &Configuration, is_in: impl Fn(ServerId) -> bool) -> bool {
    let majority = |half: &BTreeSet<ServerId>| {
        half.iter().filter(|server| is_in(**server)).count() > half.len() / 2
    };
    majority(&configuration.voters)
        && (configuration.outgoing.is_empty() || majority(&configuration.outgoing))
}

/// Rules L4 and M1: the highest index that a quorum holds, given up to where each server holds the
/// leader's log. Whether what stands there may be committed depends on its term, besides.
pub(crate) fn quorum_index(
    configuration: &Configuration,
    held: impl Fn(ServerId) -> LogIndex,
) -> LogIndex {
    let of_half = |half: &BTreeSet<ServerId>| majority_index(half.iter().map(|voter| held(*voter)));
    let new = of_half(&configuration.voters);
    if configuration.outgoing.is_empty() {
        return new;
    }
    new.min(of_half(&configuration.outgoing))
}

/// The highest index that a majority holds, given up to where each voter holds the leader's log.
pub(crate) fn majority_index(held: impl Iterator<Item = LogIndex>) -> LogIndex {
    let mut held: SmallVec<[LogIndex; 7]> = held.collect();
    held.sort_unstable_by(|a, b| b.cmp(a));
    // With the voters in falling order, the one at half their number is the least of a majority.
    held.get(held.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::{Arbitrary, Gen, quickcheck};

    /// A configuration of servers 0 to 7, and up to where each of them holds the log.
    #[derive(Clone, Debug)]
    struct Held {
        configuration: Configuration,
        held: Vec<u8>,
    }

    impl Arbitrary for Held {
        fn arbitrary(g: &mut Gen) -> Held {
            let some = |g: &mut Gen| {
                let bits = u8::arbitrary(g);
                (0..8).filter(|bit| bits & (1 << bit) != 0).map(ServerId).collect()
            };
            let joint = bool::arbitrary(g);
            let configuration = Configuration {
                voters: some(g),
                outgoing: if joint { some(g) } else { BTreeSet::new() },
                learners: some(g),
            };
            Held { configuration, held: (0..8).map(|_| u8::arbitrary(g) % 16).collect() }
        }
    }

    impl Held {
        fn of(&self, server: ServerId) -> LogIndex {
            let place = usize::try_from(server.0).unwrap();
            LogIndex(u64::from(self.held[place]))
        }

        fn quorum_index(&self) -> LogIndex {
            quorum_index(&self.configuration, |server| self.of(server))
        }
    }

    /// One of the groups of 1 to 7 voters, alone and with every run of servers as the outgoing half,
    /// and every set of servers that may have voted or may hold an entry.
    fn small_groups() -> impl Iterator<Item = (Configuration, u8)> {
        let run = |first: u64, end: u64| (first..end).map(ServerId).collect::<BTreeSet<_>>();
        let halves = (0..8).flat_map(|first| (first..8).map(move |end| (first, end)));
        let pairs = halves.flat_map(|outgoing| (1..8).map(move |voters| (voters, outgoing)));
        pairs.flat_map(move |(voters, (first, end))| {
            let configuration = Configuration {
                voters: run(0, voters),
                outgoing: run(first, end),
                learners: run(voters.max(end), 8),
            };
            (0..=u8::MAX).map(move |set| (configuration.clone(), set))
        })
    }

    /// Those in a set outnumber those that are not.
    fn outnumber(half: &BTreeSet<ServerId>, set: u8) -> bool {
        let (inside, outside): (Vec<u64>, Vec<u64>) =
            half.iter().map(|server| server.0).partition(|server| set & (1 << server) != 0);
        inside.len() > outside.len()
    }

    #[test]
    fn in_every_small_group_a_quorum_outnumbers_the_rest_of_each_half() {
        for (configuration, set) in small_groups() {
            let Configuration { voters, outgoing, .. } = &configuration;
            let due = outnumber(voters, set) && (outgoing.is_empty() || outnumber(outgoing, set));
            let is_in = |server: ServerId| set & (1 << server.0) != 0;
            assert_eq!(is_quorum(&configuration, is_in), due, "{configuration:?} {set:b}");
            let held = |server| LogIndex(u64::from(is_in(server)));
            let index = quorum_index(&configuration, held);
            assert_eq!(index, LogIndex(u64::from(due)), "{configuration:?} {set:b}");
        }
    }

    quickcheck! {
        /// Half of the voters are not enough, any more are.
        fn a_majority_is_more_than_half(count: u8, voters: u8) -> bool {
            let configuration = Configuration::of_voters((0..u64::from(voters)).map(ServerId));
            let is_in = |server: ServerId| server.0 < u64::from(count);
            let count = usize::from(count.min(voters));
            is_quorum(&configuration, is_in) == (2 * count > usize::from(voters))
        }

        /// The plain definition: of all indexes that a quorum holds, the highest.
        fn the_quorum_index_is_the_highest_that_a_quorum_holds(all: Held) -> bool {
            let holds = |index: u64| {
                is_quorum(&all.configuration, |server| all.of(server) >= LogIndex(index))
            };
            let highest = (0..=16).rev().find(|index| holds(*index));
            all.quorum_index() == LogIndex(highest.unwrap_or(0))
        }

        /// A joint configuration needs what each of its halves needs.
        fn a_joint_quorum_is_one_of_both_halves(all: Held, set: u8) -> bool {
            let is_in = |server: ServerId| set & (1 << server.0) != 0;
            let half = |voters: &BTreeSet<ServerId>| {
                is_quorum(&Configuration::of_voters(voters.iter().copied()), is_in)
            };
            let Configuration { voters, outgoing, .. } = &all.configuration;
            let both = half(voters) && (outgoing.is_empty() || half(outgoing));
            is_quorum(&all.configuration, is_in) == both
        }

        /// More acknowledged never means less committed.
        fn it_grows_with_what_is_held(all: Held, place: usize, more: u8) -> bool {
            let mut grown = all.clone();
            let place = place % grown.held.len();
            grown.held[place] = grown.held[place].saturating_add(more);
            grown.quorum_index() >= all.quorum_index()
        }

        /// Learners count for nothing.
        fn learners_do_not_matter(all: Held) -> bool {
            let mut without = all.clone();
            without.configuration.learners.clear();
            without.quorum_index() == all.quorum_index()
        }
    }
}
