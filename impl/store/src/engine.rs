//! Writing: what is taken up, and how one sync makes it durable.

use crate::batch::Batch;
use crate::draft::FileDraft;
use crate::encoding::encoded_bytes;
use crate::error::{Error, io, is_full};
use crate::frame::Place;
use crate::identity::Identity;
use crate::log_state::{LogState, OwnSnapshot, ReceivedPart};
use crate::mark::{End, MARK, Mark};
use crate::options::Options;
use crate::record::{MAX_PAYLOAD, Record};
use crate::recovery::Active;
use crate::segment::{self, SEGMENT_HEADER_BYTES, SPARE, SegmentHeader, Spare};
use crate::shared::Shared;
use crate::snapshot_file::{self, Sums};
use bytes::Bytes;
use kontiki::storage::HardState;
use kontiki::{Entries, LogIndex, LogPosition, Output, Snapshot};
use std::collections::{BTreeMap, VecDeque};
use std::io as std_io;
use std::sync::Arc;

use crate::directory::{Directory, DirectoryFile};

/// How many bytes of zeros are written ahead at once, at least.
const AHEAD: u64 = 1 << 16;

pub(crate) struct Engine {
    shared: Arc<Shared>,
    owner: Identity,
    options: Options,
    /// What everything that was taken up will amount to, once it is durable.
    planned: LogState,
    /// Checksums of what will have been received of a snapshot.
    received: Sums,
    /// Taken up and not durable, in order.
    pending: Vec<Record>,
    /// What is to be done with the files of snapshots before the records are written, in order.
    work: VecDeque<Work>,
    /// Files that work was done on since the last sync.
    touched: BTreeMap<u64, Arc<dyn DirectoryFile>>,
    /// Whether files were made since the last sync.
    files_made: bool,
    /// Files of snapshots that will not be needed any more, once what was taken up is durable.
    obsolete: Vec<u64>,
    /// Files of snapshots that are not needed any more.
    deletable: Vec<u64>,
    batch: Batch,
    active: Active,
    next_frame: u64,
    mark: Mark,
    /// The numbers of all segments.
    segments: VecDeque<u64>,
    spare: Option<Spare>,
    /// Zeros that are to be written ahead into the next segment.
    owed: u64,
}

/// What is to be done with a snapshot's file.
enum Work {
    Create(u64),
    Write { file: u64, offset: u64, bytes: Bytes },
}

/// What an engine begins with.
pub(crate) struct Beginning {
    pub(crate) owner: Identity,
    pub(crate) options: Options,
    pub(crate) state: LogState,
    pub(crate) received: Sums,
    pub(crate) active: Active,
    pub(crate) next_frame: u64,
    pub(crate) mark: Mark,
    pub(crate) segments: VecDeque<u64>,
}

impl Engine {
    pub(crate) fn new(shared: Arc<Shared>, beginning: Beginning) -> Self {
        let Beginning { owner, options, state, received, active, next_frame, mark, segments } =
            beginning;
        Engine {
            shared,
            owner,
            options,
            planned: state,
            received,
            pending: Vec::new(),
            work: VecDeque::new(),
            touched: BTreeMap::new(),
            files_made: false,
            obsolete: Vec::new(),
            deletable: Vec::new(),
            batch: Batch::default(),
            active,
            next_frame,
            mark,
            segments,
            spare: None,
            owed: 0,
        }
    }

    fn directory(&self) -> Arc<dyn Directory> {
        Arc::clone(&self.shared.directory)
    }

    /// Takes up one more record.
    fn plan(&mut self, record: Record) -> Result<(), Error> {
        self.shared.goes_on()?;
        let before = self.files();
        self.planned.apply(&record).map_err(Error::Refused)?;
        self.pending.push(record);
        let after = self.files();
        self.obsolete
            .extend(before.into_iter().flatten().filter(|file| !after.contains(&Some(*file))));
        Ok(())
    }

    /// The files that what is planned needs.
    fn files(&self) -> [Option<u64>; 2] {
        let LogState { own, receiving, .. } = &self.planned;
        [own.as_ref().map(|own| own.file), receiving.as_ref().map(|part| part.file)]
    }

    /// Takes up a write, or lets go of entries; leaves other outputs alone.
    pub(crate) fn write(&mut self, output: &Output) -> Result<(), Error> {
        self.shared.goes_on()?;
        match output {
            Output::WriteHardState { term, vote, .. } => {
                self.plan(Record::HardState(HardState { term: *term, vote: *vote }))
            }
            Output::WriteEntries { first_index, entries, .. } => {
                self.write_entries(*first_index, entries)
            }
            Output::WriteChunk { snapshot, offset, data, .. } => {
                self.receive(snapshot, *offset, data)
            }
            Output::InstallSnapshot { snapshot, .. } => self.install(snapshot),
            Output::DropEntries { through } => self.let_go(*through),
            _ => Ok(()),
        }
    }

