//! The half of a store that reads.

use crate::directory::DirectoryFile;
use crate::draft::FileDraft;
use crate::engine::Engine;
use crate::error::{Error, io};
use crate::frames::{Found, Frames, records};
use crate::identity::Identity;
use crate::places::EntryPlace;
use crate::record::Record;
use crate::segment::{self, SegmentHeader};
use crate::shared::{OpenSegment, Shared, locked};
use crate::snapshot_file::SnapshotFile;
use bytes::Bytes;
use kontiki::core::{count_within, entry_bytes};
use kontiki::storage::{HardState, LogStore, Received, SnapshotStore, StoreError, WriteError};
use kontiki::{Entries, Entry, LogIndex, LogPosition, Snapshot, SnapshotId, Term};
use std::fmt;
use std::sync::{Arc, Mutex};

/// How much of a segment is read at once.
const PORTION: u64 = 1 << 17;

/// The half of a store that reads: what is durable, and nothing else. Clones read the same store, in
/// other threads. The newest entries are in memory; others are read from disk, in portions of 128 KiB,
/// and checked.
#[derive(Clone)]
pub struct FileStore {
    shared: Arc<Shared>,
    /// Only for [`LogStore::drop_log`], when no write is under way.
    engine: Arc<Mutex<Engine>>,
    owner: Identity,
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl FileStore {
    pub(crate) fn new(shared: Arc<Shared>, engine: Arc<Mutex<Engine>>, owner: Identity) -> Self {
        FileStore { shared, engine, owner }
    }

    /// How many times the store was opened, this time included: larger than at any time before. So it
    /// serves as [`kontiki::core::Config::incarnation`].
    ///
    /// # Errors
    /// If the store has stopped.
    pub fn starts(&self) -> Result<u64, Error> {
        Ok(self.shared.read()?.log.state.starts)
    }

    /// Whose the store is.
    pub fn owner(&self) -> Identity {
        self.owner
    }

    /// Entries from `first` on, at least one and no more than stay within `max_bytes`: from memory as
    /// many as are in one piece, from disk as many as one place in the index is for.
    fn some_entries(
        &self,
        first: LogIndex,
        last: LogIndex,
        max_bytes: u64,
    ) -> Result<Entries, StoreError> {
        let (place, end, (active, written)) = {
            let durable = self.shared.read()?;
            let (base, last_index) = (durable.log.state.base, durable.log.state.last_index);
            let missing = StoreError::Missing { index: first, last_index };
            let last = last.min(last_index);
            if first <= base.index || first > last {
                return Err(missing);
            }
            if let Some(piece) = durable.cache.piece(first, last) {
                return Ok(piece.part(0..count_within(&piece, max_bytes)));
            }
            match durable.log.places.find(first) {
                Some((place, end)) => (place, end.min(last), durable.active),
                None => return Err(missing),
            }
        };
        let (header, file) = self.segment(place.segment)?;
        let size = if place.segment == active { written } else { header.bytes };
        Ok(self.read_from(place, &header, &*file, size, first..=end, max_bytes)?.into())
    }

    fn read_from(
        &self,
        place: EntryPlace,
        header: &SegmentHeader,
        file: &dyn DirectoryFile,
        size: u64,
        wanted: std::ops::RangeInclusive<LogIndex>,
        max_bytes: u64,
    ) -> Result<Vec<Entry>, Error> {
        let directory = &*self.shared.directory;
        let mut frames = Frames::new(directory, file, place.segment, header.salt, size, PORTION);
        let name = segment::name(place.segment);
        let (mut offset, mut skipped) = (place.frame, place.record);
        let (mut next, last) = (*wanted.start(), *wanted.end());
        let (mut read, mut bytes) = (Vec::new(), 0);
        loop {
            let damaged = |what: &str| Error::damaged(directory, &name, offset, what);
            let (head, body) = match frames.at(offset)? {
                Found::Frame(head, body) => (head, body),
                Found::Nothing => return Err(damaged("zeros stand where a frame should")),
                Found::Broken { what, .. } => return Err(damaged(what)),
            };
            for (at, record) in records(&body).skip_while(|(at, _)| *at < skipped) {
                let Some(record) = record else {
                    return Err(damaged("a frame has a record that makes no sense"));
                };
                let Record::Entries(entries) = record else { continue };
                debug_assert!(at >= skipped);
                for entry in entries.iter().filter(|entry| entry.index >= *wanted.start()) {
                    if entry.index != next {
                        return Err(damaged("an entry stands where another should"));
                    }
                    bytes += entry_bytes(entry);
                    if bytes > max_bytes && !read.is_empty() {
                        return Ok(read);
                    }
                    read.push(entry.clone());
                    if next == last {
                        return Ok(read);
                    }
                    next = next.next();
                }
            }
            skipped = 0;
            offset += head.frame_bytes();
        }
    }

    fn segment(&self, number: u64) -> Result<OpenSegment, Error> {
        let mut open = locked(&self.shared.segment)?;
        if let Some((header, file)) = open.as_ref().filter(|(header, _)| header.number == number) {
            return Ok((*header, Arc::clone(file)));
        }
        let name = segment::name(number);
        let directory = &*self.shared.directory;
        let file = directory.open(&name).map_err(io(directory, "open", &name))?;
        let header = SegmentHeader::read(directory, &*file, number, self.owner)?;
        *open = Some((header, Arc::clone(&file)));
        Ok((header, file))
    }

    fn own_snapshot(&self, wanted: SnapshotId) -> Result<Option<Arc<SnapshotFile>>, Error> {
        let own = self.shared.read()?.log.state.own.clone();
        let Some(own) = own.filter(|own| own.snapshot.id == wanted) else { return Ok(None) };
        let mut open = locked(&self.shared.snapshot)?;
        if let Some(file) = open.as_ref().filter(|file| file.of == own) {
            return Ok(Some(Arc::clone(file)));
        }
        match SnapshotFile::open(&*self.shared.directory, &own) {
            Ok(file) => Ok(Some(Arc::clone(open.insert(Arc::new(file))))),
            // A newer one may have taken its place in the meantime.
            Err(_) if self.shared.read()?.log.state.own.as_ref() != Some(&own) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl LogStore for FileStore {
    fn hard_state(&self) -> Result<HardState, StoreError> {
        Ok(self.shared.read()?.log.state.hard_state)
    }

    fn base(&self) -> Result<LogPosition, StoreError> {
        Ok(self.shared.read()?.log.state.base)
    }

    fn last_index(&self) -> Result<LogIndex, StoreError> {
        Ok(self.shared.read()?.log.state.last_index)
    }

    fn term(&self, index: LogIndex) -> Result<Term, StoreError> {
        let durable = self.shared.read()?;
        let state = &durable.log.state;
        let behind_base = Some(index).filter(|index| *index > state.base.index);
        let missing = StoreError::Missing { index, last_index: state.last_index };
        behind_base.and_then(|index| state.term(index)).ok_or(missing)
    }

    fn entries(
        &self,
        first: LogIndex,
        last: LogIndex,
        max_bytes: u64,
    ) -> Result<Entries, StoreError> {
        let last = last.min(self.last_index()?);
        let some = self.some_entries(first, last, max_bytes)?;
        let mut next = some.last_index().map_or(last, LogIndex::next);
        let mut bytes: u64 = some.iter().map(entry_bytes).sum();
        if next > last || bytes >= max_bytes {
            return Ok(some); // Nearly always, if they are in memory.
        }
        let mut all = some.to_vec();
        while next <= last {
            for entry in &self.some_entries(next, last, max_bytes.saturating_sub(bytes))? {
                bytes += entry_bytes(entry);
                if bytes > max_bytes {
                    return Ok(all.into());
                }
                all.push(entry.clone());
                next = entry.index.next();
            }
        }
        Ok(all.into())
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.shared.read()?.log.state.own.as_ref().map(|own| own.snapshot.clone()))
    }

    fn receiving(&self) -> Result<Option<Received>, StoreError> {
        let durable = self.shared.read()?;
        let part = durable.log.state.receiving.as_ref();
        Ok(part.map(|part| Received { snapshot: part.snapshot.clone(), bytes: part.bytes }))
    }

    fn drop_log(&mut self, base: LogPosition) -> Result<(), StoreError> {
        let mut engine = locked(&self.engine)?;
        engine.reset(base)?;
        engine.sync()?;
        Ok(())
    }

    /// They are known without reading the log.
    fn configurations(&self) -> Result<Vec<LogIndex>, StoreError> {
        Ok(self.shared.read()?.log.state.configurations.clone())
    }
}

impl SnapshotStore for FileStore {
    type Draft = FileDraft;

    fn draft(&self) -> Result<FileDraft, WriteError> {
        Ok(FileDraft::begin(Arc::clone(&self.shared))?)
    }

    fn chunk(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        max_bytes: usize,
    ) -> Result<Option<Bytes>, StoreError> {
        let Some(file) = self.own_snapshot(snapshot)? else { return Ok(None) };
        Ok(Some(file.read(&*self.shared.directory, offset, max_bytes)?))
    }
}
