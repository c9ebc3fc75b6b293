//! Entries in a row, shared.

use crate::{Entry, LogIndex};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A sequence of entries that many may hold: a clone or a part of it copies no entry.
///
/// A leader's log, its write to disk and its messages to every follower share one allocation. A
/// part keeps the whole allocation alive. Equal by content, written as a plain list.
#[derive(Clone, Default)]
pub struct Entries {
    shared: Arc<[Entry]>,
    /// Within `shared`. Length and ends are read off here, which takes less than to cut a slice.
    range: Range<usize>,
}

impl Entries {
    /// No entries.
    pub fn new() -> Self {
        Entries::default()
    }

    /// The part from place `range.start` up to and without `range.end`, counted from 0; empty if
    /// the range is, or lies outside.
    #[inline]
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Entries {
        let end = range.end.min(self.len());
        if range.start >= end {
            return Entries::new();
        }
        let shift = self.range.start;
        Entries { shared: Arc::clone(&self.shared), range: shift + range.start..shift + end }
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The first entry.
    #[inline]
    pub fn first(&self) -> Option<&Entry> {
        self.shared.get(self.range.start).filter(|_| !self.is_empty())
    }

    /// The last entry.
    #[inline]
    pub fn last(&self) -> Option<&Entry> {
        self.shared.get(self.range.end.wrapping_sub(1)).filter(|_| !self.is_empty())
    }

    /// The index of the first entry.
    #[inline]
    pub fn first_index(&self) -> Option<LogIndex> {
        self.first().map(|entry| entry.index)
    }

    /// The index of the last entry.
    #[inline]
    pub fn last_index(&self) -> Option<LogIndex> {
        self.last().map(|entry| entry.index)
    }
}

impl Deref for Entries {
    type Target = [Entry];

    #[inline]
    fn deref(&self) -> &[Entry] {
        self.shared.get(self.range.clone()).unwrap_or_default()
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let shared: Arc<[Entry]> = entries.into_iter().collect();
        let range = 0..shared.len();
        Entries { shared, range }
    }
}

impl From<Vec<Entry>> for Entries {
    fn from(entries: Vec<Entry>) -> Self {
        entries.into_iter().collect()
    }
}

impl From<&[Entry]> for Entries {
    fn from(entries: &[Entry]) -> Self {
        entries.iter().cloned().collect()
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Entries {}

impl Hash for Entries {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (**self).hash(hasher);
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::<Entry>::deserialize(from).map(Entries::from)
    }
}
