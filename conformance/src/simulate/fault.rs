//! Mistakes that a simulation must find: planted by tests into the driver of one server.

use crate::implementation::DiskHabit;
use std::fmt;

/// A mistake of the driver, the disk or the state machine of S1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Now and then an entry is executed twice.
    ExecutesTwice,
    /// A snapshot holds what was executed up to the entry before its last.
    SnapshotOfAnotherIndex,
    /// The state machine goes on from what it was when a snapshot is installed.
    RestoresNothing,
    /// The state machine starts from nothing when the server starts again.
    StartsFromNothing,
    /// A server that starts again knows of no session, whatever its snapshot says (rule C2).
    ForgetsSessions,
    /// The first chunk of another snapshot is put behind what there is.
    MixesChunks,
    /// A read gets the lowest number that no read has which waits, after a restart too (rule C5).
    UsesNumbersAgain,
    /// A read is served as soon as its read index is known (rule C3).
    ReadsBeforeApplied,
    /// A read is kept in mind when it was refused, and served when an answer comes (rule C3).
    AnswersWhatWasRefused,
    /// The clock stands still while the server leads, as if its machine slept: leases outlive promises
    /// (rule C4).
    ClockStopsWhileLeading,
    /// The driver is told of a longer minimum election timeout than the others, and takes its leases to
    /// last as long (rule C4). In simulations of drivers only.
    LongLeases,
    /// The disk makes a mistake.
    Disk(DiskHabit),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "planted: {self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::problem::{Invariant, Kind};
    use crate::simulate::run::run_with;

    /// So many runs find any mistake. A number that is used again shows least often, in one of a
    /// hundred runs: an old answer has to come in the term in which it was sent.
    const RUNS: u64 = 400;

    /// As what a mistake is found, in a few runs.
    fn found(fault: Fault) -> Kind {
        let mut runs = (0..RUNS).map(|seed| run_with(seed, 3, Some(fault)));
        let failure = runs.find_map(|run| run.failure);
        failure.unwrap_or_else(|| panic!("{fault:?} is not found")).problem.kind()
    }

    #[test]
    fn a_state_machine_that_differs_is_found() {
        for fault in [
            Fault::ExecutesTwice,
            Fault::SnapshotOfAnotherIndex,
            Fault::RestoresNothing,
            Fault::StartsFromNothing,
        ] {
            assert_eq!(found(fault), Kind::Broken(Invariant::SameContent), "{fault:?}");
        }
    }

    #[test]
    fn bytes_of_two_snapshots_are_found() {
        assert_eq!(found(Fault::MixesChunks), Kind::Broken(Invariant::SnapshotBytes));
    }

    #[test]
    fn a_read_that_is_not_linearizable_is_found() {
        for (fault, invariant) in [
            (Fault::UsesNumbersAgain, Invariant::LinearizableReads),
            (Fault::ReadsBeforeApplied, Invariant::LinearizableReads),
            (Fault::AnswersWhatWasRefused, Invariant::ReadsEndOnce),
        ] {
            assert_eq!(found(fault), Kind::Broken(invariant), "{fault:?}");
        }
    }

    /// Within the bound nothing is found: any other run of a simulation shows that.
    #[test]
    fn a_clock_beyond_the_bound_is_found() {
        assert_eq!(
            found(Fault::ClockStopsWhileLeading),
            Kind::Broken(Invariant::LinearizableReads)
        );
    }

    #[test]
    fn sessions_that_are_forgotten_are_found() {
        assert_eq!(found(Fault::ForgetsSessions), Kind::Broken(Invariant::SameSessions));
    }

    #[test]
    fn a_disk_that_makes_a_mistake_is_found() {
        // What is read is not there, or is not what was written: the server notices, or the cluster.
        let as_what = [
            Kind::Divergence,
            Kind::Broken(Invariant::NothingLetGoUncovered),
            Kind::Broken(Invariant::CommittedOnDisks),
            Kind::Broken(Invariant::SnapshotBytes),
        ];
        for habit in [DiskHabit::ForgetsTooMuch, DiskHabit::KeepsLog, DiskHabit::LosesChunks] {
            let found = found(Fault::Disk(habit));
            assert!(as_what.contains(&found), "{habit:?} as {found:?}");
        }
    }
}
