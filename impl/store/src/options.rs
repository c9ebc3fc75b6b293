//! What an owner of a store can choose.

/// What an owner of a store can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size of a segment of the log, in bytes. Space is given back a segment at a time. A batch
    /// that is larger gets a segment of its own.
    pub segment_bytes: u64,
    /// How many bytes of the newest entries stay in memory, counted by [`kontiki::core::entry_bytes`].
    pub cache_bytes: u64,
}

impl Default for Options {
    /// Segments of 32 MiB, and 16 MiB of entries in memory.
    fn default() -> Self {
        Options { segment_bytes: 32 << 20, cache_bytes: 16 << 20 }
    }
}
