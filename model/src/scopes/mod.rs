//! Scopes as they are loaded to be checked: well formed, and without changes of membership that can
//! never be taken.

mod changes;

pub use changes::{NeverTaken, check_changes};

use kontiki_specs::scope::{Scope, ScopeError};
use thiserror::Error;

/// Why there is no scope to check.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It is not there, or is no scope.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// It lists a change of membership that can never be taken.
    #[error("scope `{scope}`, key `changes`: {never}")]
    Change {
        /// The scope, by its name or by the path of its file.
        scope: String,
        /// The change.
        never: NeverTaken,
    },
}

/// The built-in scope of that name, or else the scope in the file of that path.
///
/// # Errors
/// As [`Scope::find`], or if the scope lists a change that can never be taken.
pub fn find(name_or_path: &str) -> Result<Scope, LoadError> {
    checked(name_or_path, Scope::find(name_or_path)?)
}

/// The scopes of `specs/scopes`, sorted by name.
///
/// # Errors
/// As [`find`]; a test keeps the files that are built in correct.
pub fn builtin() -> Result<Vec<Scope>, LoadError> {
    Scope::builtin()?.into_iter().map(|scope| checked(&scope.name.clone(), scope)).collect()
}

fn checked(name_or_path: &str, scope: Scope) -> Result<Scope, LoadError> {
    match check_changes(&scope) {
        Ok(()) => Ok(scope),
        Err(never) => Err(LoadError::Change { scope: name_or_path.to_string(), never }),
    }
}
