//! A process that is killed while it writes loses nothing that it said was durable.

use bytes::Bytes;
use kontiki::storage::{LogStore, LogWriter};
use kontiki::{Entry, LogIndex, Output, Payload, ServerId, Term};
use kontiki_store::{Error, Identity, Opened, Options, RealDirectory};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const OWNER: Identity = Identity { cluster: 9, group: 1, server: ServerId(1) };
/// Tells the process that writes where to do so.
const DIRECTORY: &str = "KONTIKI_STORE_KILL_TEST";
const KILLS: u64 = 12;

fn open(path: &Path) -> Result<Opened, Box<dyn std::error::Error>> {
    let options = Options { segment_bytes: 1 << 16, cache_bytes: 1 << 12 };
    Ok(kontiki_store::open(Arc::new(RealDirectory::at(path)?), OWNER, options)?)
}

fn entry(index: u64) -> Entry {
    let command = Bytes::from(vec![index as u8; 1 + (index * 37 % 3000) as usize]);
    Entry { term: Term(1), index: LogIndex(index), payload: Payload::Command(command) }
}

/// What the process does that is to be killed: appends, and says what is durable. Run by the other
/// test, it ends with that.
#[test]
#[ignore = "the other test starts it, in a process of its own"]
fn write_until_killed() {
    let Some(path) = std::env::var_os(DIRECTORY) else { return };
    let Opened { store, mut writer, .. } = open(Path::new(&path)).unwrap();
    let mut next = store.last_index().unwrap().0 + 1;
    loop {
        let entries = vec![entry(next), entry(next + 1)].into();
        let (leader_term, first_index) = (Term(1), LogIndex(next));
        let write = Output::WriteEntries { incarnation: 1, leader_term, first_index, entries };
        writer.write(&write).unwrap();
        writer.sync().unwrap();
        next += 2;
        let mut out = std::io::stdout().lock();
        writeln!(out, "durable {}", next - 1).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn what_a_killed_process_said_was_durable_is_there() {
    let directory = tempfile::tempdir().unwrap();
    for kill in 0..KILLS {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program)
            .args(["--exact", "kill::write_until_killed", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let durable = lines.map_while(Result::ok).filter_map(|line| {
            line.split_once("durable ").and_then(|(_, index)| index.parse::<u64>().ok())
        });
        let mut last = 0;
        for (number, index) in durable.enumerate() {
            last = index;
            // What was said before it died is read, too.
            if number as u64 == 5 + kill * 7 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let Opened { store, .. } = open(directory.path()).unwrap();
        let found = store.last_index().unwrap().0;
        assert!(
            last > 0 && found >= last && found <= last + 2,
            "{last} was durable, {found} is there"
        );
        for index in store.base().unwrap().index.0 + 1..=found {
            let read = store.entries(LogIndex(index), LogIndex(index), 0).unwrap();
            assert_eq!(read.first(), Some(&entry(index)));
        }
    }
}

/// Damage in a real directory is told with its file, its place and what to do.
#[test]
fn damage_on_disk_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { mut writer, .. } = open(directory.path()).unwrap();
    let entries = vec![entry(1)].into();
    let (leader_term, first_index) = (Term(1), LogIndex(1));
    let write = Output::WriteEntries { incarnation: 1, leader_term, first_index, entries };
    writer.write(&write).unwrap();
    writer.close().unwrap();
    let segment = directory.path().join("segment-0000000000000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[last - 9] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let at = Arc::new(RealDirectory::at(directory.path()).unwrap());
    let refused = kontiki_store::open(at, OWNER, Options::default()).err().unwrap();
    assert!(matches!(&refused, Error::Damaged { offset, .. } if *offset > 128), "{refused}");
    let told = refused.to_string();
    for part in [segment.to_str().unwrap(), "at byte", "Copy the directory before anything else"] {
        assert!(told.contains(part), "{told}");
    }
}
