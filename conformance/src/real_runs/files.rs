//! Which files belong to a recording, and in what order.

use super::RunFault;
use kontiki_specs::ServerId;
use kontiki_specs::recording::{RecordingError, RecordingReader};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Opens a file of a recording.
pub(super) fn open(path: &Path) -> Result<RecordingReader<BufReader<File>>, RecordingError> {
    let file = File::open(path).map_err(|error| RecordingError::unreadable(error).in_file(path))?;
    let buffered = BufReader::with_capacity(1 << 18, file);
    RecordingReader::begin(buffered).map_err(|error| error.in_file(path))
}

/// The files of each server in their order.
pub(super) fn sorted(files: &[PathBuf]) -> Result<BTreeMap<ServerId, Vec<PathBuf>>, Box<RunFault>> {
    let mut numbered: BTreeMap<ServerId, BTreeMap<u64, PathBuf>> = BTreeMap::new();
    for path in files {
        let reader = open(path).map_err(|error| Box::new(RunFault::Unreadable(error)))?;
        let named = reader.header().map(|header| (header.server, header.file));
        let Some((server, number)) = named.or_else(|| in_name(path)) else {
            return Err(Box::new(RunFault::NoServer { file: path.clone() }));
        };
        if let Some(other) = numbered.entry(server).or_default().insert(number, path.clone()) {
            return Err(Box::new(RunFault::SameNumber { file: path.clone(), other }));
        }
    }
    if numbered.is_empty() {
        return Err(Box::new(RunFault::Nothing));
    }
    Ok(numbered
        .into_iter()
        .map(|(server, files)| (server, files.into_values().collect()))
        .collect())
}

/// Server and number of a file as its name says them, as in `server-1-000007.jsonl`.
fn in_name(path: &Path) -> Option<(ServerId, u64)> {
    let name = path.file_name()?.to_str()?.strip_prefix("server-")?.strip_suffix(".jsonl")?;
    let (server, number) = name.split_once('-')?;
    Some((ServerId(server.parse().ok()?), number.parse().ok()?))
}

/// All files of recordings in a directory and in those within it, or the file itself.
///
/// # Errors
/// If the directory cannot be read.
pub fn find_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            files.extend(find_files(&path)?);
        } else if in_name(&path).is_some() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether that is a directory, or a file that begins as a recording does.
pub fn is_recording(path: &Path) -> bool {
    const BEGINNING: &[u8] = b"{\"format\":\"kontiki-recording\"";
    if path.is_dir() {
        return true;
    }
    let Ok(file) = File::open(path) else { return false };
    let mut found = Vec::new();
    let read = file.take(BEGINNING.len() as u64).read_to_end(&mut found);
    read.is_ok()
        && (found == BEGINNING || (in_name(path).is_some() && BEGINNING.starts_with(&found)))
}
