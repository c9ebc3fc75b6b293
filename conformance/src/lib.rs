//! The comparison of Kontiki's implementation with its model: see `conformance/README.md`.

pub mod atlas;
pub mod consecutive;
pub mod divergence;
pub mod fields;
pub mod hidden;
pub mod ill_formed;
pub mod implementation;
pub mod nonsense;
pub mod premise;
pub mod record;
pub mod recorded;
pub mod replay;
pub mod shadow;
pub mod simulate;
pub mod stories;
pub mod tell;
pub mod verified;
pub mod verify;