    pub(crate) fn start(&mut self) -> Result<(), Error> {
        self.plan(Record::Start(self.planned.starts.saturating_add(1)))
    }

    pub(crate) fn reset(&mut self, base: LogPosition) -> Result<(), Error> {
        self.plan(Record::Reset(base))
    }

    fn write_entries(&mut self, first: LogIndex, entries: &Entries) -> Result<(), Error> {
        if entries.first_index() != Some(first) {
            let what = format!("entries from {first} on, and they begin with another");
            return Err(Error::Refused(what));
        }
        for entry in entries {
            let bytes = encoded_bytes(entry);
            if bytes > MAX_PAYLOAD {
                let what = format!("{entry} has {bytes} bytes; at most {MAX_PAYLOAD} are written");
                return Err(Error::Refused(what));
            }
        }
        self.plan(Record::Entries(entries.clone()))
    }

    fn let_go(&mut self, through: LogIndex) -> Result<(), Error> {
        let LogState { base, last_index, .. } = self.planned;
        match self.planned.term(through) {
            Some(term) if base.index < through && through <= last_index => {
                self.plan(Record::LetGo(LogPosition { index: through, term }))
            }
            _ => Ok(()), // There is nothing of it, and nothing has to be let go of.
        }
    }

    fn receive(&mut self, snapshot: &Snapshot, offset: u64, data: &Bytes) -> Result<(), Error> {
        let (file, snapshot) = match &self.planned.receiving {
            _ if offset == 0 => (self.shared.next_file(), snapshot.clone()),
            // The first chunk named it for all.
            Some(part) if part.snapshot.id == snapshot.id && part.bytes == offset => {
                (part.file, part.snapshot.clone())
            }
            other => {
                let there = other.as_ref().map_or(0, |part| part.bytes);
                let what = format!("bytes of {snapshot} from {offset} on, and {there} are there");
                return Err(Error::Refused(what));
            }
        };
        if offset == 0 {
            self.received = Sums::default();
            self.work.push_back(Work::Create(file));
        }
        self.received.add(data);
        let (bytes, sum) = (self.received.bytes(), self.received.whole());
        self.plan(Record::Received(ReceivedPart { file, bytes, sum, snapshot }))?;
        self.work.push_back(Work::Write { file, offset, bytes: data.clone() });
        Ok(())
    }

    fn install(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        let part = match &self.planned.receiving {
            Some(part) if part.snapshot.id == snapshot.id && part.bytes == part.snapshot.size => {
                part.clone()
            }
            _ => return Err(Error::Refused(format!("{snapshot} has not been received"))),
        };
        let (footer, footer_sum) = self.received.footer();
        let own = OwnSnapshot { file: part.file, footer_sum, snapshot: part.snapshot };
        self.plan(Record::Installed(own))?;
        self.received = Sums::default();
        let (file, offset, bytes) = (part.file, part.bytes, footer.into());
        self.work.push_back(Work::Write { file, offset, bytes });
        Ok(())
    }

    pub(crate) fn keep(&mut self, snapshot: Snapshot, mut draft: FileDraft) -> Result<(), Error> {
        self.shared.goes_on()?;
        let Some((file, bytes, footer_sum)) = draft.finished() else {
            return Err(Error::Refused(format!("{snapshot} is not finished")));
        };
        if bytes != snapshot.size {
            let what = format!("{snapshot} of {} bytes, and it has {bytes}", snapshot.size);
            return Err(Error::Refused(what));
        }
        let newest =
            self.planned.own.as_ref().map_or(LogIndex::ZERO, |own| own.snapshot.id.last.index);
        if snapshot.id.last.index > newest {
            self.plan(Record::Kept(OwnSnapshot { file, footer_sum, snapshot }))?;
            draft.keep();
        }
        Ok(())
    }

