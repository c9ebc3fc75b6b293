//! Reading a directory: what is in it, what a crash has left, and what is wrong.
//!
//! Nothing is changed here. What follows the last whole frame is taken for the end of a write that a
//! crash has torn only if all of this holds. It is refused otherwise.
//!
//! * It is in the last segment.
//! * It is behind the mark.
//! * No frame follows that was written when this one was durable.
//! * A part of it was never written: it ends with zeros, or a whole sector of it is zeros.

use crate::directory::{Directory, DirectoryFile};
use crate::error::{Error, io};
use crate::frames::{Found, Frames, records};
use crate::identity::{IDENTITY, Identity};
use crate::log::{Log, RecordPlace};
use crate::mark::{End, MARK, Mark};
use crate::record::Record;
use crate::segment::{self, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::snapshot_file::{self, SnapshotFile, Sums};
use std::sync::Arc;

/// How much is read at once.
const PORTION: u64 = 1 << 20;

/// The segment that is written to.
pub(crate) struct Active {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn DirectoryFile>,
    /// Where its last frame ends.
    pub(crate) end: u64,
}

/// What is in a directory.
pub(crate) struct Recovered {
    pub(crate) log: Log,
    /// The numbers of the segments, rising by one.
    pub(crate) segments: Vec<SegmentSummary>,
    pub(crate) active: Active,
    /// The number of the next frame.
    pub(crate) next_frame: u64,
    /// Checksums of what has been received of a snapshot.
    pub(crate) received: Sums,
    /// What a crash has left behind the end of the last segment.
    pub(crate) torn: Option<Torn>,
}

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Its number.
    pub number: u64,
    /// The size of its file, in bytes.
    pub bytes: u64,
    /// Where its last frame ends.
    pub end: u64,
    /// How many frames it has.
    pub frames: u64,
}

/// The rest of a write that was under way in a crash. It was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The file.
    pub file: String,
    /// Where it begins: where the log ends.
    pub offset: u64,
    /// How many bytes of it there are.
    pub bytes: u64,
}

/// Reads all of the log. `note` is called for each segment that is in order, so that what was found
/// before an error is known.
pub(crate) fn read(
    directory: &dyn Directory,
    owner: Identity,
    names: &[String],
    mut note: impl FnMut(SegmentSummary),
) -> Result<Recovered, Error> {
    let numbers = in_a_row(names);
    let (_, durable) = Mark::read(directory)?;
    let mut replay = Replay { directory, durable, log: Log::default(), next_frame: 0 };
    let (mut segments, mut active, mut torn) = (Vec::new(), None, None);
    let open = |number: u64| -> Result<(SegmentHeader, Arc<dyn DirectoryFile>), Error> {
        let name = segment::name(number);
        let file = directory.open(&name).map_err(io(directory, "open", &name))?;
        file.will_be_read();
        Ok((SegmentHeader::read(directory, &*file, number, owner)?, file))
    };
    let mut next = numbers.first().map(|number| open(*number)).transpose()?;
    replay.next_frame = next.as_ref().map_or(0, |(header, _)| header.first_frame);
    while let Some((header, file)) = next {
        next = numbers.get(segments.len() + 1).map(|number| open(*number)).transpose()?;
        let following = next.as_ref().map(|(header, _)| header);
        let (summary, rest) = replay.segment(&header, &*file, following)?;
        segments.push(summary);
        note(summary);
        torn = rest;
        active = Some(Active { header, file, end: summary.end });
    }
    let Replay { log, next_frame, .. } = replay;
    let Some(active) = active else {
        let what = "a store has one segment at least, and there is none";
        return Err(Error::missing(directory, &segment::name(durable.segment.max(1)), what));
    };
    if let Some(index) = log.first_missing() {
        let before = segments.first().map_or(0, |first| first.number.saturating_sub(1));
        let what = format!("entry {index} of the log should be in it or in one before");
        return Err(Error::missing(directory, &segment::name(before), what));
    }
    if let Some(own) = &log.state.own {
        SnapshotFile::open(directory, own)?;
    }
    let part = log.state.receiving.as_ref();
    let received =
        part.map_or(Ok(Sums::default()), |part| snapshot_file::read_received(directory, part))?;
    Ok(Recovered { log, segments, active, next_frame, received, torn })
}

/// The numbers of the newest segments, down to the first that is missing. Older ones were to be deleted,
/// or what is missing is found to be.
fn in_a_row(names: &[String]) -> Vec<u64> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number_of(name)).collect();
    numbers.sort_unstable();
    let gap = numbers.windows(2).rposition(|pair| pair[0].checked_add(1) != Some(pair[1]));
    numbers.split_off(gap.map_or(0, |gap| gap + 1))
}

/// Which server a directory is said to belong to, if any. Such a store was made to its end.
pub(crate) fn owner(
    directory: &dyn Directory,
    names: &[String],
) -> Result<Option<Identity>, Error> {
    if names.iter().any(|name| name == IDENTITY) {
        return Identity::read(directory).map(Some);
    }
    Ok(None)
}

