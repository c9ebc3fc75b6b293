//! What a durable write costs, beside the same bytes written and synced by hand; and what a restart
//! with a large log costs.
//!
//!     cargo run --release -p kontiki-store --example bench [DIRECTORY]
//!
//! The directory should be on the disk that is to be measured, and is used for new directories below
//! it. The two are measured in turn, one write of each, so that other load meets both.

use bytes::Bytes;
use kontiki::storage::{LogStore, LogWriter};
use kontiki::{Entries, Entry, LogIndex, Output, Payload, ServerId, Term};
use kontiki_store::{Identity, Opened, Options, RealDirectory};
use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ENTRY_BYTES: usize = 256;
const ROUNDS: usize = 4000;
const OWNER: Identity = Identity { cluster: 1, group: 1, server: ServerId(1) };
/// The log of the restart.
const LARGE_LOG: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [word, directory] if word == "restart" => return restart(Path::new(directory)),
        [] | [_] => {}
        _ => return Err("give no argument, or a directory on the disk to be measured".into()),
    }
    let below = arguments.first().map_or(".", String::as_str);
    let temporary = tempfile::tempdir_in(below)?;
    println!("| entries a sync | by hand p50 | store p50 | ratio | by hand p99 | store p99 |");
    println!("|--|--|--|--|--|--|");
    for count in [1, 16, 64] {
        let (hand, store) = measure(&temporary.path().join(format!("{count}")), count)?;
        let ratio = at(&store, 50).as_secs_f64() / at(&hand, 50).as_secs_f64();
        let us = |times: &[Duration], percent| at(times, percent).as_micros();
        println!(
            "| {count} | {} us | {} us | {ratio:.2} | {} us | {} us |",
            us(&hand, 50),
            us(&store, 50),
            us(&hand, 99),
            us(&store, 99)
        );
    }
    let large = temporary.path().join("large");
    fill(&large)?;
    for is_cold in [true, false] {
        if is_cold {
            forget(&large)?;
        }
        println!("The files are {} memory.", if is_cold { "not in" } else { "in" });
        let program = std::env::current_exe()?;
        let status = Command::new(program).arg("restart").arg(&large).status()?;
        if !status.success() {
            return Err("the restart failed".into());
        }
    }
    Ok(())
}

/// The time that so many percent of the writes stay below. The times are in order.
fn at(times: &[Duration], percent: usize) -> Duration {
    times.get(times.len() * percent / 100).copied().unwrap_or_default()
}

/// How long writes of so many entries take, by hand and in the store.
fn measure(path: &Path, count: u64) -> Result<(Vec<Duration>, Vec<Duration>)> {
    fs::create_dir(path)?;
    let file = File::create(path.join("by-hand"))?;
    let bytes = vec![7; ENTRY_BYTES * usize::try_from(count)?];
    let size = bytes.len() * ROUNDS;
    for offset in (0..size).step_by(1 << 20) {
        file.write_all_at(&[0; 1 << 20], offset as u64)?;
    }
    file.sync_all()?;
    let directory = Arc::new(RealDirectory::at(path.join("store"))?);
    let Opened { mut writer, .. } = kontiki_store::open(directory, OWNER, Options::default())?;
    let (mut hand, mut store) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let begun = Instant::now();
        file.write_all_at(&bytes, (round * bytes.len()) as u64)?;
        file.sync_data()?;
        hand.push(begun.elapsed());
        let write = entries(round as u64 * count + 1, count);
        let begun = Instant::now();
        writer.write(&write)?;
        writer.sync()?;
        store.push(begun.elapsed());
    }
    hand.sort_unstable();
    store.sort_unstable();
    Ok((hand, store))
}

fn entries(first: u64, count: u64) -> Output {
    let entry = |index| Entry {
        term: Term(1),
        index: LogIndex(index),
        payload: Payload::Command(Bytes::from(vec![index as u8; ENTRY_BYTES])),
    };
    let entries: Entries = (first..first + count).map(entry).collect();
    let (leader_term, first_index) = (Term(1), LogIndex(first));
    Output::WriteEntries { incarnation: 1, leader_term, first_index, entries }
}

fn fill(path: &Path) -> Result<()> {
    let directory = Arc::new(RealDirectory::at(path)?);
    let Opened { mut writer, .. } = kontiki_store::open(directory, OWNER, Options::default())?;
    let count = 1000;
    let begun = Instant::now();
    let writes = LARGE_LOG / (ENTRY_BYTES as u64 * count);
    for write in 0..writes {
        writer.write(&entries(write * count + 1, count))?;
        writer.sync()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "\nA log of {} entries of {ENTRY_BYTES} bytes was written in {seconds:.1} s, {count} a sync.",
        writes * count
    );
    Ok(())
}

/// Has the system forget what it holds of the files, so that they are read from the disk.
fn forget(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path)? {
        let file = File::open(entry?.path())?;
        file.sync_all()?;
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

/// In a process of its own, so that its memory can be told.
fn restart(path: &Path) -> Result<()> {
    let begun = Instant::now();
    let directory = Arc::new(RealDirectory::at(path)?);
    let Opened { store, .. } = kontiki_store::open(directory, OWNER, Options::default())?;
    let opened = begun.elapsed();
    let last = store.last_index()?;
    let begun = Instant::now();
    let read = store.entries(LogIndex(last.0 / 2), last, MIB)?;
    println!(
        "It was opened again in {:.2} s with {} entries, and the process took {} MiB at most. \
         {} entries of its middle were read in {} us.",
        opened.as_secs_f64(),
        last,
        peak_memory()? / MIB,
        read.len(),
        begun.elapsed().as_micros()
    );
    Ok(())
}

/// The most memory that the process has had, in bytes.
fn peak_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes
        .ok_or("this system does not say how much memory was used")?
        .trim()
        .parse::<u64>()?
        << 10)
}
