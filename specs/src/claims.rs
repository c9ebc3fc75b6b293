//! Folk claims: what people say of Raft, and what the checker says to it.

use crate::{Goal, Property};
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use std::fmt;

static CLAIMS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/claims");

/// What is true of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimVerdict {
    /// It is true as people state it.
    True,
    /// It is not.
    False,
}

impl fmt::Display for ClaimVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ClaimVerdict::True => "true",
            ClaimVerdict::False => "false",
        })
    }
}

/// What a run has to come to, for the verdict to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// All states of the scope are seen, and every property of the scope, this one among them,
    /// holds in all of them.
    Holds(Property),
    /// The property falls.
    Breaks(Property),
    /// The goal is reached.
    Reaches(Goal),
    /// All states of the scope are seen, and the goal is reached in none.
    Never(Goal),
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expectation::Holds(property) => write!(f, "{property} holds"),
            Expectation::Breaks(property) => write!(f, "{property} falls"),
            Expectation::Reaches(goal) => write!(f, "{goal} is reached"),
            Expectation::Never(goal) => write!(f, "{goal} is never reached"),
        }
    }
}

/// One run of the checker for a claim.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClaimRun {
    /// The scope.
    pub scope: String,
    /// The mutation, where the claim is about doing without a rule.
    pub mutation: Option<String>,
    /// What has to come of it.
    pub expects: Expectation,
    /// What it shows, in one sentence.
    pub shows: String,
}

/// A file of `specs/claims`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Claim {
    /// The stem of the file's name.
    #[serde(skip)]
    pub name: String,
    /// Its number among the claims.
    pub number: u64,
    /// The claim, as people state it.
    pub claim: String,
    /// What is true of it, if every run comes out as expected.
    pub verdict: ClaimVerdict,
    /// What is really true, in a paragraph.
    pub truth: String,
    /// The runs that decide it. The first gives the counterexample, if there is one.
    pub runs: Vec<ClaimRun>,
}

/// All claims, in the order of their numbers.
///
/// # Errors
/// A file's own syntax error; a test keeps the files that are built in correct.
pub fn claims() -> Result<Vec<Claim>, toml::de::Error> {
    let files = CLAIMS.files().filter_map(|file| {
        let name = file.path().file_stem()?.to_str()?;
        Some((name, file.contents_utf8().unwrap_or_default()))
    });
    let parsed = files.map(|(name, text)| {
        let claim: Claim = toml::from_str(text)?;
        Ok(Claim { name: name.to_string(), ..claim })
    });
    let mut claims = parsed.collect::<Result<Vec<Claim>, toml::de::Error>>()?;
    claims.sort_by_key(|claim| claim.number);
    Ok(claims)
}
