//! The contract: its small types, their words and names, and all that is read from files.

mod arbitrary;
mod laws;
mod names;
mod scope;
mod session;
mod trace;
mod words;
