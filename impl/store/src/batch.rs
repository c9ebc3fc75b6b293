//! A batch: the records that one sync makes durable, laid out as frames.

use crate::encoding::encoded_bytes;
use crate::frame::{self, Place};
use crate::log::RecordPlace;
use crate::record::Record;
use kontiki::Entries;

/// How large the body of a frame becomes, about: no larger, unless a single entry is.
const FRAME_BYTES: usize = 1 << 17;

/// Frames one behind the other, and the records in them.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    /// Where each frame begins in the bytes.
    frames: Vec<usize>,
    /// Each with the place of its frame in `frames`, and its own in the frame's body.
    records: Vec<(usize, usize, Record)>,
    /// Whether the last frame is not ended.
    open: bool,
}

impl Batch {
    /// Forgets all, and keeps the memory for the next unless it is large.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(8 * FRAME_BYTES);
        self.frames.clear();
        self.records.clear();
        self.open = false;
    }

    /// Adds a record. Entries are cut into parts that each fit into a frame.
    pub(crate) fn push(&mut self, record: &Record) {
        let Record::Entries(entries) = record else {
            self.push_whole(record.clone());
            return;
        };
        let mut rest = entries.clone();
        while !rest.is_empty() {
            let count = self.count_that_fits(&rest);
            self.push_whole(Record::Entries(rest.part(0..count)));
            rest = rest.part(count..rest.len());
        }
    }

    fn count_that_fits(&mut self, entries: &Entries) -> usize {
        let used = if self.open { self.frame_bytes() } else { 0 };
        let mut left = FRAME_BYTES.saturating_sub(used);
        let fits = entries.iter().take_while(|entry| {
            let bytes = encoded_bytes(entry);
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        });
        let count = fits.count();
        if count == 0 && self.open {
            self.end();
            return self.count_that_fits(entries);
        }
        count.max(1)
    }

    fn push_whole(&mut self, record: Record) {
        if self.open && self.frame_bytes() >= FRAME_BYTES {
            self.end();
        }
        if !self.open {
            self.frames.push(frame::begin(&mut self.bytes));
            self.open = true;
        }
        let at = self.frame_bytes();
        record.encode(&mut self.bytes);
        self.records.push((self.frames.len() - 1, at, record));
    }

    /// The bytes of the body of the last frame.
    fn frame_bytes(&self) -> usize {
        let start = self.frames.last().map_or(0, |start| start + frame::HEADER_BYTES);
        self.bytes.len() - start
    }

    fn end(&mut self) {
        if let Some(start) = self.frames.last() {
            frame::end(&mut self.bytes, *start);
        }
        self.open = false;
    }

    /// Ends the last frame.
    pub(crate) fn finish(&mut self) {
        if self.open {
            self.end();
        }
    }

    /// Writes the headers, for a batch that will stand at `place` and whose first frame has the
    /// number `first`. Returns the number behind that of the last.
    pub(crate) fn seal(&mut self, place: Place, first: u64) -> u64 {
        let ends = self.frames.iter().skip(1).copied().chain([self.bytes.len()]);
        let frames: Vec<(usize, usize)> = self.frames.iter().copied().zip(ends).collect();
        let mut number = first;
        for (start, end) in frames {
            let at = Place { offset: place.offset + start as u64, ..place };
            frame::seal(&mut self.bytes[start..end], at, number, first);
            number += 1;
        }
        number
    }

    /// The records, each with its place, for a batch that stands at `offset` of a segment.
    pub(crate) fn records(
        &self,
        segment: u64,
        offset: u64,
    ) -> impl Iterator<Item = (&Record, RecordPlace)> {
        self.records.iter().map(move |(frame, record_at, record)| {
            let start = self.frames.get(*frame).copied().unwrap_or_default() as u64;
            (record, RecordPlace { segment, frame: offset + start, record: *record_at })
        })
    }
}
