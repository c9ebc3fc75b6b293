//! Reading the frames of a segment.

use crate::directory::{Directory, DirectoryFile};
use crate::encoding::Reader;
use crate::error::{Error, io};
use crate::frame::{ALIGNMENT, HEADER_BYTES, Header, Place, may_be_torn};
use crate::record::Record;
use crate::segment::name;
use bytes::Bytes;

/// The frames of one segment, read portion by portion.
pub(crate) struct Frames<'a> {
    directory: &'a dyn Directory,
    file: &'a dyn DirectoryFile,
    segment: u64,
    salt: u64,
    size: u64,
    /// How much is read at once.
    portion: u64,
    window: Bytes,
    window_start: u64,
}

/// What stands at a place in a segment.
pub(crate) enum Found {
    /// A whole frame.
    Frame(Header, Bytes),
    /// Zeros where a header would be.
    Nothing,
    /// Neither.
    Broken {
        /// What is wrong.
        what: &'static str,
        /// Whether a crash while it was being written can have left this.
        may_be_torn: bool,
    },
}

impl<'a> Frames<'a> {
    pub(crate) fn new(
        directory: &'a dyn Directory,
        file: &'a dyn DirectoryFile,
        segment: u64,
        salt: u64,
        size: u64,
        portion: u64,
    ) -> Self {
        let (window, window_start) = (Bytes::new(), 0);
        Frames { directory, file, segment, salt, size, portion, window, window_start }
    }

    /// What stands at `offset`.
    pub(crate) fn at(&mut self, offset: u64) -> Result<Found, Error> {
        if offset.saturating_add(HEADER_BYTES as u64) > self.size {
            return Ok(Found::Nothing);
        }
        let place = Place { salt: self.salt, offset };
        let bytes = self.bytes(offset, HEADER_BYTES as u64)?;
        let Some(header) = Header::read(&bytes, place) else {
            if bytes.iter().all(|byte| *byte == 0) {
                return Ok(Found::Nothing);
            }
            let what = "the header of a frame does not match its checksum";
            return Ok(Found::Broken { what, may_be_torn: may_be_torn(&bytes, offset) });
        };
        if offset.saturating_add(header.frame_bytes()) > self.size {
            let what = "a frame reaches beyond the end of the file";
            return Ok(Found::Broken { what, may_be_torn: false });
        }
        let frame = self.bytes(offset, header.frame_bytes())?;
        let body = frame.slice(HEADER_BYTES..);
        if !header.fits(&body, place) {
            let what = "the body of a frame does not match its checksum";
            return Ok(Found::Broken { what, may_be_torn: may_be_torn(&frame, offset) });
        }
        Ok(Found::Frame(header, body))
    }

    /// The first place behind `offset` where a header stands of which `wanted` says yes.
    pub(crate) fn search(
        &mut self,
        offset: u64,
        wanted: impl Fn(&Header) -> bool,
    ) -> Result<Option<u64>, Error> {
        let step = ALIGNMENT as u64;
        let mut at = (offset + 1).next_multiple_of(step);
        while at.saturating_add(HEADER_BYTES as u64) <= self.size {
            let bytes = self.bytes(at, HEADER_BYTES as u64)?;
            if Header::read(&bytes, Place { salt: self.salt, offset: at })
                .is_some_and(|header| wanted(&header))
            {
                return Ok(Some(at));
            }
            at += step;
        }
        Ok(None)
    }

    /// Where the last byte from `offset` on ends that is not zero.
    pub(crate) fn end_of_content(&mut self, offset: u64) -> Result<Option<u64>, Error> {
        let mut end = None;
        let mut at = offset;
        while at < self.size {
            let count = self.portion.min(self.size - at);
            let bytes = self.bytes(at, count)?;
            if let Some(place) = bytes.iter().rposition(|byte| *byte != 0) {
                end = Some(at + place as u64 + 1);
            }
            at += count;
        }
        Ok(end)
    }

    /// Bytes that lie within the segment.
    fn bytes(&mut self, offset: u64, count: u64) -> Result<Bytes, Error> {
        let inside = offset >= self.window_start
            && offset + count <= self.window_start + self.window.len() as u64;
        if !inside {
            let length = count.max(self.portion).min(self.size.saturating_sub(offset));
            let mut window = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            let read = self.file.read_at(offset, &mut window);
            read.map_err(io(self.directory, "read", &name(self.segment)))?;
            (self.window, self.window_start) = (window.into(), offset);
        }
        let start = usize::try_from(offset - self.window_start).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        Ok(self.window.slice(start..end.min(self.window.len())))
    }
}

/// The records of a frame's body, each with the place where it begins. `None` stands for one that
/// makes no sense; it is the last.
pub(crate) fn records(body: &Bytes) -> impl Iterator<Item = (usize, Option<Record>)> + '_ {
    let mut reader = Reader::new(body, 0);
    let mut ended = false;
    std::iter::from_fn(move || {
        // Behind the last record are zeros and the byte that ends the body.
        let at = reader.at();
        if ended || at + 1 >= body.len() || body.get(at) == Some(&0) {
            return None;
        }
        let record = Record::decode(&mut reader);
        ended = record.is_none();
        Some((at, record))
    })
}
