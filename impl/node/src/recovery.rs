//! Recovery by hand after a majority was lost for good.
//!
//! A cluster that has lost the disks of a majority of its voters commits nothing any more, and no rule of
//! Raft brings it back. What is left is to make a *new cluster* of what one surviving server has. That may
//! lose what was acknowledged: a majority that is gone may have committed entries that the survivor never
//! received, and nobody can know. It may also bring back what was never acknowledged: entries that only the
//! survivor has.
//!
//! 1. Stop every server that is left, for good. See what each has ([`examine`]), and choose the one whose
//!    last position is highest, by term and then by index.
//! 2. [`recover`] copies what it has into a new directory, under a new cluster number. The old directory stays
//!    as it is.
//! 3. Start the server over the new directory. It is the only voter. Servers with empty directories join it.
//!
//! Servers of the old cluster cannot talk to the new one, because its number is another one.

use crate::book::{Book, Stage};
use kontiki::storage::{
    HardState, LogStore, LogWriter, SnapshotDraft, SnapshotStore, StoreError, WriteError,
};
use kontiki::{
    Configuration, Entries, Entry, LogIndex, LogPosition, Output, Payload, Snapshot, Term,
};
use kontiki_store::{FileStore, Identity, Opened, Options, RealDirectory, inspect, open};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// How much is copied at once, in bytes.
const PORTION: usize = 1 << 20;

/// What a surviving server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// Which server of which cluster it is.
    pub owner: Identity,
    /// Its term and vote.
    pub hard_state: HardState,
    /// The last entry of its log.
    pub last: LogPosition,
    /// Its snapshot.
    pub snapshot: Option<Snapshot>,
    /// The configuration in force at it.
    pub configuration: Configuration,
    /// Where that stands.
    pub configuration_position: LogPosition,
}

impl Survivor {
    /// What [`recover`] has to be told, so that nobody recovers anything but what was looked at:
    /// as `S3 at 17 of term 4 with {S1 S2 S3}`.
    pub fn confirmation(&self) -> String {
        let LogPosition { index, term } = self.last;
        format!("{} at {index} of term {term} with {}", self.owner.server, self.configuration)
    }
}

/// For people: what there is, what may be lost, and what to do.
impl fmt::Display for Survivor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "server: {}", self.owner)?;
        writeln!(f, "term: {}", self.hard_state.term)?;
        writeln!(f, "last entry: {} of term {}", self.last.index, self.last.term)?;
        match &self.snapshot {
            Some(snapshot) => writeln!(f, "snapshot: {snapshot}, {} bytes", snapshot.size)?,
            None => writeln!(f, "snapshot: none")?,
        }
        let LogPosition { index, term } = self.configuration_position;
        writeln!(f, "members: {}, from entry {index} of term {term}", self.configuration)?;
        writeln!(
            f,
            "lost, if anything: entries that were committed and that this server does not have. It \
             cannot be known whether there are any. Compare the last entries of all servers that are left, \
             and recover the highest, by term and then by index."
        )?;
        writeln!(
            f,
            "brought back, if anything: entries that this server has and that were never acknowledged."
        )?;
        write!(f, "to go on, confirm: {}", self.confirmation())
    }
}

