//! Damage: bytes that are not what was written.

use crate::kit::crashes::record;
use crate::kit::memory_directory::{Disk, MemoryDirectory};
use crate::kit::observed::Observed;
use crate::kit::run::is_one_of;
use crate::kit::script::Script;
use crate::kit::{DirectorySubject, Failure, InMemory, Subject};
use bytes::Bytes;
use kontiki::Output;
use kontiki::storage::{LogStore, LogWriter, Received, SnapshotStore};

/// What counts as a sector here.
const SECTOR: usize = 512;

/// Does what a script says, kills the process, and damages the files one by one: a bit is flipped in
/// every byte, every sector is lost, a file is cut off in many places, and each is removed. The store
/// must refuse to open and name a file, or refuse to read what is damaged, or show everything as it
/// was.
///
/// # Errors
/// The first damage that a store does not notice and that changes what it shows.
pub fn check_damage(subject: &impl DirectorySubject, script: &Script) -> Result<(), Failure> {
    let (operations, progress) = record(subject, script)?;
    let mut disk = Disk::default();
    (0..operations.count()).for_each(|at| operations.advance(&mut disk, at));
    let expected = match progress.taken.last() {
        Some((_, store)) => Shown {
            observed: Observed::of(store)?,
            received: store.received_bytes().map(Bytes::copy_from_slice),
        },
        None => return Ok(()),
    };
    for name in disk.names() {
        let size = disk.content(&name).map_or(0, <[u8]>::len);
        let damage = |done: String, change: &dyn Fn(&mut Vec<u8>)| -> Result<(), Failure> {
            let mut damaged = disk.clone();
            damaged.content_mut(&name).into_iter().for_each(change);
            is_noticed(subject, damaged, &expected, &name, &format!("{name}: {done}"))
        };
        for at in 0..size {
            let bit = at % 8;
            damage(format!("bit {bit} flipped at {at}"), &|bytes| bytes[at] ^= 1 << bit)?;
        }
        for at in (0..size).step_by(SECTOR) {
            let end = size.min(at + SECTOR);
            damage(format!("zeros from {at}"), &|bytes| bytes[at..end].fill(0))?;
            damage(format!("cut off at {at}"), &|bytes| bytes.truncate(at))?;
            damage(format!("cut off at {}", end - 1), &|bytes| bytes.truncate(end - 1))?;
        }
        let mut damaged = disk.clone();
        damaged.remove(&name);
        is_noticed(subject, damaged, &expected, &name, &format!("{name}: removed"))?;
    }
    Ok(())
}

/// As [`check_damage`], after a loss of power that has taken all that was not synced. A store has no more
/// to go by than what was synced with its last write. So that write may be taken for one that was torn.
/// No flipped bit may cost what was durable before.
///
/// # Errors
/// The first flipped bit that a store does not notice and that costs more.
pub fn check_damage_after_power_loss(
    subject: &impl DirectorySubject,
    script: &Script,
) -> Result<(), Failure> {
    let (operations, progress) = record(subject, script)?;
    let disk = operations.synced(operations.count());
    let possible = progress.possible_without_last_sync();
    for name in disk.names() {
        let size = disk.content(&name).map_or(0, <[u8]>::len);
        for at in 0..size {
            let mut damaged = disk.clone();
            let bytes = damaged.content_mut(&name).and_then(|bytes| bytes.get_mut(at));
            bytes.into_iter().for_each(|byte| *byte ^= 1 << (at % 8));
            let done = format!("{name}: after a loss of power, a bit flipped at {at}");
            if let Some(shown) = notices(subject, damaged, &name, &done)? {
                is_one_of(&shown.observed, &possible, &done)?;
            }
        }
    }
    Ok(())
}

/// What a store shows that opens, though it is damaged.
struct Shown {
    observed: Observed,
    /// The bytes that it has of another server's snapshot.
    received: Option<Bytes>,
}

fn is_noticed(
    subject: &impl DirectorySubject,
    disk: Disk,
    expected: &Shown,
    name: &str,
    done: &str,
) -> Result<(), Failure> {
    let Some(shown) = notices(subject, disk, name, done)? else { return Ok(()) };
    shown.observed.expect(&expected.observed, done)?;
    if shown.received != expected.received {
        return Err(Failure(format!("{done}: what was received is not what it was")));
    }
    Ok(())
}

/// Opens a store that is damaged: what it shows, if it does not refuse.
fn notices(
    subject: &impl DirectorySubject,
    disk: Disk,
    name: &str,
    done: &str,
) -> Result<Option<Shown>, Failure> {
    let before = disk.clone();
    let directory = MemoryDirectory::with(disk);
    let mut in_memory = InMemory { subject, directory: directory.clone() };
    let refused = match in_memory.open() {
        Ok((store, mut writer)) => match show(&store, &mut writer) {
            Ok(shown) => return Ok(Some(shown)),
            Err(failure) => failure.to_string(),
        },
        Err(what) => {
            if directory.disk() != before {
                return Err(Failure(format!("{done}: the files were changed, though refused")));
            }
            what
        }
    };
    // The damage may show in another file: one that refers to what is lost.
    let names_a_file = before.names().iter().any(|file| refused.contains(file.as_str()));
    if names_a_file || refused.contains(name) {
        return Ok(None);
    }
    Err(Failure(format!("{done}: it is refused, and no file is named: {refused}")))
}

/// Reads everything. A snapshot that is being received is completed for that, with zeros.
fn show<S: LogStore + SnapshotStore>(
    store: &S,
    writer: &mut impl LogWriter,
) -> Result<Shown, Failure> {
    let observed = Observed::of(store)?;
    let Some(Received { snapshot, bytes }) = observed.receiving.clone() else {
        return Ok(Shown { observed, received: None });
    };
    let rest = usize::try_from(snapshot.size.saturating_sub(bytes)).unwrap_or(0);
    let (id, snapshot) = (snapshot.id, Box::new(snapshot));
    if rest > 0 {
        let (snapshot, data) = (snapshot.clone(), vec![0; rest].into());
        writer.write(&Output::WriteChunk { incarnation: 0, snapshot, offset: bytes, data })?;
    }
    writer.write(&Output::InstallSnapshot { incarnation: 0, snapshot })?;
    writer.sync()?;
    let whole = Observed::of(store)?.snapshot.filter(|(installed, _)| installed.id == id);
    let count = usize::try_from(bytes).unwrap_or(usize::MAX);
    let received = whole.map(|(_, content)| content.slice(0..count.min(content.len())));
    Ok(Shown { observed, received })
}
