//! The store in a directory on disk.

use kontiki::core::{Config, Outputs, Raft, completion};
use kontiki::storage::{LogStore, LogWriter};
use kontiki::{Input, LogIndex, Output, ServerId};
use kontiki_store::{Error, Identity, Opened, Options, RealDirectory, inspect, open};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

const OWNER: Identity = Identity { cluster: 0xc0ffee, group: 1, server: ServerId(1) };

fn open_at(path: &Path, owner: Identity) -> Result<Opened, Box<Error>> {
    let options = Options { segment_bytes: 1 << 16, cache_bytes: 1 << 12 };
    Ok(open(Arc::new(RealDirectory::at(path)?), owner, options)?)
}

/// Feeds inputs to a server, one after the other, until nothing is left to do; returns how many
/// entries it applied.
fn run(
    server: &mut Raft<impl LogStore>,
    writer: &mut impl LogWriter,
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
            }
            writer.sync()?;
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
        let command = vec![start as u8; 3000];
        let proposals = (0..50).map(|_| Input::Propose { commands: vec![command.clone().into()] });
        let inputs = [Input::ElectionTimeout].into_iter().chain(proposals);
        let applied = run(&mut server, &mut writer, inputs).unwrap();
        // A no-op and fifty commands for each start.
        assert_eq!(applied as u64, 51 * start);
        assert_eq!(store.last_index().unwrap(), LogIndex(51 * start));
    }
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