    /// Makes durable all that was taken up.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.shared.goes_on()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        // What the last sync has left, if nobody has called this since.
        self.tidy();
        let done = self.sync_all();
        match &done {
            Ok(()) | Err(Error::Full { .. }) => {}
            Err(error) => self.shared.stop(error),
        }
        done
    }

    fn sync_all(&mut self) -> Result<(), Error> {
        self.do_work()?;
        self.write_batch()?;
        self.show()?;
        self.deletable.append(&mut self.obsolete);
        self.owed = self.owed.saturating_add(2 * self.batch.bytes.len() as u64);
        Ok(())
    }

    /// Does what nobody has to wait for: deletes what is not needed any more, and makes room ahead.
    pub(crate) fn tidy(&mut self) {
        if self.shared.goes_on().is_ok() {
            self.clean_up();
            self.fill_ahead();
        }
    }

    /// Bytes of snapshots are durable before the log speaks of them.
    fn do_work(&mut self) -> Result<(), Error> {
        let directory = self.directory();
        while let Some(work) = self.work.front() {
            match work {
                Work::Create(number) => {
                    let name = snapshot_file::name(*number);
                    let file = directory.create(&name).map_err(io(&*directory, "create", &name))?;
                    self.touched.insert(*number, file);
                    self.files_made = true;
                }
                Work::Write { file: number, offset, bytes } => {
                    let name = snapshot_file::name(*number);
                    let file = match self.touched.get(number) {
                        Some(file) => Arc::clone(file),
                        None => directory.open(&name).map_err(io(&*directory, "open", &name))?,
                    };
                    file.write_at(*offset, bytes).map_err(io(&*directory, "write", &name))?;
                    self.touched.insert(*number, file);
                }
            }
            self.work.pop_front();
        }
        for (number, file) in &self.touched {
            let name = snapshot_file::name(*number);
            file.sync().map_err(not_full(&*directory, "sync", &name))?;
        }
        self.touched.clear();
        if self.files_made {
            directory.sync().map_err(not_full(&*directory, "sync", ""))?;
            self.files_made = false;
        }
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), Error> {
        self.batch.clear();
        for record in &self.pending {
            self.batch.push(record);
        }
        self.batch.finish();
        let bytes = self.batch.bytes.len() as u64;
        if self.active.end.saturating_add(bytes) > self.active.header.bytes {
            self.begin_segment(bytes)?;
        }
        let directory = self.directory();
        let name = segment::name(self.active.header.number);
        let place = Place { salt: self.active.header.salt, offset: self.active.end };
        let next_frame = self.batch.seal(place, self.next_frame);
        let file = &self.active.file;
        let written = file.write_at(place.offset, &self.batch.bytes);
        written.map_err(io(&*directory, "write", &name))?;
        file.sync().map_err(not_full(&*directory, "sync", &name))?;
        self.next_frame = next_frame;
        self.active.end = place.offset + bytes;
        self.set_mark()
    }

    /// Notes that all up to the end of the log is durable. Where there is no room even to write over what is
    /// there, as some file systems may say, an older note stands for it.
    pub(crate) fn set_mark(&mut self) -> Result<(), Error> {
        let Active { header, end, .. } = &self.active;
        let frame = self.next_frame.saturating_sub(1);
        let end = End { segment: header.number, offset: *end, frame };
        match self.mark.set(end) {
            Err(error) if is_full(&error) => Ok(()),
            written => written.map_err(not_full(&*self.shared.directory, "write", MARK)),
        }
    }

    /// Makes the mark durable, which no promise depends on.
    pub(crate) fn sync_mark(&self) -> Result<(), Error> {
        self.mark.sync().map_err(not_full(&*self.shared.directory, "sync", MARK))
    }

    /// As [`Engine::sync_mark`], for those who call it by itself.
    pub(crate) fn sync_mark_or_stop(&self) -> Result<(), Error> {
        self.shared.goes_on()?;
        self.sync_mark().inspect_err(|error| self.shared.stop(error))
    }

    /// Goes on in a new segment, and leaves the rest of this one alone.
    pub(crate) fn leave_segment(&mut self) -> Result<(), Error> {
        self.begin_segment(0)
    }

    /// Goes on in a new segment, with room for a batch of so many bytes.
    fn begin_segment(&mut self, bytes: u64) -> Result<(), Error> {
        let directory = self.directory();
        let number = self.active.header.number + 1;
        // What is durable, and not what is pending.
        let state = self.shared.read()?.log.state.clone();
        let last_index = state.last_index;
        let mut first = Batch::default();
        first.push(&Record::State(Box::new(state)));
        first.finish();
        let needed = SEGMENT_HEADER_BYTES + first.bytes.len() as u64 + bytes;
        let header = SegmentHeader {
            number,
            salt: segment::draw_salt(),
            identity: self.owner,
            bytes: needed.max(self.options.segment_bytes),
            first_frame: self.next_frame,
            previous_end: self.active.end,
            last_index,
        };
        let made = make_segment(&*directory, self.spare.take(), &header, &mut first);
        let (file, end, next_frame) = match made {
            Err(error @ Error::Full { .. }) => {
                // What there is of it takes room that others may need.
                let _ = directory.remove(SPARE);
                return Err(error);
            }
            made => made?,
        };
        self.segments.push_back(number);
        self.next_frame = next_frame;
        self.active = Active { header, file, end };
        self.owed = 0;
        self.sync_mark()
    }

    /// Shows readers what has become durable.
    fn show(&mut self) -> Result<(), Error> {
        let number = self.active.header.number;
        let start = self.active.end - self.batch.bytes.len() as u64;
        let mut durable = self.shared.change()?;
        for (record, at) in self.batch.records(number, start) {
            durable.log.apply(record, at).map_err(|what| {
                Error::damaged(&*self.shared.directory, &segment::name(number), at.frame, what)
            })?;
            match record {
                Record::Entries(entries) => durable.cache.write(entries),
                Record::LetGo(through) => durable.cache.let_go(through.index),
                Record::Reset(_) | Record::Installed(_) => durable.cache.clear(),
                _ => {}
            }
        }
        durable.active = (number, self.active.end);
        self.pending.clear();
        Ok(())
    }

    /// Deletes what nothing needs any more. What cannot be deleted now goes when the store is opened.
    fn clean_up(&mut self) {
        for file in std::mem::take(&mut self.deletable) {
            let _ = self.shared.directory.remove(&snapshot_file::name(file));
            self.shared.close_snapshot(file);
        }
        let Ok(durable) = self.shared.read() else { return };
        let current = self.active.header.number;
        let needed = durable.log.places.oldest_segment().unwrap_or(current);
        drop(durable);
        while let Some(oldest) = self.segments.front().filter(|oldest| **oldest < needed) {
            if self.shared.directory.remove(&segment::name(*oldest)).is_err() {
                return; // It is tried again after the next sync.
            }
            self.shared.close_segment(*oldest);
            self.segments.pop_front();
        }
    }

    /// Fills the next segment with zeros little by little, twice as fast as this one fills up.
    fn fill_ahead(&mut self) {
        if self.owed < AHEAD {
            return;
        }
        let directory = &self.shared.directory;
        let (goal, owed) = (self.options.segment_bytes, std::mem::take(&mut self.owed));
        let filled = match self.spare.take() {
            Some(spare) => Ok(spare),
            None => Spare::begin(&**directory),
        };
        let filled = filled.and_then(|mut spare| {
            let end = spare.filled().saturating_add(owed).min(goal);
            spare.fill(end)?;
            Ok(spare)
        });
        match filled {
            Ok(spare) => self.spare = Some(spare),
            // When a segment is needed, this is tried again and said.
            Err(_) => {
                let _ = directory.remove(SPARE);
            }
        }
    }
}

