//! The store in a directory on disk.

use kontiki::core::{Config, Outputs, Raft, completion, snapshot_taken};
use kontiki::storage::{LogStore, LogWriter, Received, SnapshotDraft, SnapshotStore};
use kontiki::{Input, LogIndex, Output, ServerId, Snapshot};
use kontiki_store::{
    Error, FileStore, FileWriter, Identity, Opened, Options, RealDirectory, inspect, open,
};
use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

const OWNER: Identity = Identity { cluster: 0xc0ffee, group: 1, server: ServerId(1) };

/// What a snapshot has in it.
static STATE: [u8; 300_000] = [9; 300_000];

fn open_at(path: &Path, owner: Identity) -> Result<Opened, Box<Error>> {
    let options = Options { segment_bytes: 1 << 16, cache_bytes: 1 << 12 };
    Ok(open(Arc::new(RealDirectory::at(path)?), owner, options)?)
}

/// Feeds inputs to a server, one after the other, until nothing is left to do; returns how many
/// entries it applied.
fn run(
    server: &mut Raft<FileStore>,
    store: &FileStore,
    writer: &mut FileWriter,
    inputs: impl IntoIterator<Item = Input>,
) -> Result<usize, Box<dyn std::error::Error>> {
    let (mut outputs, mut applied) = (Outputs::new(), 0);
    for input in inputs {
        let mut queue = VecDeque::from([input]);
        while let Some(input) = queue.pop_front() {
            server.step(input, &mut outputs)?;
            for output in outputs.drain() {
                writer.write(&output)?;
                queue.extend(completion(&output));
                if let Output::Apply { entries } = &output {
                    applied += entries.len();
                    queue.extend(entries.last_index().map(|index| Input::Executed { index }));
                }
                if let Output::TakeSnapshot { .. } = &output {
                    let mut draft = store.draft()?;
                    draft.write_all(&STATE)?;
                    let size = draft.finish()?;
                    if let Some((snapshot, done)) = snapshot_taken(&output, OWNER.server, size) {
                        writer.keep_snapshot(snapshot, draft)?;
                        queue.push_back(done);
                    }
                }
            }
            writer.sync()?;
            writer.tidy();
        }
    }
    Ok(applied)
}

#[test]
fn a_server_restarts_with_what_it_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let id = OWNER.server;
    for start in 1..=3 {
        let Opened { store, mut writer, torn } = open_at(directory.path(), OWNER).unwrap();
        assert_eq!((store.starts().unwrap(), torn), (start, None));
        let config = Config { incarnation: start, ..Config::new(id, [id]) };
        let mut server = Raft::start(config, store.clone()).unwrap();
        let inputs = [Input::ElectionTimeout].into_iter().chain(proposals(50));
        let applied = run(&mut server, &store, &mut writer, inputs).unwrap();
        // A no-op and fifty commands for each start.
        assert_eq!(applied as u64, 51 * start);
        assert_eq!(store.last_index().unwrap(), LogIndex(51 * start));
    }
}

/// Proposals of so many commands, one after the other.
fn proposals(count: usize) -> impl Iterator<Item = Input> {
    (0..count).map(|_| Input::Propose { commands: vec![vec![1; 3000].into()] })
}

#[test]
fn what_a_snapshot_covers_is_deleted_and_a_server_starts_from_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let id = OWNER.server;
    let config = Config { kept_entries: 10, ..Config::new(id, [id]) };
    {
        let Opened { store, mut writer, .. } = open_at(directory.path(), OWNER).unwrap();
        let mut server = Raft::start(config.clone(), store.clone()).unwrap();
        let begin = [Input::ElectionTimeout].into_iter().chain(proposals(200));
        run(&mut server, &store, &mut writer, begin).unwrap();
        let files = || std::fs::read_dir(directory.path()).unwrap().count();
        let before = files();
        let snapshot = Input::TakeSnapshot { index: LogIndex(201) };
        run(&mut server, &store, &mut writer, [snapshot]).unwrap();
        assert_eq!(store.base().unwrap().index, LogIndex(191));
        // Twenty entries fit into a segment.
        assert!(before > 12 && files() < 8, "{before} files became {}", files());
    }
    let Opened { store, mut writer, .. } = open_at(directory.path(), OWNER).unwrap();
    let mut server = Raft::start(Config { incarnation: 2, ..config }, store.clone()).unwrap();
    assert_eq!(server.snapshot().unwrap().id.last.index, LogIndex(201));
    let begin = [Input::ElectionTimeout].into_iter().chain(proposals(3));
    assert_eq!(run(&mut server, &store, &mut writer, begin).unwrap(), 4);
    assert_eq!(store.last_index().unwrap(), LogIndex(205));
    writer.sync_mark().unwrap();
    let snapshot = store.snapshot().unwrap().unwrap();
    is_received_in_pieces(&store, &snapshot).unwrap();

    // It was read, and goes when there is a newer one: a file that is deleted and open takes as much room.
    let newer = Input::TakeSnapshot { index: LogIndex(205) };
    run(&mut server, &store, &mut writer, [newer]).unwrap();
    assert_eq!(store.snapshot().unwrap().unwrap().id.last.index, LogIndex(205));
    #[cfg(target_os = "linux")]
    assert_eq!(deleted_and_open(directory.path()).unwrap(), Vec::<std::path::PathBuf>::new());
}

