//! The record of long simulations: what was run by hand, and how to run it again.

use serde::Deserialize;

/// A simulation that was run and found nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SimulationRecord {
    /// How many servers each cluster had.
    pub servers: u64,
    /// The seed of the first run; those of the others follow from it.
    pub seed: u64,
    /// How many inputs servers took, each compared with the model.
    pub steps: u64,
    /// The commit whose code was run.
    pub commit: String,
}

/// All rows of `simulations.toml`, in the order of the file.
///
/// # Errors
/// The file's own syntax error, with its line; a test keeps the file that is built in correct.
pub fn simulation_records() -> Result<Vec<SimulationRecord>, toml::de::Error> {
    #[derive(Deserialize)]
    struct File {
        simulation: Vec<SimulationRecord>,
    }
    toml::from_str::<File>(include_str!("../simulations.toml")).map(|file| file.simulation)
}
