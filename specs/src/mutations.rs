//! The table of mutations: which rule each breaks, and where that must show.

use crate::Property;
use serde::Deserialize;

/// One row of `mutations.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MutationRow {
    /// The mutation's name, as in `Mutation` of the model.
    pub name: String,
    /// The rule it breaks, as numbered in `rules.md`.
    pub rule: String,
    /// The property that falls.
    pub property: Property,
    /// The scope in which it falls.
    pub scope: String,
    /// The length of a shortest counterexample there.
    pub steps: usize,
    /// What a server does wrong, in one sentence.
    pub does: String,
    /// A real system that shipped the mistake.
    #[serde(default)]
    pub seen_in: Option<String>,
}

/// All rows, in the order of the file.
///
/// # Errors
/// The file's own syntax error, with its line; a test keeps the file that is built in correct.
pub fn mutation_rows() -> Result<Vec<MutationRow>, toml::de::Error> {
    #[derive(Deserialize)]
    struct File {
        mutation: Vec<MutationRow>,
    }
    toml::from_str::<File>(include_str!("../mutations.toml")).map(|file| file.mutation)
}
