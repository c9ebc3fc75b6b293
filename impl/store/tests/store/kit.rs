//! The store on files, and the one in memory, pass the test kit.

use bytes::Bytes;
use kontiki::storage::{LogStore, LogWriter, StoreError};
use kontiki::{
    Configuration, Entries, Entry, LogIndex, LogPosition, Output, Payload, ServerId, Snapshot,
    SnapshotId, Term,
};
use kontiki_store::kit::{
    self, DirectorySubject, MemoryDirectory, Script, SharedMemorySubject, Step, Subject,
};
use kontiki_store::{Directory, FileStore, FileWriter, Identity, Opened, Options, RealDirectory};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const OWNER: Identity = Identity { cluster: 7, group: 1, server: ServerId(1) };

/// The store on files, with small segments and next to nothing in memory.
struct Files(Options);

const SMALL: Files = Files(Options { segment_bytes: 3000, cache_bytes: 200 });

impl DirectorySubject for Files {
    type Store = FileStore;
    type Writer = FileWriter;

    fn open(&self, directory: Arc<dyn Directory>) -> Result<(FileStore, FileWriter), String> {
        let opened = kontiki_store::open(directory, OWNER, self.0);
        let Opened { store, writer, .. } = opened.map_err(|error| error.to_string())?;
        Ok((store, writer))
    }
}

/// The store on files, in one directory.
struct FilesIn(Options, Arc<dyn Directory>);

impl Subject for FilesIn {
    type Store = FileStore;
    type Writer = FileWriter;

    fn open(&mut self) -> Result<(FileStore, FileWriter), String> {
        Files(self.0).open(Arc::clone(&self.1))
    }
}

