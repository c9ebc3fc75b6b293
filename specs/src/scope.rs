//! Scopes: how far the model is checked.
//!
//! A scope bounds a cluster (servers, terms, log length, crashes), switches features on, and names
//! what is checked in it: properties that must hold in every state, goals that must be reached in
//! some state. It is written as a flat TOML file, whose name is the scope's name:
//!
//! ```toml
//! description = "Three servers elect leaders in two terms."
//! servers = 3
//! terms = 2
//! log = 1
//! sometimes = ["leader-elected", "split-vote"]
//! ```
//!
//! The files in `specs/scopes` are built in. Each key is a field of [`Scope`], written with
//! hyphens; a key that is not known is refused, and every error says where it is and what would
//! be right.

mod error;
mod limits;
mod parse;

pub use error::{ScopeError, ScopeFlaw};

use crate::{Goal, MembershipChange, Property};
use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::path::{Path, is_separator};

static BUILTIN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scopes");

/// The longest scope file that is read, in bytes.
pub const MAX_BYTES: u64 = 64 * 1024;

/// When a scope is run without being named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// With every change: seconds to a few minutes.
    Ci,
    /// On request: as long as it takes.
    Deep,
}

impl Suite {
    /// All of them.
    pub const ALL: &'static [Suite] = &[Suite::Ci, Suite::Deep];

    /// The name used in scope files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Ci => "ci",
            Suite::Deep => "deep",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How writes reach the disk.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Disk {
    /// A write is complete in the step that issues it.
    #[default]
    Synchronous,
    /// A write completes in a later step, or is lost in a crash.
    Asynchronous,
}

impl Disk {
    /// All of them.
    pub const ALL: &'static [Disk] = &[Disk::Synchronous, Disk::Asynchronous];

    /// The name used in scope files.
    pub fn name(self) -> &'static str {
        match self {
            Disk::Synchronous => "synchronous",
            Disk::Asynchronous => "asynchronous",
        }
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A bounded check of the model.
///
/// The parsing functions return only scopes that pass [`Scope::check`]. Deserializing does not
/// check (it serves the header of a trace, whose reader does), nor does writing the fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scope {
    /// The stem of the file's name.
    pub name: String,
    /// What the scope is for; empty if the file does not say.
    pub description: String,
    /// The suite it belongs to; without one it runs only when named.
    pub suite: Option<Suite>,
    /// How many servers there are, 1 to 7. Their ids are 1 to this number.
    pub servers: u64,
    /// How many of the servers, counted from the first, are voters at the start; all unless the
    /// file says otherwise. The others are outside the configuration.
    pub voters: u64,
    /// The highest term, 1 to 15.
    pub terms: u64,
    /// The longest log, counting no-ops, 1 to 15: a leader appends a no-op, so 0 is impossible.
    pub log: u64,
    /// How many commands clients propose in all, over the whole cluster, at most 15; if the file
    /// does not say, as many as the logs have room for.
    pub commands: Option<u64>,
    /// The most entries that one message carries, 1 to 65 536; 1 unless the file says otherwise.
    pub batch: u64,
    /// The most entries that may be under way to one follower, 1 to 65 536; if the file does not say,
    /// as many as there are.
    pub window: u64,
    /// The most bytes of entries that one message carries, 1 or more; a larger entry goes alone
    /// (rule L9). If the file does not say, only `batch` limits messages. With this or
    /// `window-bytes`, clients propose commands of two sizes, so that messages are cut in different
    /// places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_bytes: Option<u64>,
    /// The most bytes of entries that may be under way to one follower, 1 or more; one entry may
    /// be, whatever its size (rule L9). If the file does not say, only `window` limits them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_bytes: Option<u64>,
    /// The most bytes of entries that the state machine is handed before it has executed them all, 1
    /// or more; one entry may be handed over, whatever its size (rule L8). If the file does not say,
    /// nothing limits them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_bytes: Option<u64>,
    /// How many crashes there are in all, over the whole cluster, 0 to 7.
    pub restarts: u64,
    /// How writes reach the disk.
    pub disk: Disk,
    /// Whether drivers may say that a disk makes no progress (rule E12).
    pub disk_stalls: bool,
    /// Whether servers ask for pre-votes before they campaign (rule E7).
    pub pre_vote: bool,
    /// Whether servers in contact with a leader ignore requests for votes (rule E8).
    pub leader_contact: bool,
    /// Whether a leader without a majority steps down (rule E9).
    pub check_quorum: bool,
    /// Whether leaders send heartbeats; true unless the file says otherwise. Many fewer states are
    /// reached without. Entries arrive all the same: nothing is lost for good that would have to be
    /// sent again; but followers hear of commits, and are in contact, by messages with entries only.
    pub heartbeats: bool,
    /// The changes of membership that operators ask for, each accepted at most once over the whole
    /// cluster, in any order; at most 8. The model refuses to check a scope with one that can never be
    /// taken.
    pub changes: Vec<MembershipChange>,
    /// In how many rounds a learner must catch up before it may become a voter, 1 to 1000; 0, if the
    /// file does not say, makes any server a voter that operators ask for (rule M5).
    pub catch_up_rounds: u64,
    /// How many transfers of leadership operators ask for in all, 0 to 7 (rule E10).
    pub transfers: u64,
    /// How many snapshots servers take in all, over the whole cluster, 0 to 7 (rule S1).
    #[serde(default)]
    pub snapshots: u64,
    /// In how many chunks a snapshot is sent, 1 to 7; 1 unless the file says otherwise (rule S2).
    /// More only where there are snapshots.
    #[serde(default = "one")]
    pub chunks: u64,
    /// How many entries that a snapshot covers stay in the log, fewer than `log`; 0 unless the file
    /// says otherwise (rule S1). More only where there are snapshots.
    #[serde(default)]
    pub kept_entries: u64,
    /// Whether a leader may answer reads without a round of their own while it has a lease (rule C4). Only
    /// with `leader-contact`, and where there are reads.
    #[serde(default)]
    pub leases: bool,
    /// How many reads clients ask leaders for in all, over the whole cluster, 0 to 7 (rule C3). All have
    /// the same number: a leader makes nothing of it.
    #[serde(default)]
    pub reads: u64,
    /// How many reads clients ask servers for that do not lead, over the whole cluster, 0 to 7 (rule C5).
    /// Each has a number of its own.
    #[serde(default)]
    pub follower_reads: u64,
    /// How many sessions clients open in all, 0 to 7 (rule C2): no leader is asked for another whose
    /// log has so many. With sessions, clients propose nothing but commands of sessions.
    #[serde(default)]
    pub sessions: u64,
    /// How many sequence numbers clients use in a session, 1 to 7; 1 unless the file says otherwise.
    /// More only where there are sessions.
    #[serde(default = "one")]
    pub session_commands: u64,
    /// How many sessions may be open, 1 to 7; 1 unless the file says otherwise. More only where there
    /// are sessions.
    #[serde(default = "one")]
    pub most_sessions: u64,
    /// How many answers may be remembered for a session, 1 to 7; 1 unless the file says otherwise. More
    /// only where there are sessions.
    #[serde(default = "one")]
    pub most_answers: u64,
    /// Whether clients end sessions.
    #[serde(default)]
    pub session_ends: bool,
    /// After how many bytes of entries the servers say that a snapshot is due, 1 or more (rule S1). If
    /// the file does not say, they never do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_bytes: Option<u64>,
    /// Whether a snapshot that is being taken may fail (rule S1).
    #[serde(default)]
    pub snapshot_failures: bool,
    /// What must hold in every state; if the file does not say, all that applies to the scope.
    pub properties: BTreeSet<Property>,
    /// What must be reached in some state.
    pub sometimes: BTreeSet<Goal>,
    /// The exact number of states, if it is pinned; a check that counts another one fails.
    pub unique_states: Option<u64>,
    /// The exact number of transitions in the scope's atlas, if it is pinned: what single servers
    /// can be asked to do, which the comparison with the implementation replays.
    pub local_transitions: Option<u64>,
    /// How many of these transitions begin with an input that cannot come about where everybody keeps
    /// the rules, if it is pinned. The implementation must turn such an input away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turned_away: Option<u64>,
}

fn one() -> u64 {
    1
}

impl Scope {
    /// Reads a scope from its text. `origin` is the path that errors show.
    ///
    /// # Errors
    /// Says the line, what is wrong there, and what would be right.
    pub fn parse(name: &str, origin: &str, text: &str) -> Result<Scope, ScopeError> {
        parse::scope(name, origin, text)
    }

