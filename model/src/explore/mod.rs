//! The model as stateright's checker and Explorer see it.

mod stateright_properties;

pub use stateright_properties::stateright_properties;
