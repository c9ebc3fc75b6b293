//! Frames: records that are written together, with a checksum.
//!
//! A batch is what one sync makes durable. It is written as frames, which are small so that what is
//! read of a log is checked in small portions. A frame is a header of 32 bytes and a body:
//!
//! | bytes | what |
//! |--|--|
//! | 0..4 | checksum of the rest of the header |
//! | 4..12 | number of the frame; they rise by one through all segments |
//! | 12..20 | number of the batch's first frame: all before it were durable when this was written |
//! | 20..24 | length of the body, a multiple of 8 |
//! | 24..28 | checksum of the body |
//! | 28..32 | [`MAGIC`] |
//!
//! The body is records, zeros, and a last byte that is never zero. Both checksums (CRC-32C) begin
//! with the salt of the segment and the place of the frame. So bytes that a client had written into
//! a command, or that belong elsewhere, are no frame.
//!
//! Header and body end with bytes that are not zero, and a segment is filled with zeros before it is
//! used. So what a crash keeps from being written shows as zeros, and damage does not.

use std::ops::Range;

/// Ends a header. No byte of it can become zero by one flipped bit.
const MAGIC: [u8; 4] = *b"kFr\xa7";
/// Ends a body.
const END: u8 = 0xe7;

pub(crate) const HEADER_BYTES: usize = 32;
/// Frames begin at multiples of it, and so their length is one.
pub(crate) const ALIGNMENT: usize = 8;
/// What a disk writes entirely or not at all.
const SECTOR: u64 = 512;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) batch_first: u64,
    pub(crate) body_bytes: u32,
    pub(crate) body_sum: u32,
}

/// Where a frame is: what its checksums begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The salt of the segment, which nobody outside knows.
    pub(crate) salt: u64,
    /// Where in the segment the frame begins.
    pub(crate) offset: u64,
}

impl Place {
    fn sum(self, bytes: &[u8]) -> u32 {
        let begun = crc32c::crc32c(&self.salt.to_le_bytes());
        let placed = crc32c::crc32c_append(begun, &self.offset.to_le_bytes());
        crc32c::crc32c_append(placed, bytes)
    }
}

/// Begins a frame behind what is in the buffer; says where.
pub(crate) fn begin(buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.resize(start + HEADER_BYTES, 0);
    start
}

/// Ends the body of the frame that began at `start`.
pub(crate) fn end(buffer: &mut Vec<u8>, start: usize) {
    let bytes = (buffer.len() - start + 1).next_multiple_of(ALIGNMENT);
    buffer.resize(start + bytes - 1, 0);
    buffer.push(END);
}

/// Writes the header of an ended frame, once it is known where the frame will stand.
pub(crate) fn seal(frame: &mut [u8], place: Place, number: u64, batch_first: u64) {
    let body_sum = place.sum(&frame[HEADER_BYTES..]);
    let body_bytes = u32::try_from(frame.len() - HEADER_BYTES).unwrap_or(u32::MAX);
    let header = &mut frame[..HEADER_BYTES];
    header[4..12].copy_from_slice(&number.to_le_bytes());
    header[12..20].copy_from_slice(&batch_first.to_le_bytes());
    header[20..24].copy_from_slice(&body_bytes.to_le_bytes());
    header[24..28].copy_from_slice(&body_sum.to_le_bytes());
    header[28..32].copy_from_slice(&MAGIC);
    let sum = place.sum(&header[4..]);
    header[..4].copy_from_slice(&sum.to_le_bytes());
}

impl Header {
    /// The header in these bytes, if they are one of this place.
    pub(crate) fn read(bytes: &[u8], place: Place) -> Option<Header> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let short = |range: Range<usize>| -> Option<u32> {
            Some(u32::from_le_bytes(bytes.get(range)?.try_into().ok()?))
        };
        let number = |range: Range<usize>| -> Option<u64> {
            Some(u64::from_le_bytes(bytes.get(range)?.try_into().ok()?))
        };
        // The sum takes longer than to look at the end.
        if bytes[28..] != MAGIC || short(0..4)? != place.sum(&bytes[4..]) {
            return None;
        }
        Some(Header {
            number: number(4..12)?,
            batch_first: number(12..20)?,
            body_bytes: short(20..24)?,
            body_sum: short(24..28)?,
        })
    }

    /// The bytes of the frame, header and body.
    pub(crate) fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.body_bytes)
    }

    /// Whether this is the body.
    pub(crate) fn fits(&self, body: &[u8], place: Place) -> bool {
        body.len() as u64 == u64::from(self.body_bytes)
            && place.sum(body) == self.body_sum
            && body.last() == Some(&END)
    }
}

/// Whether bytes that should be a header, or a whole frame, can be what a crash left: a part of them
/// was never written. A crash leaves zeros from some byte on to the end, or in whole sectors.
pub(crate) fn may_be_torn(bytes: &[u8], offset: u64) -> bool {
    let mut rest = bytes;
    let mut at = offset;
    while !rest.is_empty() {
        let in_sector = usize::try_from(SECTOR - at % SECTOR).unwrap_or(usize::MAX);
        let (sector, behind) = rest.split_at(in_sector.min(rest.len()));
        if sector.iter().all(|byte| *byte == 0) {
            return true;
        }
        at += sector.len() as u64;
        rest = behind;
    }
    bytes.last().is_none_or(|last| *last == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { salt: 77, offset: 1000 };

    fn frame() -> Vec<u8> {
        let mut buffer = Vec::new();
        let start = begin(&mut buffer);
        buffer.extend((1..=200_u8).cycle().take(1001));
        end(&mut buffer, start);
        seal(&mut buffer, PLACE, 5, 4);
        buffer
    }

    fn is_whole(frame: &[u8], place: Place) -> bool {
        Header::read(frame, place).is_some_and(|header| header.fits(&frame[HEADER_BYTES..], place))
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_is_not_taken_for_a_torn_write() {
        let whole = frame();
        assert!(is_whole(&whole, PLACE) && whole.len().is_multiple_of(ALIGNMENT));
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[place] ^= 1 << bit;
                assert!(!is_whole(&flipped, PLACE));
                assert!(!may_be_torn(&flipped[..HEADER_BYTES], PLACE.offset));
                assert!(!may_be_torn(&flipped, PLACE.offset));
            }
        }
    }

    #[test]
    fn a_frame_is_one_only_where_it_was_written() {
        assert!(!is_whole(&frame(), Place { offset: 1008, ..PLACE }));
        assert!(!is_whole(&frame(), Place { salt: 78, ..PLACE }));
    }

    #[test]
    fn what_ends_early_or_lacks_a_sector_may_be_torn() {
        let whole = frame();
        for end in 0..whole.len() {
            let mut torn = whole.clone();
            torn[end..].fill(0);
            let header_is_whole = end >= HEADER_BYTES;
            assert!(may_be_torn(&torn, PLACE.offset));
            assert_eq!(may_be_torn(&torn[..HEADER_BYTES], PLACE.offset), !header_is_whole);
        }
        // The frame begins at byte 1000, so a sector ends at 24 and another at 536.
        for hole in [0..24, 24..536] {
            let mut torn = whole.clone();
            torn[hole].fill(0);
            assert!(may_be_torn(&torn, PLACE.offset) && !is_whole(&torn, PLACE));
        }
    }
}
