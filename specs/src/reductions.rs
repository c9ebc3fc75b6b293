//! The scopes in which the reductions of the state space are shown to be exact.

use crate::scope::{Scope, ScopeError};
use serde::Deserialize;
use thiserror::Error;

/// The scopes of `reductions.toml`. None of them has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReductionScopes {
    /// Explored with all reductions, with each left out in turn, and with none.
    pub exact: Vec<Scope>,
    /// Explored with all reductions, and with each left out in turn.
    pub larger: Vec<Scope>,
    /// Explored with all reductions and with none, under every mutation.
    pub mutated: Vec<Scope>,
}

/// What is wrong with `reductions.toml`.
#[derive(Debug, Error)]
pub enum ReductionScopesError {
    /// It is not the table of lists that it should be.
    #[error("specs/reductions.toml: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A scope cannot be written as a scope file.
    #[error("specs/reductions.toml: {0}")]
    Unwritable(#[from] toml::ser::Error),
    /// A scope is flawed.
    #[error(transparent)]
    Scope(#[from] ScopeError),
}

/// Reads `reductions.toml`.
///
/// # Errors
/// What is wrong with it; a test keeps the file that is built in correct.
pub fn reduction_scopes() -> Result<ReductionScopes, ReductionScopesError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        exact: Vec<toml::Table>,
        larger: Vec<toml::Table>,
        mutated: Vec<toml::Table>,
    }
    let file: File = toml::from_str(include_str!("../reductions.toml"))?;
    Ok(ReductionScopes {
        exact: scopes(&file.exact)?,
        larger: scopes(&file.larger)?,
        mutated: scopes(&file.mutated)?,
    })
}

fn scopes(tables: &[toml::Table]) -> Result<Vec<Scope>, ReductionScopesError> {
    let scope = |table| {
        let text = toml::to_string(table)?;
        Ok(Scope::parse("reduction", "specs/reductions.toml", &text)?)
    };
    tables.iter().map(scope).collect()
}