    /// Reads a scope file of at most [`MAX_BYTES`].
    ///
    /// # Errors
    /// If the file cannot be read, or as [`Scope::parse`].
    pub fn load(path: &Path) -> Result<Scope, ScopeError> {
        let origin = path.display().to_string();
        let unreadable = |reason| ScopeError::Unreadable { origin: origin.clone(), reason };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ScopeError::TooLong { origin });
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Scope::parse(&name, &origin, parse::utf8(&origin, &bytes)?)
    }

    /// The scopes of `specs/scopes`, sorted by name.
    ///
    /// # Errors
    /// As [`Scope::parse`]; a test keeps the files that are built in correct.
    pub fn builtin() -> Result<Vec<Scope>, ScopeError> {
        embedded().into_iter().map(|(name, bytes)| parse_embedded(name, bytes)).collect()
    }

    /// The built-in scope of that name, or else the scope in the file of that path.
    ///
    /// What is not the name of a built-in scope is a path if there is such a file, or if it looks
    /// like one: it holds a separator or ends in `.toml`.
    ///
    /// # Errors
    /// If there is neither; says which built-in names are nearest. Otherwise as [`Scope::load`].
    pub fn find(name_or_path: &str) -> Result<Scope, ScopeError> {
        let scopes = embedded();
        if let Some((name, bytes)) = scopes.iter().find(|(name, _)| *name == name_or_path) {
            return parse_embedded(name, bytes);
        }
        let path = Path::new(name_or_path);
        let like_a_path = name_or_path.contains(is_separator) || name_or_path.ends_with(".toml");
        if like_a_path || path.is_file() {
            return Scope::load(path);
        }
        let names: Vec<_> = scopes.into_iter().map(|(name, _)| name).collect();
        Err(ScopeError::not_found(name_or_path, &names))
    }

    /// Whether every bound is in its range, and every property and goal can apply. Not looked at is
    /// whether every change of membership can be taken, nor, other than in a file, whether `chunks`
    /// and `kept-entries` can make a difference.
    ///
    /// # Errors
    /// The first flaw found: what is wrong, and what would be right.
    pub fn check(&self) -> Result<(), ScopeFlaw> {
        limits::check(self)
    }
}

/// The name and content of each built-in file, sorted by name.
fn embedded() -> Vec<(&'static str, &'static [u8])> {
    let mut scopes: Vec<_> = BUILTIN
        .files()
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "toml"))
        .filter_map(|file| Some((file.path().file_stem()?.to_str()?, file.contents())))
        .collect();
    scopes.sort_unstable();
    scopes
}

fn parse_embedded(name: &str, bytes: &[u8]) -> Result<Scope, ScopeError> {
    let origin = format!("specs/scopes/{name}.toml");
    Scope::parse(name, &origin, parse::utf8(&origin, bytes)?)
}
