//! The model as stateright's checker sees it, and the Explorer: stateright's, with a page of its own.

mod about;
mod bounds;
mod diagram;
mod readable;
mod server;
mod view;

pub use about::About;
pub use readable::{ReadableAction, ReadableCluster, ReadableState};
pub use server::Explorer;
