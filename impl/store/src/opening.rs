//! Opening a directory, and making a store in one that is empty.

use crate::batch::Batch;
use crate::cache::Cache;
use crate::directory::Directory;
use crate::engine::{Beginning, Engine, make_segment};
use crate::error::{Error, io};
use crate::identity::{IDENTITY, IDENTITY_NEW, Identity};
use crate::mark::Mark;
use crate::options::Options;
use crate::reader::FileStore;
use crate::record::Record;
use crate::recovery::{self, Recovered, Torn};
use crate::segment::{self, SPARE, SegmentHeader};
use crate::shared::{Durable, Shared};
use crate::snapshot_file;
use crate::writer::FileWriter;
use std::sync::{Arc, Mutex};

/// An open store.
#[derive(Debug)]
pub struct Opened {
    /// The half that reads: it goes to the core.
    pub store: FileStore,
    /// The half that writes: it goes to the thread that waits for the disk.
    pub writer: FileWriter,
    /// The rest of a write that a crash has torn. It is left where it is, and does not count: the log
    /// goes on in a new segment.
    pub torn: Option<Torn>,
}

/// Opens the store of a server. Where there is none and never was, it is made.
///
/// # Errors
/// [`Error`] says what is wrong, in which file and where, and what an operator can do. Nothing is
/// changed then, except where a store was being made.
pub fn open(
    directory: Arc<dyn Directory>,
    owner: Identity,
    options: Options,
) -> Result<Opened, Error> {
    let lock = directory.lock().map_err(io(&*directory, "lock", ""))?;
    let lock = lock.ok_or_else(|| Error::InUse { directory: directory.describe("") })?;
    let names = names(&*directory)?;
    match recovery::owner(&*directory, &names)? {
        Some(found) if found != owner => {
            let file = directory.describe(IDENTITY);
            return Err(Error::OtherOwner { file, found, expected: owner });
        }
        Some(_) => {}
        None => make(&*directory, owner, options, &names)?,
    }
    let names = self::names(&*directory)?;
    let found = recovery::read(&*directory, owner, &names, |_| {})?;
    let torn = found.torn.clone();
    sync(&*directory, &found)?;
    remove_leftovers(&*directory, &names, &found);
    let (mark, _) = Mark::open(&*directory)?;
    let Recovered { log, segments, active, next_frame, received, .. } = found;
    let state = log.state.clone();
    let segments = segments.iter().map(|segment| segment.number).collect();
    let written = (active.header.number, active.end);
    let cache = Cache::new(options.cache_bytes);
    let next_file = names.iter().filter_map(|name| snapshot_file::number_of(name)).max();
    let durable = Durable { log, cache, active: written };
    let next_file = next_file.unwrap_or(0).saturating_add(1);
    let shared = Arc::new(Shared::new(directory, lock, durable, next_file));
    let beginning =
        Beginning { owner, options, state, received, active, next_frame, mark, segments };
    let mut engine = Engine::new(Arc::clone(&shared), beginning);
    // All that was read is durable now, before the next frame says so.
    engine.set_mark()?;
    if torn.is_some() {
        engine.leave_segment()?;
    }
    engine.start()?;
    engine.sync()?;
    engine.sync_mark()?;
    let engine = Arc::new(Mutex::new(engine));
    let store = FileStore::new(shared, Arc::clone(&engine), owner);
    Ok(Opened { store, writer: FileWriter::new(engine), torn })
}

pub(crate) fn names(directory: &dyn Directory) -> Result<Vec<String>, Error> {
    directory.list().map_err(io(directory, "list", ""))
}

/// Makes a store. It is made when the file that names its owner has its name: before that, nothing can
/// have been acknowledged, so what an attempt has left is of no use.
fn make(
    directory: &dyn Directory,
    owner: Identity,
    options: Options,
    names: &[String],
) -> Result<(), Error> {
    let was_begun = names.iter().any(|name| name == IDENTITY_NEW);
    if let Some(trace) = recovery::trace_of_store(names).filter(|_| !was_begun) {
        let what = format!("there is a store in this directory, as {trace} shows");
        return Err(Error::missing(directory, IDENTITY, what));
    }
    owner.write(directory)?;
    for name in names.iter().filter(|name| segment::number_of(name).is_some()) {
        directory.remove(name).map_err(io(directory, "remove", name))?;
    }
    Mark::create(directory)?;
    let header = SegmentHeader {
        number: 1,
        salt: segment::draw_salt(),
        identity: owner,
        bytes: options.segment_bytes.max(MIN_SEGMENT),
        first_frame: 1,
        previous_end: 0,
        last_index: Default::default(),
    };
    let mut first = Batch::default();
    first.push(&Record::State(Box::default()));
    first.finish();
    make_segment(directory, None, &header, &mut first)?;
    let renamed = directory.rename(IDENTITY_NEW, IDENTITY);
    renamed.map_err(io(directory, "rename", IDENTITY_NEW))?;
    directory.sync().map_err(io(directory, "sync", ""))
}

/// Room for what every segment begins with.
const MIN_SEGMENT: u64 = 1024;

/// Makes durable all that was read.
fn sync(directory: &dyn Directory, found: &Recovered) -> Result<(), Error> {
    let name = segment::name(found.active.header.number);
    found.active.file.sync().map_err(io(directory, "sync", &name))?;
    directory.sync().map_err(io(directory, "sync", ""))
}

/// Deletes files that a crash has left and that are not needed. They do no harm if that fails.
fn remove_leftovers(directory: &dyn Directory, names: &[String], found: &Recovered) {
    let own = found.log.state.own.as_ref().map(|own| own.file);
    let receiving = found.log.state.receiving.as_ref().map(|part| part.file);
    let first = found.segments.first().map_or(0, |first| first.number);
    for name in names {
        let is_lost = snapshot_file::number_of(name)
            .is_some_and(|number| own != Some(number) && receiving != Some(number));
        let is_old = segment::number_of(name).is_some_and(|number| number < first);
        if is_lost || is_old || name == SPARE || name == IDENTITY_NEW {
            let _ = directory.remove(name);
        }
    }
}
