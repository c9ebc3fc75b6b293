//! Stories: small recorded traces of the model, each of which shows one thing.
//!
//! An atlas shows everything and tells nothing. A story is one course of events that a reader of
//! Raft knows by name, written down in lines that say what happens next. It is played on servers
//! of the model, and what they do is kept as a trace in `specs/traces`, for people to read and for
//! the implementation to repeat.

mod contact;
mod director;
mod election;
mod error;
mod failover;
mod figure_7;
mod figure_8;
mod membership;
mod moves;
mod network;
mod reads;
mod scenes;
mod snapshots;
mod write_crash;

pub use director::Director;
pub use error::{StoryError, StoryProblem};

use kontiki_specs::trace::Trace;

/// A course of events, and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// Its name, which is also that of its scope and of its file.
    pub name: String,
    /// What happened; the header says what it shows.
    pub trace: Trace,
}

impl Story {
    /// The name of the file that holds the story.
    pub fn file_name(&self) -> String {
        format!("{}.trace.jsonl", self.name)
    }
}

/// Every story, played anew. It is the same each time.
///
/// # Errors
/// The first line of a story that asks for what cannot happen.
pub fn all() -> Result<Vec<Story>, StoryError> {
    let mut stories = vec![election::election()?, election::split_vote()?];
    stories.extend(figure_7::all()?);
    stories.extend([figure_8::overwritten()?, figure_8::committed()?]);
    stories.extend(write_crash::all()?);
    stories.extend(failover::all()?);
    stories.extend([contact::leader_contact()?, contact::check_quorum()?]);
    stories.extend([membership::joint_change()?, membership::bug_of_2015_avoided()?]);
    stories.extend([membership::shrinking_quorum()?, membership::transfer()?]);
    stories.extend(snapshots::all()?);
    stories.extend(reads::all()?);
    Ok(stories)
}