/// A segment that is whole, synced, and has its name. Returns its file, where its first frame ends, and
/// the number of the next.
pub(crate) fn make_segment(
    directory: &dyn Directory,
    spare: Option<Spare>,
    header: &SegmentHeader,
    first: &mut Batch,
) -> Result<(Arc<dyn DirectoryFile>, u64, u64), Error> {
    let name = segment::name(header.number);
    let failed = || io(directory, "write", &name);
    let mut spare = spare.map_or_else(|| Spare::begin(directory), Ok).map_err(failed())?;
    spare.fill(header.bytes).map_err(failed())?;
    let place = Place { salt: header.salt, offset: SEGMENT_HEADER_BYTES };
    let next_frame = first.seal(place, header.first_frame);
    let file = spare.file;
    file.write_at(0, &header.encode()).map_err(failed())?;
    file.write_at(SEGMENT_HEADER_BYTES, &first.bytes).map_err(failed())?;
    file.sync().map_err(not_full(directory, "sync", SPARE))?;
    directory.rename(SPARE, &name).map_err(io(directory, "rename", SPARE))?;
    directory.sync().map_err(not_full(directory, "sync", &name))?;
    Ok((file, SEGMENT_HEADER_BYTES + first.bytes.len() as u64, next_frame))
}

/// As [`io`], where lack of room is a failure like any other: it is not known what was written.
fn not_full<'a>(
    directory: &'a dyn Directory,
    action: &'static str,
    name: &'a str,
) -> impl FnOnce(std_io::Error) -> Error + 'a {
    move |source| Error::Io { action, file: directory.describe(name), source }
}
