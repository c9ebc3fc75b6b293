//! The model as stateright's checker sees it, and the Explorer: stateright's, with a page of its own.

mod about;
mod bounds;
mod diagram;
mod readable;
mod server;
mod stateright_properties;
mod view;

pub use about::About;
pub use readable::{ReadableAction, ReadableCluster, ReadableState};
pub use server::Explorer;
pub use stateright_properties::{Judged, stateright_properties};