/// A file of a store that was made to its end, if there is one.
pub(crate) fn trace_of_store(names: &[String]) -> Option<&String> {
    names.iter().find(|name| {
        *name == MARK
            || segment::number_of(name).is_some()
            || snapshot_file::number_of(name).is_some()
    })
}

/// What is wrong where a frame should stand.
fn broken(rest: Option<&Found>) -> &'static str {
    match rest {
        Some(Found::Broken { what, .. }) => what,
        _ => "no frame stands where one should",
    }
}

struct Replay<'a> {
    directory: &'a dyn Directory,
    durable: End,
    log: Log,
    /// The number of the next frame; 0 before the first segment.
    next_frame: u64,
}

impl Replay<'_> {
    /// Reads a segment: up to where the next says that it ends, or up to the end of the log.
    fn segment(
        &mut self,
        header: &SegmentHeader,
        file: &dyn DirectoryFile,
        next: Option<&SegmentHeader>,
    ) -> Result<(SegmentSummary, Option<Torn>), Error> {
        let SegmentHeader { number, salt, bytes, first_frame, .. } = *header;
        let mut frames = Frames::new(self.directory, file, number, salt, bytes, PORTION);
        let name = segment::name(number);
        let mut offset = SEGMENT_HEADER_BYTES;
        let rest = loop {
            if next.is_some_and(|next| next.previous_end <= offset) {
                break None;
            }
            let found = frames.at(offset)?;
            let Found::Frame(head, body) = found else { break Some(found) };
            if head.number != self.next_frame {
                let what = format!("frame {} stands where {} should", head.number, self.next_frame);
                return Err(Error::damaged(self.directory, &name, offset, what));
            }
            let is_first = head.number == first_frame;
            for (record, content) in records(&body) {
                let at = RecordPlace { segment: number, frame: offset, record };
                self.apply(content, at, is_first)
                    .map_err(|what| Error::damaged(self.directory, &name, offset, what))?;
            }
            self.next_frame += 1;
            offset += head.frame_bytes();
        };
        let frame_count = self.next_frame - first_frame;
        let summary = SegmentSummary { number, bytes, end: offset, frames: frame_count };
        let torn = match next {
            Some(next) => {
                self.leads_to(next, &summary, rest.as_ref())?;
                None
            }
            None => self.rest(&mut frames, rest.as_ref(), &name, offset, frame_count)?,
        };
        Ok((summary, torn))
    }

    /// Whether a segment ends where the next goes on.
    fn leads_to(
        &self,
        next: &SegmentHeader,
        segment: &SegmentSummary,
        rest: Option<&Found>,
    ) -> Result<(), Error> {
        let wrong = broken(rest);
        if next.previous_end == segment.end && next.first_frame == self.next_frame {
            return Ok(());
        }
        let what = format!(
            "{wrong}; its frames end with {}, and the next segment goes on behind byte {} with frame {}",
            self.next_frame.saturating_sub(1),
            next.previous_end,
            next.first_frame
        );
        let name = segment::name(segment.number);
        Err(Error::damaged(self.directory, &name, segment.end, what))
    }

    fn apply(
        &mut self,
        record: Option<Record>,
        at: RecordPlace,
        is_first: bool,
    ) -> Result<(), String> {
        let Some(record) = record else {
            return Err("a frame has a record that makes no sense".to_owned());
        };
        let begins = matches!(record, Record::State(_));
        if begins != is_first {
            return Err("a segment begins with what its predecessors amount to".to_owned());
        }
        if let Record::State(state) = &record
            && self.log.state.starts > 0
        {
            if **state != self.log.state {
                return Err("the segment does not go on where the one before ended".to_owned());
            }
            return Ok(());
        }
        self.log.apply(&record, at)
    }

    /// What stands behind the last whole frame of the last segment.
    fn rest(
        &self,
        frames: &mut Frames<'_>,
        rest: Option<&Found>,
        name: &str,
        offset: u64,
        whole: u64,
    ) -> Result<Option<Torn>, Error> {
        let damaged = |what: String| Err(Error::damaged(self.directory, name, offset, what));
        let what = broken(rest);
        if self.next_frame <= self.durable.frame {
            let End { segment, frame, offset } = self.durable;
            let end = format!("the log was durable up to frame {frame}, at byte {offset}");
            if name < segment::name(segment).as_str() {
                return Err(Error::missing(self.directory, &segment::name(segment), end));
            }
            return damaged(format!("{what}, and {end}"));
        }
        if whole == 0 {
            return damaged(format!("{what}, and a segment has at least one"));
        }
        let Some(end) = frames.end_of_content(offset)? else { return Ok(None) };
        let missing = self.next_frame;
        if let Some(later) = frames.search(offset, |header| header.batch_first > missing)? {
            return damaged(format!(
                "{what}, and at byte {later} is a frame that was written later"
            ));
        }
        if matches!(rest, Some(Found::Broken { may_be_torn: false, .. })) {
            return damaged(format!("{what}, and nothing of it is missing"));
        }
        let file = self.directory.describe(name);
        Ok(Some(Torn { file, offset, bytes: end - offset }))
    }
}
