//! Servers without a network, whose recordings are in memory.

use kontiki_conformance::real_runs::{Agreement, RunFault, follow};
use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::kontiki::core::{Config, Outputs, Raft, chunk, completion};
use kontiki_node::kontiki::driver::Observer;
use kontiki_node::kontiki::storage::MemoryStore;
use kontiki_node::kontiki::{Input, Message, Output, Recorder, RecordingFiles, ServerId};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use tempfile::TempDir;

pub const IDS: [ServerId; 3] = [ServerId(1), ServerId(2), ServerId(3)];

/// The files of a recording.
pub type Written = Rc<RefCell<Vec<Vec<u8>>>>;

/// Files in memory, each of some steps.
#[derive(Default)]
pub struct Files(pub Written);

impl RecordingFiles for Files {
    fn next_file(&mut self) -> io::Result<u64> {
        let mut files = self.0.borrow_mut();
        files.push(Vec::new());
        Ok(files.len() as u64)
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().last_mut().unwrap().extend_from_slice(lines);
        Ok(())
    }

    fn is_full(&self, lines: usize, beginning: usize) -> bool {
        self.0.borrow().last().unwrap().len() + lines > beginning + 6000
    }
}

/// A server with a disk that is done at once.
pub struct Recorded {
    pub raft: Raft<MemoryStore>,
    pub recorder: Recorder<Files>,
    pub sent: Vec<(ServerId, Message)>,
}

/// How many bytes a chunk of a snapshot has.
const CHUNK: usize = 4;

/// The message that is sent, if that is what is put out.
fn sent(output: &Output, snapshot: Option<&Bytes>) -> Option<(ServerId, Message)> {
    match output {
        Output::Send { to, message } => Some((*to, message.clone())),
        Output::SendChunk { offset, .. } => {
            let rest = snapshot.unwrap().slice(usize::try_from(*offset).unwrap()..);
            chunk(output, rest.slice(..CHUNK.min(rest.len())))
        }
        _ => None,
    }
}

impl Recorded {
    pub fn begin(config: Config, disk: MemoryStore) -> (Recorded, Written) {
        let files = Files::default();
        let written = Rc::clone(&files.0);
        let raft = Raft::start(config, disk).unwrap();
        let recorder = Recorder::begin(&raft, files).unwrap();
        (Recorded { raft, recorder, sent: Vec::new() }, written)
    }

    pub fn take(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut outputs = Outputs::new();
            let failure = self.raft.step(input.clone(), &mut outputs).err();
            self.recorder.stepped(&self.raft, input, &outputs, failure.as_ref());
            for write in outputs.iter() {
                self.raft.store_mut().write(write);
                inputs.extend(completion(write));
                self.sent.extend(sent(write, self.raft.store().snapshot_bytes()));
            }
        }
    }
}

/// Judges the recordings of servers of one cluster.
pub fn judged_together(servers: &[(ServerId, &[Vec<u8>])]) -> Result<Agreement, Box<RunFault>> {
    let directory = TempDir::new().unwrap();
    let mut paths: Vec<PathBuf> = Vec::new();
    for (server, files) in servers {
        for (number, file) in (1..).zip(*files) {
            let name = format!("server-{}-{number:06}.jsonl", server.0);
            paths.push(directory.path().join(name));
            std::fs::write(paths.last().unwrap(), file).unwrap();
        }
    }
    follow(&paths)
}
