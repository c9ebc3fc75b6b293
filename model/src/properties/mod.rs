//! What is checked: properties of steps, of states, and recovery; and the goals that show that a
//! scope reaches something.
//!
//! Properties are written against what servers know and have on disk, not against the rules, so
//! that a broken rule shows in its effect.

mod campaigns;
mod contact;
mod for_stateright;
mod learners;
mod membership;
mod quorum;
mod reads;
mod recovery;
mod rounds;
mod sending;
mod sessions;
mod sets;
mod snapshots;
mod states;
mod steps;

pub use for_stateright::{Judged, stateright_properties};
pub use recovery::{Account, AccountTurn, Attempt, failing_schedule, recovers, sets_to_recover};
pub use sets::{GoalSet, PropertySet};
pub use states::{ClusterView, Committed, judge_state};
pub use steps::{StepVerdict, judge_step};
