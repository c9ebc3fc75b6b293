//! The book of a server that runs: shared by all that reach others or are reached.

use crate::book::{Book, Entries, Entry, MOST_SERVERS, Stage, check_address};
use crate::error::{AddressError, StartError, TransportError};
use crate::network::{entries_frame, locked};
use crate::start::Start;
use kontiki::ServerId;
use kontiki::bytes::Bytes;
use kontiki_store::{Directory, RealDirectory};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::task;

/// The book, its file, and who is told when it changes.
pub(crate) struct Members {
    pub(crate) own: ServerId,
    directory: Arc<RealDirectory>,
    /// Addresses that were configured. They are tried where the ones in the book fail.
    configured: BTreeMap<ServerId, String>,
    /// Whether those are used whatever others say.
    fixed: bool,
    book: Mutex<Book>,
    /// Held while the book changes, so that the file never goes back.
    writing: Mutex<()>,
    /// What others are told.
    told: watch::Sender<Bytes>,
    /// Called after a change.
    changed: Box<dyn Fn() + Send + Sync>,
}

/// What a server's disk is to one that meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    /// The one that it had before, or the first one.
    Known,
    /// Another one than before.
    Other,
}

/// Reads the book of a directory, or makes it where the directory is new.
///
/// # Errors
/// If the directory is not what the server's start asks for.
pub(crate) fn open_book(
    directory: &RealDirectory,
    own: ServerId,
    start: &Start,
) -> Result<Book, StartError> {
    if let Start::Bootstrap { voters } = start
        && !voters.contains(&own)
    {
        return Err(StartError::NotAmongVoters { id: own });
    }
    let failed = |action| move |source| StartError::Io { action, source };
    // The store is locked later by whoever gets it first. Until then nobody alters what is made here.
    let lock = directory.lock().map_err(failed("lock the directory"))?;
    let _lock =
        lock.ok_or_else(|| kontiki_store::Error::InUse { directory: directory.describe("") })?;
    let names = directory.list().map_err(failed("list the directory"))?;
    let has_store = names.iter().any(|name| name == kontiki_store::IDENTITY);
    let (stage, founders) = match start {
        Start::Bootstrap { voters } => (Stage::Forming, voters.clone()),
        Start::Join => (Stage::Joining, BTreeSet::new()),
        Start::Existing => (Stage::Member, BTreeSet::new()),
    };
    let missing = || StartError::MissingDisk { directory: directory.describe("") };
    let book = match Book::read(directory)? {
        Some(book) if book.stage.takes_part() && !has_store => return Err(missing()),
        Some(book) if book.stage.takes_part() || *start == Start::Existing => return Ok(book),
        // It has not come into any cluster yet, so it may be told to do so in another way.
        Some(book) if (book.stage, &book.founders) == (stage, &founders) => return Ok(book),
        Some(book) => Book { stage, founders, ..book },
        None if has_store => {
            let file = directory.describe(crate::book::FILE);
            return Err(StartError::MembersMissing { file });
        }
        None if *start == Start::Existing => return Err(missing()),
        None => Book::new(stage, founders),
    };
    let failed =
        |source| StartError::Members { file: directory.describe(crate::book::FILE), source };
    book.write(directory).map_err(failed)?;
    Ok(book)
}

