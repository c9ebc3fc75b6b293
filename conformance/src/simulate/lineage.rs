//! Every entry that was ever in a log, and what it followed.

use kontiki_specs::{Entry, Payload, Term};
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};

/// The entries of all logs, told apart by index and term. If each has one content and one term
/// before it, any two logs that share an entry share all before it (log matching): a log is then
/// told by its last position.
///
/// An entry takes a few dozen bytes, whatever its size and whether logs still hold it.
#[derive(Clone, Debug, Default)]
pub(super) struct Lineage {
    /// By index, from 1 on.
    at: Vec<Vec<Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    term: Term,
    before: Term,
    content: u64,
}

impl Lineage {
    /// Notes an entry that was put behind one of the term `before`, which stands at the index
    /// before it; term 0 if it is the first.
    ///
    /// # Errors
    /// How it contradicts what was noted earlier.
    pub(super) fn note(&mut self, entry: &Entry, before: Term) -> Result<(), String> {
        let Some(place) = entry.index.0.checked_sub(1).and_then(|at| usize::try_from(at).ok())
        else {
            return Err("an entry has index 0".to_string());
        };
        if place >= self.at.len() {
            if place > self.at.len() {
                return Err(format!("{entry} is written where no log reaches"));
            }
            self.at.push(Vec::new());
        }
        let known = &mut self.at[place];
        let Some(same) = known.iter().find(|known| known.term == entry.term) else {
            known.push(Known { term: entry.term, before, content: content_of(&entry.payload) });
            return Ok(());
        };
        if same.content != content_of(&entry.payload) {
            return Err(format!("{entry} has two contents"));
        }
        if same.before != before {
            return Err(format!(
                "{entry} follows an entry of term {before} here and one of term {} elsewhere",
                same.before
            ));
        }
        Ok(())
    }
}

/// A number that no two payloads share, but for a chance that is not worth memory to exclude.
fn content_of(payload: &Payload) -> u64 {
    let mut hasher = FxHasher::default();
    payload.hash(&mut hasher);
    hasher.finish()
}