fn in_memory() -> FilesIn {
    FilesIn(SMALL.0, Arc::new(MemoryDirectory::new()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn files_keep_the_contract(seed: u64, writes in 1..200_usize) {
        kit::check_contract(&mut in_memory(), &Script::random(seed, writes)).unwrap();
    }

    #[test]
    fn one_crash_after_the_other_is_survived(seed: u64) {
        kit::check_crash_after_crash(&SMALL, seed, 10).unwrap();
    }

    #[test]
    fn memory_keeps_the_contract(seed: u64, writes in 1..200_usize) {
        let mut subject = SharedMemorySubject::default();
        kit::check_contract(&mut subject, &Script::random(seed, writes)).unwrap();
    }
}

#[test]
fn real_files_keep_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let at = Arc::new(RealDirectory::at(directory.path().join("s1")).unwrap());
    kit::check_contract(&mut FilesIn(SMALL.0, at), &Script::random(1, 300)).unwrap();
}

#[test]
fn a_large_log_is_kept() {
    kit::check_large_log(&mut SharedMemorySubject::default(), 20_000, 100).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let at = Arc::new(RealDirectory::at(directory.path()).unwrap());
    let options = Options { segment_bytes: 1 << 20, cache_bytes: 1 << 16 };
    kit::check_large_log(&mut FilesIn(options, at), 40_000, 500).unwrap();
    // Entries that are larger than a segment.
    kit::check_large_log(&mut in_memory(), 300, 5000).unwrap();
}

#[test]
fn a_kill_anywhere_is_survived() {
    kit::check_crashes(&SMALL, &Script::random(0, 40)).unwrap();
}

#[test]
fn a_loss_of_power_anywhere_is_survived() {
    for seed in 0..20 {
        kit::check_power_loss(&SMALL, &Script::random(seed, 60), 5).unwrap();
    }
}

#[test]
fn a_kill_while_a_torn_log_is_opened_is_survived() {
    kit::check_crash_while_opening(&SMALL, &Script::random(2, 60), 40).unwrap();
}

#[test]
fn a_kill_and_then_a_loss_of_power_lose_nothing() {
    for seed in 0..4 {
        kit::check_power_loss_after_kill(&SMALL, &Script::random(seed, 60), 100).unwrap();
    }
}

#[test]
fn damage_is_noticed() {
    for seed in 0..6 {
        let mut script = Script::random(seed, 60);
        script.steps.extend([Step::Write(chunk()), Step::Sync]);
        kit::check_damage(&SMALL, &script).unwrap();
    }
}

#[test]
fn damage_is_noticed_after_a_loss_of_power() {
    for seed in 0..12 {
        kit::check_damage_after_power_loss(&SMALL, &Script::random(seed, 60)).unwrap();
    }
}

/// A write of so many entries, each of so many bytes that are all the same.
fn entries(first: u64, count: u64, bytes: usize, byte: u8) -> Output {
    let entry = |index| Entry {
        term: Term(1),
        index: LogIndex(index),
        payload: Payload::Command(Bytes::from(vec![byte; bytes])),
    };
    let entries: Entries = (first..first + count).map(entry).collect();
    let (leader_term, first_index) = (Term(1), LogIndex(first));
    Output::WriteEntries { incarnation: 0, leader_term, first_index, entries }
}

/// A part of another server's snapshot, of more than any other covers.
fn chunk() -> Output {
    let last = LogPosition { index: LogIndex(10_000), term: Term(10_000) };
    let snapshot = Box::new(Snapshot {
        id: SnapshotId { last, taken_by: ServerId(2) },
        configuration: Configuration::of_voters([ServerId(1), ServerId(2)]),
        configuration_position: LogPosition::default(),
        size: 1000,
    });
    let data = Bytes::from(vec![5; 700]);
    Output::WriteChunk { incarnation: 0, snapshot, offset: 0, data }
}

/// Writes six entries of this byte in three syncs, loses power and with it the mark, and flips a bit in
/// every byte in turn. Returns the last indexes that the store shows then, where it opens.
fn opened_after_flips(byte: u8) -> Result<BTreeSet<LogIndex>, Box<dyn std::error::Error>> {
    let files = Files(Options { segment_bytes: 10_000, cache_bytes: 0 });
    let directory = MemoryDirectory::new();
    let (store, mut writer) = files.open(Arc::new(directory.clone()))?;
    for first in [1, 3, 5] {
        writer.write(&entries(first, 2, 1000, byte))?;
        writer.sync()?;
    }
    let operations = directory.history();
    let disk = operations.synced(operations.count());
    drop((store, writer));
    let mut opened = BTreeSet::new();
    for name in disk.names() {
        for at in 0..disk.content(&name).unwrap_or_default().len() {
            let mut flipped = disk.clone();
            if let Some(content) = flipped.content_mut(&name) {
                content[at] ^= 1 << (at % 8);
            }
            if let Ok((store, _writer)) = files.open(Arc::new(MemoryDirectory::with(flipped))) {
                opened.insert(store.last_index()?);
            }
        }
    }
    Ok(opened)
}

/// Nothing follows the last write. It is of bytes that are not zero, so even there every flipped bit is
/// noticed. One in the mark or behind the end does no harm.
#[test]
fn a_flipped_bit_in_the_last_write_is_noticed_after_a_loss_of_power() {
    assert_eq!(opened_after_flips(7).unwrap(), BTreeSet::from([LogIndex(6)]));
}

/// Where a write has whole sectors of zeros, a flipped bit may look like the end of a torn write. That
/// is believed of the last write only.
#[test]
fn zeros_are_not_taken_for_a_torn_end_where_more_follows() {
    let expected = BTreeSet::from([LogIndex(4), LogIndex(6)]);
    assert_eq!(opened_after_flips(0).unwrap(), expected);
}

/// A batch of several frames, the first of which can be lost while later ones are there.
#[test]
fn a_large_batch_is_torn_anywhere() {
    let batches = [(1, 6, 60_000), (7, 6, 60_000), (10, 3, 100_000)];
    let steps = batches.into_iter().flat_map(|(first, count, bytes)| {
        [Step::Write(entries(first, count, bytes, 7)), Step::Sync]
    });
    kit::check_power_loss(&SMALL, &Script { steps: steps.collect() }, 12).unwrap();
}

/// A reader in another thread sees every entry that the log says it has, while segments are begun and
/// deleted.
#[test]
fn a_log_is_read_while_it_is_written() {
    const COUNT: u64 = 3000;
    let (store, mut writer) = SMALL.open(Arc::new(MemoryDirectory::new())).unwrap();
    let reads = Arc::new(AtomicU64::new(0));
    let reading = std::thread::spawn({
        let (store, reads) = (store.clone(), Arc::clone(&reads));
        move || -> Result<(), StoreError> {
            while store.last_index()? < LogIndex(COUNT) {
                let (base, last) = (store.base()?.index, store.last_index()?);
                let read = reads.fetch_add(1, Ordering::Relaxed);
                let index = LogIndex(base.0 + 1 + read % last.0.saturating_sub(base.0).max(1));
                match store.entries(index, last, 500) {
                    Ok(entries) => assert_eq!(entries.first_index(), Some(index)),
                    // It was let go of in the meantime, or there was none.
                    Err(_) if store.base()?.index >= index || last == base => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
    });
    for index in 1..=COUNT {
        writer.write(&entries(index, 1, 100, 7)).unwrap();
        writer.sync().unwrap();
        if index % 50 == 0 {
            let before = reads.load(Ordering::Relaxed);
            while reads.load(Ordering::Relaxed) < before + 10 && !reading.is_finished() {
                std::thread::yield_now();
            }
            writer.write(&Output::DropEntries { through: LogIndex(index - 40) }).unwrap();
        }
    }
    reading.join().unwrap().unwrap();
}

#[test]
fn a_failing_disk_stops_the_store() {
    for seed in 0..10 {
        kit::check_failing_disk(&SMALL, &Script::random(seed, 60)).unwrap();
    }
}

#[test]
fn a_full_disk_is_survived() {
    for seed in 0..20 {
        let waited = kit::check_full_disk(&SMALL, &Script::random(seed, 60)).unwrap();
        assert!(waited > 0, "it stopped each time");
    }
}

#[test]
fn a_hanging_disk_keeps_no_reader_waiting() {
    kit::check_hanging_disk(&SMALL, &Script::random(1, 60)).unwrap();
}
