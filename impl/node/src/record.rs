//! The files of a recording.

use kontiki::{RecordingFiles, ServerId};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where a server records what it does, to be judged by the model: see [`kontiki::Recorder`]. It costs:
/// README.md says how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordTo {
    /// The directory of the files, which is made if there is none. Several servers may share one. The files
    /// of a server are named for it and numbered, as `server-1-000001.jsonl`, and those of earlier starts
    /// stay.
    pub directory: PathBuf,
    /// After how many bytes of steps the next file is begun. One that begins with more than that, because
    /// the log is long, gets as many bytes of steps as it begins with.
    pub most_bytes: u64,
    /// How many files of the server are kept; the oldest go first. At least 1.
    pub files: usize,
}

impl RecordTo {
    /// Files of 64 MiB in this directory, of which the last 16 are kept.
    pub fn directory(directory: impl Into<PathBuf>) -> RecordTo {
        RecordTo { directory: directory.into(), most_bytes: 64 << 20, files: 16 }
    }
}

/// The files of one server.
#[derive(Debug)]
pub(crate) struct Files {
    to: RecordTo,
    server: ServerId,
    /// The numbers of the files that there are, the oldest first.
    numbers: VecDeque<u64>,
    current: Option<File>,
    written: u64,
}

impl Files {
    pub(crate) fn open(to: RecordTo, server: ServerId) -> io::Result<Files> {
        fs::create_dir_all(&to.directory)?;
        let mut numbers = Vec::new();
        for file in fs::read_dir(&to.directory)? {
            numbers.extend(number(server, &file?.path()));
        }
        numbers.sort_unstable();
        Ok(Files { to, server, numbers: numbers.into(), current: None, written: 0 })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.to.directory.join(format!("{}{number:06}{SUFFIX}", prefix(self.server)))
    }
}

const SUFFIX: &str = ".jsonl";

fn prefix(server: ServerId) -> String {
    format!("server-{}-", server.0)
}

/// The number of a file, if it is one of the server's.
fn number(server: ServerId, path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(&prefix(server))?.strip_suffix(SUFFIX)?.parse().ok()
}

impl RecordingFiles for Files {
    fn next_file(&mut self) -> io::Result<u64> {
        let number = self.numbers.back().map_or(1, |last| last.saturating_add(1));
        self.current = Some(File::create_new(self.path(number))?);
        self.written = 0;
        self.numbers.push_back(number);
        while self.numbers.len() > self.to.files.max(1) {
            if let Some(oldest) = self.numbers.pop_front() {
                match fs::remove_file(self.path(oldest)) {
                    // Somebody else has let go of it already.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    removed => removed?,
                }
            }
        }
        Ok(number)
    }

    /// What the system has taken is there though the process be killed. It is not synced: what a machine
    /// that loses power leaves of a recording is not to be relied on.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let file = self.current.as_mut().ok_or_else(|| io::Error::other("there is no file"))?;
        file.write_all(lines)?;
        self.written = self.written.saturating_add(lines.len() as u64);
        Ok(())
    }

    fn is_full(&self, lines: usize, beginning: usize) -> bool {
        let beginning = beginning as u64;
        let steps = self.written.saturating_add(lines as u64).saturating_sub(beginning);
        steps >= self.to.most_bytes.max(beginning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let files = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_somebody_else_has_deleted_is_no_failure() {
        let directory = tempfile::tempdir().unwrap();
        let to = RecordTo { files: 1, ..RecordTo::directory(directory.path()) };
        let mut files = Files::open(to, ServerId(1)).unwrap();
        files.next_file().unwrap();
        fs::remove_file(directory.path().join("server-1-000001.jsonl")).unwrap();
        files.next_file().unwrap();
        assert_eq!(names(directory.path()), ["server-1-000002.jsonl"]);
    }

    #[test]
    fn the_newest_files_are_kept_those_of_earlier_starts_among_them() {
        let directory = tempfile::tempdir().unwrap();
        let others = "server-12-000001.jsonl";
        fs::write(directory.path().join(others), "").unwrap();
        let to = RecordTo { files: 2, ..RecordTo::directory(directory.path()) };
        for start in 0..2 {
            let mut files = Files::open(to.clone(), ServerId(1)).unwrap();
            for number in [1, 2, 3].map(|number| 3 * start + number) {
                assert_eq!(files.next_file().unwrap(), number);
                files.append(b"a step").unwrap();
                let newest: Vec<_> = (number.saturating_sub(1).max(1)..=number)
                    .map(|number| format!("server-1-{number:06}.jsonl"))
                    .chain([others.to_owned()])
                    .collect();
                assert_eq!(names(directory.path()), newest);
                let bytes = fs::read(directory.path().join(&newest[newest.len() - 2])).unwrap();
                assert_eq!(bytes, b"a step");
            }
        }
    }
}
