//! The store on files, and the one in memory, pass the test kit.

use kontiki::ServerId;
use kontiki_store::kit::{
    self, DirectorySubject, MemoryDirectory, Script, SharedMemorySubject, Subject,
};
use kontiki_store::{Directory, FileStore, FileWriter, Identity, Opened, Options, RealDirectory};
use proptest::prelude::*;
use std::sync::Arc;

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
    kit::check_crashes(&SMALL, &Script::random(0, 60)).unwrap();
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
fn damage_is_noticed() {
    for seed in 0..6 {
        kit::check_damage(&SMALL, &Script::random(seed, 60)).unwrap();
    }
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
        kit::check_full_disk(&SMALL, &Script::random(seed, 60)).unwrap();
    }
}

#[test]
fn a_hanging_disk_keeps_no_reader_waiting() {
    kit::check_hanging_disk(&SMALL, &Script::random(1, 60)).unwrap();
}
