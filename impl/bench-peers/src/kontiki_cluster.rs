//! Three servers of Kontiki.

use crate::cluster::{COMMAND_BYTES, Cluster, SERVERS};
use crate::kontiki_store::PieceStore;
use anyhow::{Result, bail};
use bytes::Bytes;
use kontiki::core::{Config, Outputs, Raft};
use kontiki::{Entry, Input, Message, Output, Payload, RoleKind, ServerId};
use std::array;
use std::collections::VecDeque;

/// The servers, S1 to S3, and what is under way to each.
pub struct KontikiCluster {
    servers: [Raft<PieceStore>; SERVERS],
    inboxes: [VecDeque<(ServerId, Message)>; SERVERS],
    /// Used again for every step, as a driver would.
    outputs: Outputs,
    completions: VecDeque<Input>,
    command: Bytes,
}

impl KontikiCluster {
    /// Servers with empty stores, and with every rule and limit as it is by default.
    pub fn new() -> Result<Self> {
        let start = |place: usize| {
            let config = Config::new(id(place), (0..SERVERS).map(id));
            Raft::start(config, PieceStore::default())
        };
        Ok(KontikiCluster {
            servers: [start(0)?, start(1)?, start(2)?],
            inboxes: array::from_fn(|_| VecDeque::new()),
            outputs: Outputs::new(),
            completions: VecDeque::new(),
            command: Bytes::from(vec![7; COMMAND_BYTES]),
        })
    }

    /// One step of a server, and all that follows from it before anything else happens. Says how
    /// many commands it applied.
    fn feed(&mut self, place: usize, input: Input) -> Result<u64> {
        let server = &mut self.servers[place];
        let mut applied = 0;
        server.step(input, &mut self.outputs)?;
        loop {
            for output in self.outputs.drain() {
                match output {
                    Output::Send { to, message } => {
                        self.inboxes[place_of(to)].push_back((id(place), message));
                    }
                    Output::WriteHardState { incarnation, term, vote } => {
                        server.store_mut().write_hard_state(term, vote);
                        self.completions.push_back(Input::HardStateWritten { incarnation, term, vote });
                    }
                    Output::WriteEntries { incarnation, leader_term, first_index, entries } => {
                        if let Some(index) = entries.last_index() {
                            server.store_mut().write_entries(first_index, entries);
                            let completion = Input::EntriesWritten { incarnation, leader_term, index };
                            self.completions.push_back(completion);
                        }
                    }
                    Output::Apply { entries } => applied += commands(&entries),
                    Output::Refused { refusal } => bail!("refused: {refusal}"),
                    Output::Proposed { .. }
                    | Output::RoleChanged { .. }
                    | Output::CaughtUp { .. }
                    | Output::TooSlow { .. } => {}
                }
            }
            let Some(completion) = self.completions.pop_front() else { return Ok(applied) };
            server.step(completion, &mut self.outputs)?;
        }
    }

    /// A server takes all that has come for it, one message at a time.
    fn read_inbox(&mut self, place: usize) -> Result<u64> {
        let mut applied = 0;
        while let Some((from, message)) = self.inboxes[place].pop_front() {
            applied += self.feed(place, Input::Deliver { from, message })?;
        }
        Ok(applied)
    }
}

impl Cluster for KontikiCluster {
    fn elect(&mut self) -> Result<()> {
        self.feed(0, Input::ElectionTimeout)?;
        // Pre-votes, votes, and the first entry of the term, there and back.
        for _ in 0..3 {
            self.round()?;
        }
        let leader = &self.servers[0];
        if leader.role() != RoleKind::Leader || leader.commit_index() != leader.last_index() {
            bail!("Kontiki elected no leader");
        }
        Ok(())
    }

    fn propose(&mut self, commands: u64) -> Result<()> {
        let commands = (0..commands).map(|_| self.command.clone()).collect();
        self.feed(0, Input::Propose { commands })?;
        Ok(())
    }

    fn round(&mut self) -> Result<u64> {
        for follower in 1..SERVERS {
            self.read_inbox(follower)?;
        }
        self.read_inbox(0)
    }

    fn last_indexes(&self) -> Vec<u64> {
        self.servers.iter().map(|server| server.last_index().0).collect()
    }
}

fn commands(entries: &[Entry]) -> u64 {
    entries.iter().filter(|entry| matches!(entry.payload, Payload::Command(_))).count() as u64
}

fn id(place: usize) -> ServerId {
    ServerId(place as u64 + 1)
}

/// Where the server of an id stands; all ids are made by [`id`].
fn place_of(id: ServerId) -> usize {
    id.0 as usize - 1
}