/// Why nothing was recovered. The old directory is as it was, apart from the count of its starts.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// One of the directories cannot be opened, or is damaged.
    #[error(transparent)]
    Store(#[from] kontiki_store::Error),
    /// The directory holds no server.
    #[error("{} holds no server", directory.display())]
    NoServer {
        /// The directory.
        directory: PathBuf,
    },
    /// The server has no configuration, so it was in no cluster.
    #[error("the server has heard of no configuration: it was in no cluster")]
    NoConfiguration,
    /// Something else was confirmed than what is there.
    #[error("confirmed was `{confirmed}`, and there is `{found}`: look again at what there is")]
    OtherConfirmation {
        /// What was confirmed.
        confirmed: String,
        /// What there is.
        found: String,
    },
    /// The new cluster has the number of the old one.
    #[error("the new cluster needs another number than the old one: draw it at random")]
    SameCluster,
    /// There is something where the new directory is to be.
    #[error("{} exists: name a directory that does not", directory.display())]
    Exists {
        /// The directory.
        directory: PathBuf,
    },
    /// The file system failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is on disk cannot be read.
    #[error(transparent)]
    Read(#[from] StoreError),
    /// The copy cannot be written.
    #[error("the copy cannot be written: {0}")]
    Write(#[from] WriteError),
}

/// Says what a server has. The server must not run.
///
/// # Errors
/// If the directory holds no server, or is damaged.
pub fn examine(directory: impl AsRef<Path>) -> Result<Survivor, RecoveryError> {
    Ok(look_at(directory.as_ref())?.0)
}

fn look_at(path: &Path) -> Result<(Survivor, FileStore, Book), RecoveryError> {
    let directory = RealDirectory::existing(path)?;
    let found = inspect(&directory)?;
    if let Some(wrong) = found.wrong {
        return Err(wrong.into());
    }
    let no_server = || RecoveryError::NoServer { directory: path.to_owned() };
    let owner = found.owner.ok_or_else(no_server)?;
    let book = Book::read(&directory).ok().flatten().ok_or_else(no_server)?;
    let Opened { store, writer, .. } = open(Arc::new(directory), owner, Options::default())?;
    writer.close()?;
    let snapshot = store.snapshot()?;
    let last = last_position(&store, snapshot.as_ref())?;
    let (configuration_position, configuration) =
        configuration(&store, snapshot.as_ref(), last, &book, owner)?;
    let hard_state = store.hard_state()?;
    let survivor =
        Survivor { owner, hard_state, last, snapshot, configuration, configuration_position };
    Ok((survivor, store, book))
}

/// The end of the log, or of the snapshot if the log does not go on from it (rule S2).
fn last_position(
    store: &FileStore,
    snapshot: Option<&Snapshot>,
) -> Result<LogPosition, StoreError> {
    let (base, index) = (store.base()?, store.last_index()?);
    let term_at = |index: LogIndex| match index == base.index {
        true => Ok(base.term),
        false => store.term(index),
    };
    if let Some(Snapshot { id, .. }) = snapshot {
        let covers_all = index < id.last.index || base.index > id.last.index;
        if covers_all || term_at(id.last.index)? != id.last.term {
            return Ok(id.last);
        }
    }
    Ok(LogPosition { index, term: term_at(index)? })
}

/// The last configuration in the log, or the snapshot's, or that of the founders (rule M2).
fn configuration(
    store: &FileStore,
    snapshot: Option<&Snapshot>,
    last: LogPosition,
    book: &Book,
    owner: Identity,
) -> Result<(LogPosition, Configuration), RecoveryError> {
    let covered = snapshot.map_or(LogIndex::ZERO, |snapshot| snapshot.id.last.index);
    let in_log = store.configurations()?;
    let newest = in_log.into_iter().rfind(|index| *index > covered && *index <= last.index);
    if let Some(index) = newest {
        let entries = store.entries(index, index, 0)?;
        if let Some(Entry { payload: Payload::Configuration(found), .. }) = entries.first() {
            return Ok((LogPosition { index, term: store.term(index)? }, found.clone()));
        }
    }
    match snapshot {
        Some(snapshot) => Ok((snapshot.configuration_position, snapshot.configuration.clone())),
        None if book.founders.contains(&owner.server) => {
            let founders = Configuration::of_voters(book.founders.clone());
            Ok((LogPosition::default(), founders))
        }
        None => Err(RecoveryError::NoConfiguration),
    }
}

/// Makes a new cluster of what a server has: the server is its only voter. It is made in a new directory,
/// which has its name when all of it is durable. If this is interrupted, it can be done again.
///
/// The copy has every entry and the snapshot, except that it names no member but this server. Entries that
/// were configurations do nothing in it.
///
/// `confirmed` is what [`Survivor::confirmation`] says.
///
/// # Errors
/// [`RecoveryError`] says why there is no new cluster.
pub fn recover(
    from: impl AsRef<Path>,
    into: impl AsRef<Path>,
    cluster: u128,
    confirmed: &str,
) -> Result<Survivor, RecoveryError> {
    let (from, into) = (from.as_ref(), into.as_ref());
    if into.exists() {
        return Err(RecoveryError::Exists { directory: into.to_owned() });
    }
    let (survivor, store, book) = look_at(from)?;
    let found = survivor.confirmation();
    if confirmed != found {
        return Err(RecoveryError::OtherConfirmation { confirmed: confirmed.to_owned(), found });
    }
    if cluster == survivor.owner.cluster {
        return Err(RecoveryError::SameCluster);
    }
    let mut name = into.file_name().unwrap_or_default().to_owned();
    name.push(".recovering");
    let unfinished = into.with_file_name(name);
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| RecoveryError::Io { action, path, source }
    };
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &unfinished)(error));
        }
        _ => {}
    }
    let directory = Arc::new(RealDirectory::at(&unfinished)?);
    copy(&survivor, &store, Arc::clone(&directory), cluster)?;
    let own = survivor.owner.server;
    let mut new = Book::new(Stage::Member, BTreeSet::from([own]));
    if let Some(entry) = book.entries.get(&own) {
        new.set_address(own, &entry.address);
    }
    new.write(&*directory).map_err(failed("write the members of", &unfinished))?;
    fs::rename(&unfinished, into).map_err(failed("rename", &unfinished))?;
    let parent = into.parent().filter(|parent| *parent != Path::new(""));
    let parent = parent.unwrap_or(Path::new("."));
    let synced = fs::File::open(parent).and_then(|parent| parent.sync_all());
    synced.map_err(failed("sync", parent))?;
    Ok(survivor)
}

