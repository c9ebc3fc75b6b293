//! Lines of bounded length, so that a hostile file cannot exhaust the memory.

use super::{MAX_LINE_BYTES, MAX_TRACE_BYTES, TraceProblem};
use std::io::{BufRead, Read};

pub(super) struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    number: u64,
    total: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(source: R) -> Lines<R> {
        Lines { source, buffer: Vec::new(), number: 0, total: 0 }
    }

    /// The number, from 1, of the line asked for last.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line with its end, or `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, TraceProblem> {
        self.number += 1;
        self.buffer.clear();
        let read = (&mut self.source)
            .take(MAX_LINE_BYTES + 1)
            .read_until(b'\n', &mut self.buffer)
            .map_err(TraceProblem::Unreadable)? as u64;
        self.total += read;
        if read > MAX_LINE_BYTES {
            return Err(TraceProblem::LongLine);
        }
        if self.total > MAX_TRACE_BYTES {
            return Err(TraceProblem::LongTrace);
        }
        Ok((read > 0).then_some(&self.buffer))
    }
}
