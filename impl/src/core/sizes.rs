//! The sizes of entries in a row, to keep sums within limits.

use super::entry_bytes;
use kontiki_specs::{Entry, Payload};
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

    #[inline]
    pub(crate) fn push(&mut self, entries: &[Entry]) {
        self.push_each(entries, entry_bytes);
    }

    /// As [`Sizes::push`], but only commands count: a leader's no-op and configurations take no room
    /// from those who propose.
    #[inline]
    pub(crate) fn push_proposed(&mut self, entries: &[Entry]) {
        self.push_each(entries, |entry| match entry.payload {
            Payload::Command(_) => entry_bytes(entry),
            Payload::Noop | Payload::Configuration(_) => 0,
        });
    }

    fn push_each(&mut self, entries: &[Entry], size: impl Fn(&Entry) -> u64) {
        self.sizes.extend(entries.iter().map(|entry| {
            // Configuration limits what is proposed; what is larger counts as the largest.
            let bytes = u32::try_from(size(entry)).unwrap_or(u32::MAX);
            self.bytes += u64::from(bytes);
            bytes
        }));
    }

    /// Whether the bytes are the sum of the sizes. It takes time in proportion to the entries.
    pub(crate) fn add_up(&self) -> bool {
        self.sizes.iter().copied().map(u64::from).sum::<u64>() == self.bytes
    }

    /// Takes off the first `count` entries, or all.
    #[inline]
    pub(crate) fn pop(&mut self, count: u64) {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.sizes.len());
        self.bytes -= self.sizes.drain(..count).map(u64::from).sum::<u64>();
    }
}
