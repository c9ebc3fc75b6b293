//! The comparison: the implementation does what the model does, and what differs is found and told.

mod atlas;
mod judge;
mod limits;
mod premise;
mod sessions;
mod stories;
mod tell;
mod words;
