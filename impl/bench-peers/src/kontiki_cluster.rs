//! Three servers of Kontiki.

use crate::cluster::{COMMAND_BYTES, Cluster, SERVERS};
use crate::kontiki_store::PieceStore;
use anyhow::{Result, bail};
use bytes::Bytes;
use kontiki::core::{Config, Outputs, Raft};
use kontiki::{Entry, Input, Output, Payload, ReadId, RoleKind, ServerId};
use std::{array, mem};

/// The servers, S1 to S3, and what is under way to each.
pub struct KontikiCluster {
    servers: [Raft<PieceStore>; SERVERS],
    inboxes: [Vec<Input>; SERVERS],
    /// Changes place with an inbox that is being read, so that both keep their memory.
    reading: Vec<Input>,
    /// What the steps of a server ask for. Used again and again, as a driver would.
    outputs: Outputs,
    /// Changes place with the outputs that are being carried out.
    carrying_out: Outputs,
    command: Bytes,
    /// How many reads there have been.
    reads: u64,
    /// Reads that were answered at once.
    answered: u64,
}

impl KontikiCluster {
    /// Servers with empty stores, and with every rule and limit as it is by default; with leases or
    /// without, which is the default.
    pub fn new(leases: bool) -> Result<Self> {
        let start = |place: usize| {
            let mut config = Config::new(id(place), (0..SERVERS).map(id));
            config.leases = leases;
            Raft::start(config, PieceStore::default())
        };
        Ok(KontikiCluster {
            servers: [start(0)?, start(1)?, start(2)?],
            inboxes: array::from_fn(|_| Vec::new()),
            reading: Vec::new(),
            outputs: Outputs::new(),
            carrying_out: Outputs::new(),
            command: Bytes::from(vec![7; COMMAND_BYTES]),
            reads: 0,
            answered: 0,
        })
    }

    /// Gives a server one input and carries out what it asks for. Says how many commands it applied and
    /// how many reads it answered.
    fn feed(&mut self, place: usize, input: Input) -> Result<u64> {
        self.servers[place].step(input, &mut self.outputs)?;
        self.carry_out(place)
    }

    /// A server takes all that has come for it, then what it asks for is carried out.
    fn read_inbox(&mut self, place: usize) -> Result<u64> {
        mem::swap(&mut self.reading, &mut self.inboxes[place]);
        for message in self.reading.drain(..) {
            self.servers[place].step(message, &mut self.outputs)?;
        }
        self.carry_out(place)
    }

    /// Carries out what a server asks for, and what it asks for in consequence. Says how many
    /// commands it applied and how many reads it answered.
    fn carry_out(&mut self, place: usize) -> Result<u64> {
        let (server, from) = (&mut self.servers[place], id(place));
        let mut done = 0;
        while !self.outputs.is_empty() {
            let mut executed = None;
            mem::swap(&mut self.outputs, &mut self.carrying_out);
            for output in self.carrying_out.drain() {
                match output {
                    Output::Send { to, message } => {
                        self.inboxes[place_of(to)].push(Input::Deliver { from, message });
                    }
                    Output::WriteHardState { incarnation, term, vote } => {
                        server.store_mut().write_hard_state(term, vote);
                        let written = Input::HardStateWritten { incarnation, term, vote };
                        server.step(written, &mut self.outputs)?;
                    }
                    Output::WriteEntries { incarnation, leader_term, first_index, entries } => {
                        let index = entries.last_index().unwrap_or_default();
                        server.store_mut().write_entries(first_index, entries);
                        let written = Input::EntriesWritten { incarnation, leader_term, index };
                        server.step(written, &mut self.outputs)?;
                    }
                    Output::Apply { entries } => {
                        done += commands(&entries);
                        executed = entries.last_index();
                    }
                    Output::ReadReady { .. } => done += 1,
                    Output::ReadRefused { refusal, .. } => bail!("refused: {refusal}"),
                    Output::Refused { refusal } => bail!("refused: {refusal}"),
                    // What clients, operators and timers are told. There are none here.
                    _ => {}
                }
            }
            if let Some(index) = executed {
                server.step(Input::Executed { index }, &mut self.outputs)?;
            }
        }
        Ok(done)
    }
}

impl Cluster for KontikiCluster {
    fn elect(&mut self) -> Result<()> {
        for server in 0..SERVERS {
            self.feed(server, Input::LeaderContactExpired)?; // Who starts with leases is in contact.
        }
        self.feed(0, Input::ElectionTimeout)?;
        // Pre-votes, votes, and the first entry of the term, there and back.
        for _ in 0..3 {
            self.round()?;
        }
        let leader = &self.servers[0];
        if leader.role() != RoleKind::Leader || leader.commit_index() != leader.last_index() {
            bail!("Kontiki elected no leader");
        }
        // Where there are leases, this begins one. Its time is never up here.
        self.feed(0, Input::HeartbeatTimeout)?;
        self.round()?;
        Ok(())
    }

    fn propose(&mut self, commands: u64) -> Result<()> {
        let commands = (0..commands).map(|_| self.command.clone()).collect();
        self.feed(0, Input::Propose { commands })?;
        Ok(())
    }

    fn read(&mut self, reads: u64) -> Result<()> {
        for _ in 0..reads {
            self.reads += 1;
            let read = Input::Read { read: ReadId(self.reads) };
            self.servers[0].step(read, &mut self.outputs)?;
        }
        self.answered += self.carry_out(0)?;
        Ok(())
    }

    fn round(&mut self) -> Result<u64> {
        for follower in 1..SERVERS {
            self.read_inbox(follower)?;
        }
        Ok(self.read_inbox(0)? + mem::take(&mut self.answered))
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
