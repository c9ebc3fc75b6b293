//! The model: what its servers do, what clients see of them, and what its commands say.

mod actor_model;
mod any_input;
mod changes;
mod command;
mod explorer;
mod figure_7;
mod linearizability;
mod recovery_story;
mod session_linearizability;
