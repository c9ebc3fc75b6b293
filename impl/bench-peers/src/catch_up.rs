//! What it takes to catch up a follower by snapshot, beside a plain copy of the same bytes.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use kontiki::core::{Config, Outputs, Raft, chunk, completion, snapshot_taken};
use kontiki::storage::MemoryStore;
use kontiki::{Input, LogIndex, Message, Output, ServerId};
use std::collections::VecDeque;
use std::fs;
use std::time::{Duration, Instant};

/// How many bytes one message carries of a snapshot.
const CHUNK: usize = 1 << 20;

/// What was measured.
pub struct CatchUp {
    /// A plain copy, chunk by chunk.
    pub copied: Duration,
    /// From the first heartbeat that reaches the follower until it has the snapshot installed and has
    /// acknowledged it.
    pub caught_up: Duration,
    /// How much memory was in use at most, beyond the state of leader and follower and what was in use
    /// before, in bytes.
    pub beyond: u64,
}

/// Three servers, the last of which hears nothing until the leader has let go of its log.
struct Servers {
    servers: [Raft<MemoryStore>; 3],
    messages: VecDeque<(usize, Input)>,
    /// Whether the last server hears anything.
    whole: bool,
}

impl CatchUp {
    /// Measures a state of this many bytes.
    pub fn of(size: usize) -> Result<CatchUp> {
        let state = Bytes::from(vec![7_u8; size]);
        let mut servers = Servers::start()?;
        servers.feed(0, Input::ElectionTimeout)?;
        servers.feed(0, Input::Propose { commands: vec![Bytes::from_static(b"command")] })?;
        servers.feed(0, Input::HeartbeatTimeout)?;
        servers.take_snapshot(&state)?;
        servers.whole = true;
        let (before, start) = (in_use("VmRSS:")?, Instant::now());
        servers.feed(0, Input::HeartbeatTimeout)?;
        let caught_up = start.elapsed();
        let follower = &servers.servers[2];
        let installed = follower.store().snapshot_bytes().is_some_and(|bytes| *bytes == state);
        if !installed || follower.snapshot() != servers.servers[0].snapshot() {
            bail!("the follower has not installed the snapshot");
        }
        let beyond = in_use("VmHWM:")?.saturating_sub(before + size as u64);
        drop(servers);
        Ok(CatchUp { copied: plain_copy(&state), caught_up, beyond })
    }
}

impl Servers {
    fn start() -> Result<Servers> {
        let start = |id| {
            let mut config = Config::new(ServerId(id), (1..=3).map(ServerId));
            config.kept_entries = 0;
            config.pre_vote = false;
            Raft::start(config, MemoryStore::new())
        };
        let servers = [start(1)?, start(2)?, start(3)?];
        Ok(Servers { servers, messages: VecDeque::new(), whole: false })
    }

    /// Gives a server an input, and lets everything happen that comes of it.
    fn feed(&mut self, place: usize, input: Input) -> Result<()> {
        self.messages.push_back((place, input));
        while let Some((place, input)) = self.messages.pop_front() {
            if self.whole || place != 2 {
                self.step(place, input)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, place: usize, input: Input) -> Result<()> {
        let mut outputs = Outputs::new();
        self.servers[place].step(input, &mut outputs)?;
        for output in outputs.drain() {
            self.servers[place].store_mut().write(&output);
            if let Some(completion) = completion(&output) {
                self.messages.push_back((place, completion));
            }
            if let Some((to, message)) = self.message(place, output) {
                let from = ServerId(place as u64 + 1);
                self.messages.push_back((to.0 as usize - 1, Input::Deliver { from, message }));
            }
        }
        Ok(())
    }

    /// The message that an output asks for. A chunk shares the memory of the leader's state.
    fn message(&self, place: usize, output: Output) -> Option<(ServerId, Message)> {
        match &output {
            Output::SendChunk { offset, .. } => {
                let state = self.servers[place].store().snapshot_bytes()?;
                let from = usize::try_from(*offset).ok()?;
                let data = state.slice(from..state.len().min(from + CHUNK));
                chunk(&output, data)
            }
            Output::Send { .. } => match output {
                Output::Send { to, message } => Some((to, message)),
                _ => None,
            },
            _ => None,
        }
    }

    fn take_snapshot(&mut self, state: &Bytes) -> Result<()> {
        let leader = &mut self.servers[0];
        let index: LogIndex = leader.applied_index();
        let mut outputs = Outputs::new();
        leader.step(Input::Executed { index }, &mut outputs)?;
        leader.step(Input::TakeSnapshot { index }, &mut outputs)?;
        let asked = outputs.iter().find(|output| matches!(output, Output::TakeSnapshot { .. }));
        let asked = asked.context("the leader takes no snapshot")?;
        let taken = snapshot_taken(asked, leader.id(), state.len() as u64);
        let (snapshot, taken) = taken.context("the leader takes no snapshot")?;
        leader.store_mut().keep_snapshot(snapshot, state.clone());
        self.feed(0, taken)
    }
}

fn plain_copy(state: &Bytes) -> Duration {
    let start = Instant::now();
    let mut copy: Vec<u8> = Vec::new();
    for chunk in state.chunks(CHUNK) {
        copy.extend_from_slice(chunk);
    }
    let time = start.elapsed();
    assert_eq!(copy.len(), state.len());
    time
}

/// What the kernel says of this process's memory, in bytes.
fn in_use(what: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: u64 = kib.with_context(|| format!("/proc/self/status has no {what}"))?.parse()?;
    Ok(kib << 10)
}