impl Members {
    /// Takes up the addresses that were configured, and the one that this server is reached at.
    pub(crate) fn new(
        own: ServerId,
        directory: Arc<RealDirectory>,
        book: Book,
        (mut configured, fixed): (BTreeMap<ServerId, String>, bool),
        advertised: &str,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Members, StartError> {
        configured.remove(&own);
        let (told, _) = watch::channel(entries_frame(&book.entries));
        let (book, writing) = (Mutex::new(book), Mutex::new(()));
        let changed = Box::new(changed);
        let members = Members { own, directory, configured, fixed, book, writing, told, changed };
        let failed = |source| StartError::Members {
            file: members.directory.describe(crate::book::FILE),
            source,
        };
        members
            .change(|book| {
                let configured = members.configured.iter().map(|(server, address)| {
                    (*server, Entry { address: address.clone(), version: 0, disk: None })
                });
                book.merge(configured.collect());
                book.set_address(own, advertised);
                if let Some(entry) = book.entries.get_mut(&own) {
                    entry.disk = Some(book.disk);
                }
            })
            .map_err(failed)?;
        Ok(members)
    }

    pub(crate) fn book(&self) -> Book {
        locked(&self.book).clone()
    }

    pub(crate) fn told(&self) -> watch::Receiver<Bytes> {
        self.told.subscribe()
    }

    /// Where a server may be reached: what is known, and then what was configured.
    pub(crate) fn addresses(&self, server: ServerId) -> Vec<String> {
        if self.fixed
            && let Some(configured) = self.configured.get(&server)
        {
            return vec![configured.clone()];
        }
        let known = locked(&self.book).entries.get(&server).map(|entry| entry.address.clone());
        let mut addresses: Vec<String> = known.into_iter().collect();
        addresses.extend(self.configured.get(&server).cloned());
        addresses.retain(|address| !address.is_empty());
        addresses.dedup();
        addresses
    }

    /// Whether a server is known, and it is another one.
    pub(crate) fn knows(&self, server: ServerId) -> bool {
        server != self.own && locked(&self.book).entries.contains_key(&server)
    }

    /// All other servers that are known.
    pub(crate) fn others(&self) -> BTreeSet<ServerId> {
        locked(&self.book).entries.keys().copied().filter(|server| *server != self.own).collect()
    }

    /// Changes the book: on disk first, and then for all to see. What the change has to say comes back.
    fn change<T>(&self, change: impl FnOnce(&mut Book) -> T) -> io::Result<T> {
        let _writing = locked(&self.writing);
        let old = self.book();
        let mut new = old.clone();
        let said = change(&mut new);
        if new == old {
            return Ok(said);
        }
        new.write(&*self.directory)?;
        let told = (new.entries != old.entries).then(|| entries_frame(&new.entries));
        *locked(&self.book) = new;
        if let Some(told) = told {
            self.told.send_replace(told);
            (self.changed)();
        }
        Ok(said)
    }

    /// As [`Members::change`], for tasks, which must not wait for a disk.
    async fn change_elsewhere<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Book) -> T + Send + 'static,
    ) -> Result<T, TransportError> {
        let members = Arc::clone(self);
        let changing = task::spawn_blocking(move || members.change(change));
        let done = changing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let action = "write the file of members";
        done.map_err(|source| TransportError::Io { action, source })
    }

    pub(crate) fn set_address(&self, server: ServerId, address: &str) -> Result<(), AddressError> {
        check_address(address)?;
        let changed = self.change(|book| book.set_address(server, address));
        changed.map_err(|source| AddressError::Write { what: source.to_string() })
    }

    /// Takes up what another server knows of all.
    pub(crate) async fn learn(self: &Arc<Self>, entries: Entries) -> Result<(), TransportError> {
        let (own, before) = (self.own, self.book());
        let mut merged = before.clone();
        // As a rule there is nothing new in it.
        merged.learn(own, entries);
        if merged == before {
            return Ok(());
        }
        self.change_elsewhere(move |book| book.learn(own, merged.entries)).await
    }

    /// Notes how far this server has come, and who formed the cluster.
    pub(crate) async fn advance(
        self: &Arc<Self>,
        stage: Stage,
        founders: Option<BTreeSet<ServerId>>,
    ) -> Result<(), TransportError> {
        self.change_elsewhere(move |book| {
            book.stage = stage;
            if let Some(founders) = founders {
                book.founders = founders;
            }
        })
        .await
    }

    /// Another server is met, with this disk. The first one is noted, durably. If there is no room to note
    /// it, the server must not be listened to: it could come back with another disk unnoticed.
    pub(crate) async fn meet(
        self: &Arc<Self>,
        server: ServerId,
        disk: u128,
    ) -> Result<Disk, TransportError> {
        if let Some(met) = met(&locked(&self.book), server, disk) {
            return Ok(met);
        }
        self.change_elsewhere(move |book| {
            // Another connection may have been faster.
            let met = met(book, server, disk);
            if met.is_some() {
                return met;
            }
            let unknown = Entry { address: String::new(), version: 0, disk: None };
            book.merge(Entries::from([(server, unknown)]));
            let entry = book.entries.get_mut(&server)?;
            entry.disk = Some(disk);
            Some(Disk::Known)
        })
        .await?
        .ok_or(TransportError::TooManyServers { most: MOST_SERVERS })
    }
}

/// What a server's disk is, if the book says it.
fn met(book: &Book, server: ServerId, disk: u128) -> Option<Disk> {
    match book.entries.get(&server).and_then(|entry| entry.disk) {
        Some(known) if known == disk => Some(Disk::Known),
        Some(_) if book.stage.takes_part() => Some(Disk::Other),
        // Nothing has been promised to this server, so nothing can be forgotten.
        _ => None,
    }
}