#[cfg(target_os = "linux")]
fn deleted_and_open(directory: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir("/proc/self/fd")? {
        // One of another test may have been closed meanwhile.
        let Ok(path) = std::fs::read_link(file?.path()) else { continue };
        if path.starts_with(directory) && path.to_string_lossy().ends_with(" (deleted)") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Sends a snapshot to another server's store, which is opened again after every chunk.
fn is_received_in_pieces(
    from: &FileStore,
    snapshot: &Snapshot,
) -> Result<(), Box<dyn std::error::Error>> {
    let other = Identity { server: ServerId(2), ..OWNER };
    let directory = tempfile::tempdir()?;
    let mut bytes = 0;
    while bytes < snapshot.size {
        let Opened { store, mut writer, .. } = open_at(directory.path(), other)?;
        let expected = Received { snapshot: snapshot.clone(), bytes };
        assert_eq!(store.receiving()?, (bytes > 0).then_some(expected));
        let data = from.chunk(snapshot.id, bytes, 70_000)?.ok_or("it is not there")?;
        let size = data.len() as u64;
        let snapshot = Box::new(snapshot.clone());
        let write = Output::WriteChunk { incarnation: 1, snapshot, offset: bytes, data };
        writer.write(&write)?;
        writer.sync()?;
        bytes += size;
    }
    let Opened { store, mut writer, .. } = open_at(directory.path(), other)?;
    let install = Output::InstallSnapshot { incarnation: 1, snapshot: Box::new(snapshot.clone()) };
    writer.write(&install)?;
    writer.sync()?;
    assert_eq!(store.snapshot()?.as_ref(), Some(snapshot));
    assert_eq!((store.receiving()?, store.base()?), (None, snapshot.id.last));
    let content = store.chunk(snapshot.id, 0, usize::MAX)?.ok_or("it is not there")?;
    assert!(*content == STATE);
    Ok(())
}

#[test]
fn a_directory_is_open_once_and_has_one_owner() {
    let directory = tempfile::tempdir().unwrap();
    let opened = open_at(directory.path(), OWNER).unwrap();
    let again = open_at(directory.path(), OWNER).err().unwrap();
    assert!(matches!(*again, Error::InUse { .. }), "{again}");
    drop(opened);
    let other = Identity { server: ServerId(2), ..OWNER };
    let refused = open_at(directory.path(), other).err().unwrap().to_string();
    let names = ["S1 of group 1 of cluster 00000000000000000000000000c0ffee", "S2 of group 1"];
    assert!(names.iter().all(|name| refused.contains(name)), "{refused}");
    open_at(directory.path(), OWNER).unwrap();
}

#[test]
fn a_directory_without_its_identity_is_not_taken_for_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    drop(open_at(directory.path(), OWNER).unwrap());
    std::fs::remove_file(directory.path().join("identity")).unwrap();
    let refused = open_at(directory.path(), OWNER).err().unwrap();
    assert!(matches!(*refused, Error::Missing { .. }), "{refused}");
}

#[test]
fn an_inspection_tells_what_is_there_and_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let none = RealDirectory::existing(directory.path().join("none")).err().unwrap();
    assert!(none.to_string().contains("/none: "), "{none}");
    let at = RealDirectory::existing(directory.path()).unwrap();
    assert_eq!(
        inspect(&at).unwrap().to_string().lines().next().unwrap(),
        "owner: none; no store was made here"
    );
    drop(open_at(directory.path(), OWNER).unwrap());
    let found = inspect(&at).unwrap();
    assert!(found.wrong.is_none() && found.owner == Some(OWNER));
    assert_eq!(found.contents.unwrap().starts, 1);
    let segment = directory.path().join("segment-0000000000000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[130] ^= 4;
    std::fs::write(&segment, bytes).unwrap();
    let found = inspect(&at).unwrap();
    let wrong = found.wrong.unwrap().to_string();
    assert!(found.contents.is_none());
    assert!(wrong.contains(&format!("{} is damaged at byte 128", segment.display())), "{wrong}");
}
