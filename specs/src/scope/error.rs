//! What is wrong with a scope, told so that it can be put right.

use crate::spelling::{printable, suggestion};
use std::io;
use thiserror::Error;

/// Why there is no scope.
#[derive(Debug, Error)]
pub enum ScopeError {
    /// The file says something that is not a scope.
    #[error("{origin}:{line}: {flaw}")]
    Flawed {
        /// The file.
        origin: String,
        /// The line, from 1. A key that is missing is missing in line 1.
        line: usize,
        /// What is wrong there.
        flaw: ScopeFlaw,
    },
    /// The file cannot be read.
    #[error("{origin}: cannot be read: {reason}")]
    Unreadable {
        /// The file.
        origin: String,
        /// The operating system's. It is in this error's own text, and so is no source of it: where
        /// an error is printed with its sources, it would be there twice.
        reason: io::Error,
    },
    /// The file is longer than [`super::MAX_BYTES`].
    #[error("{origin}: longer than {} bytes, so hardly a scope file", super::MAX_BYTES)]
    TooLong {
        /// The file.
        origin: String,
    },
    /// No built-in scope has the name, and it is not the path of a file.
    #[error("{flaw}")]
    NotFound {
        /// What is wrong, and which names are near.
        flaw: ScopeFlaw,
    },
}

/// One thing that is wrong, and what would be right.
///
/// Printed as two lines, the second indented.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}\n  {help}")]
pub struct ScopeFlaw {
    what: String,
    help: String,
    /// The key in question, so that its line can be found.
    key: &'static str,
    /// The element in question, if the key's value is a list.
    element: Option<Element>,
}

/// One of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// The one that says this.
    Saying(&'static str),
    /// The one in this place, from 0.
    At(usize),
}

impl ScopeFlaw {
    pub(super) fn new(what: impl Into<String>, help: impl Into<String>) -> ScopeFlaw {
        ScopeFlaw { what: what.into(), help: help.into(), key: "", element: None }
    }

    pub(super) fn at(self, key: &'static str) -> ScopeFlaw {
        ScopeFlaw { key, ..self }
    }

    pub(super) fn saying(self, text: &'static str) -> ScopeFlaw {
        ScopeFlaw { element: Some(Element::Saying(text)), ..self }
    }

    pub(super) fn element(self, place: usize) -> ScopeFlaw {
        ScopeFlaw { element: Some(Element::At(place)), ..self }
    }

    /// A word that should be one of `known`. `kind` and `kinds` name what it should be.
    pub(super) fn unknown(kind: &str, kinds: &str, word: &str, known: &[&str]) -> ScopeFlaw {
        let hint = suggestion(word, known);
        let what = format!("unknown {kind} `{}`{hint}", printable(word));
        ScopeFlaw::new(what, format!("known {kinds}: {}", known.join(", ")))
    }

    /// What is wrong.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What would be right.
    pub fn help(&self) -> &str {
        &self.help
    }

    pub(super) fn place(&self) -> (&'static str, Option<Element>) {
        (self.key, self.element)
    }
}

impl ScopeError {
    pub(super) fn not_found(name: &str, known: &[&str]) -> ScopeError {
        let mut flaw = ScopeFlaw::unknown("scope", "scopes", name, known);
        flaw.help.push_str("\n  or the path of a scope file, as in my-scope.toml");
        ScopeError::NotFound { flaw }
    }
}
