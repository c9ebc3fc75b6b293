//! How a command ends, and the exit status that says so.

use std::process::ExitCode;

/// What a command came to. Of two, the greater one is what both came to together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Everything is as it should be.
    #[default]
    AllIsWell,
    /// Nothing is wrong in what was seen, but a bound ended the check before all was seen.
    EndedEarly,
    /// Something was not counted as it is pinned.
    CountDiffers,
    /// Something was not reached that must be: what was checked shows less than it says.
    NotReached,
    /// A mutation survives, or a claim is not decided.
    NotShown,
    /// A property is broken, or the implementation differs from the model.
    Broken,
}

/// The exit statuses, for the help of commands.
pub const EXIT_STATUSES: &str = "\
Exit status:
  0  all is well
  1  a property is broken, or the implementation differs from the model
  2  the command could not be carried out
  3  not all was checked (--max-states, --time, or too many messages); nothing is wrong in what was seen
  4  a goal of a scope was not reached, or a simulation did not exercise everything
  5  a count is not the pinned one, or two ways of counting differ
  6  a mutation survives, or a claim is not decided
Where several apply, the first of 2, 1, 6, 4, 5, 3.";

impl Outcome {
    /// The exit status.
    pub fn exit_status(self) -> u8 {
        match self {
            Outcome::AllIsWell => 0,
            Outcome::Broken => 1,
            Outcome::EndedEarly => 3,
            Outcome::NotReached => 4,
            Outcome::CountDiffers => 5,
            Outcome::NotShown => 6,
        }
    }

    /// All is well if `holds`, otherwise what is given.
    #[must_use]
    pub fn unless(holds: bool, otherwise: Outcome) -> Outcome {
        if holds { Outcome::AllIsWell } else { otherwise }
    }
}

impl FromIterator<Outcome> for Outcome {
    fn from_iter<I: IntoIterator<Item = Outcome>>(outcomes: I) -> Outcome {
        outcomes.into_iter().max().unwrap_or_default()
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        ExitCode::from(outcome.exit_status())
    }
}