fn copy(
    survivor: &Survivor,
    from: &FileStore,
    directory: Arc<RealDirectory>,
    cluster: u128,
) -> Result<(), RecoveryError> {
    let owner = Identity { cluster, ..survivor.owner };
    let Opened { store: mut to, mut writer, .. } = open(directory, owner, Options::default())?;
    let HardState { term, .. } = survivor.hard_state;
    writer.write(&Output::WriteHardState { incarnation: 0, term, vote: None })?;
    let mut next = LogIndex::ZERO.next();
    if let Some(snapshot) = &survivor.snapshot {
        let mut draft = to.draft()?;
        let mut offset = 0;
        while let Some(bytes) = from.chunk(snapshot.id, offset, PORTION)?
            && !bytes.is_empty()
        {
            offset += bytes.len() as u64;
            draft.write_all(&bytes).map_err(|error| WriteError::Failed(error.to_string()))?;
        }
        draft.finish()?;
        let configuration = Configuration::of_voters([survivor.owner.server]);
        writer.keep_snapshot(Snapshot { configuration, ..snapshot.clone() }, draft)?;
        writer.sync()?;
        to.drop_log(snapshot.id.last)?;
        next = snapshot.id.last.index.next();
    }
    while next <= survivor.last.index {
        let entries = from.entries(next, survivor.last.index, PORTION as u64)?;
        let entries: Entries = entries.iter().map(without_members).collect::<Vec<_>>().into();
        let first_index = next;
        next = entries.last_index().unwrap_or(next).next();
        let leader_term = term.max(Term::ZERO.next());
        writer.write(&Output::WriteEntries {
            incarnation: 0,
            leader_term,
            first_index,
            entries,
        })?;
        writer.sync()?;
    }
    writer.sync()?;
    Ok(writer.close()?)
}

/// The old members must not be found in the new log: a server that receives it from its beginning would go
/// by them for a while.
fn without_members(entry: &Entry) -> Entry {
    let payload = match &entry.payload {
        Payload::Configuration(_) => Payload::Noop,
        other => other.clone(),
    };
    Entry { payload, ..entry.clone() }
}
