//! The sizes of entries in a row, to keep sums within limits.

use super::entry_bytes;
use kontiki_specs::Entry;
use std::collections::VecDeque;

/// The sizes of consecutive entries, added at the end and taken off at the front.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sizes {
    sizes: VecDeque<u32>,
    bytes: u64,
}

impl Sizes {
    pub(crate) fn entries(&self) -> u64 {
        self.sizes.len() as u64
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn push(&mut self, entries: &[Entry]) {
        self.sizes.extend(entries.iter().map(|entry| {
            // Configuration limits what is proposed; what is larger counts as the largest.
            let bytes = u32::try_from(entry_bytes(entry)).unwrap_or(u32::MAX);
            self.bytes += u64::from(bytes);
            bytes
        }));
    }

    /// Takes off the first `count` entries, or all.
    pub(crate) fn pop(&mut self, count: u64) {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.sizes.len());
        self.bytes -= self.sizes.drain(..count).map(u64::from).sum::<u64>();
    }
}
