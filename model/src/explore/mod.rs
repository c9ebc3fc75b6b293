//! The model as stateright's checker and Explorer see it.

mod readable;
mod stateright_properties;
mod table;

pub use readable::{ReadableAction, ReadableCluster, ReadableState};
pub use stateright_properties::{Judged, stateright_properties};
