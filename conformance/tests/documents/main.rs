//! Documents say what is so, and commands what the documents say.

mod command;
mod readme;
mod rules;
mod verified;
