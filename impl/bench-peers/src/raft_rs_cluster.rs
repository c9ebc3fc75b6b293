//! Three servers of raft-rs.

use crate::cluster::{COMMAND_BYTES, Cluster, SERVERS};
use crate::raft_rs_store::Store;
use anyhow::{Result, bail};
use bytes::Bytes;
use raft::prelude::{Config, Entry, Message, MessageType};
use raft::{RawNode, StateRole};
use slog::{Discard, Logger, o};
use std::{array, mem};

/// How the leader is given commands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proposals {
    /// By `RawNode::propose`, one by one, each with memory of its own: the documented way.
    OneByOne,
    /// As one message with all of them, which share their memory, and without a message for every
    /// commit: the cheapest way that there is.
    Together,
}

/// The servers, 1 to 3, and what is under way to each.
pub struct RaftRsCluster<S: Store> {
    nodes: [RawNode<S>; SERVERS],
    inboxes: [Vec<Message>; SERVERS],
    /// Changes place with an inbox that is being read, so that both keep their memory.
    reading: Vec<Message>,
    proposals: Proposals,
    command: Bytes,
    /// How many reads there have been: no two may have the same context.
    reads: u64,
}

impl<S: Store> RaftRsCluster<S> {
    /// Servers with empty stores.
    pub fn new(proposals: Proposals) -> Result<Self> {
        // Nobody reads what it logs.
        let logger = Logger::root(Discard, o!());
        let start = |id: u64| {
            let config = Config {
                id,
                max_inflight_msgs: 256,
                max_size_per_msg: 1 << 20,
                batch_append: true,
                check_quorum: true,
                pre_vote: true,
                skip_bcast_commit: proposals == Proposals::Together,
                ..Config::default()
            };
            let voters = (1..=SERVERS as u64).collect();
            RawNode::new(&config, S::with_voters(voters), &logger)
        };
        Ok(RaftRsCluster {
            nodes: [start(1)?, start(2)?, start(3)?],
            inboxes: array::from_fn(|_| Vec::new()),
            reading: Vec::new(),
            proposals,
            command: Bytes::from(vec![7; COMMAND_BYTES]),
            reads: 0,
        })
    }

    /// Carries out what a server asks for. Says how many commands it applied and
    /// how many reads it answered.
    fn handle_ready(&mut self, place: usize) -> Result<u64> {
        let node = &mut self.nodes[place];
        if !node.has_ready() {
            return Ok(0);
        }
        let mut ready = node.ready();
        post(&mut self.inboxes, ready.take_messages());
        let mut done = commands(&ready.take_committed_entries());
        done += ready.take_read_states().len() as u64;
        if !ready.entries().is_empty() {
            node.mut_store().append(ready.take_entries())?;
        }
        if let Some(hard_state) = ready.hs() {
            node.mut_store().set_hard_state(hard_state.clone());
        }
        post(&mut self.inboxes, ready.take_persisted_messages());
        let mut rest = node.advance(ready);
        if let Some(index) = rest.commit_index() {
            node.mut_store().set_commit(index);
        }
        post(&mut self.inboxes, rest.take_messages());
        done += commands(&rest.take_committed_entries());
        node.advance_apply();
        Ok(done)
    }

    /// A server takes all that has come for it, then is asked once what to do.
    fn read_inbox(&mut self, place: usize) -> Result<u64> {
        mem::swap(&mut self.reading, &mut self.inboxes[place]);
        for message in self.reading.drain(..) {
            self.nodes[place].step(message)?;
        }
        self.handle_ready(place)
    }
}

/// Puts messages where their receivers find them. Server ids are 1 to 3.
fn post(inboxes: &mut [Vec<Message>; SERVERS], messages: Vec<Message>) {
    for message in messages {
        inboxes[message.to as usize - 1].push(message);
    }
}

impl<S: Store> Cluster for RaftRsCluster<S> {
    fn elect(&mut self) -> Result<()> {
        self.nodes[0].campaign()?;
        self.handle_ready(0)?;
        // Pre-votes, votes, and the first entry of the term, there and back, and its commit.
        for _ in 0..4 {
            self.round()?;
        }
        let leader = &self.nodes[0].raft;
        if leader.state != StateRole::Leader || leader.raft_log.committed == 0 {
            bail!("raft-rs elected no leader");
        }
        Ok(())
    }

    fn propose(&mut self, commands: u64) -> Result<()> {
        let leader = &mut self.nodes[0];
        match self.proposals {
            Proposals::OneByOne => {
                for _ in 0..commands {
                    leader.propose(Vec::new(), self.command.to_vec())?;
                }
            }
            Proposals::Together => {
                let entry = |_| Entry { data: self.command.clone(), ..Entry::default() };
                let entries: Vec<Entry> = (0..commands).map(entry).collect();
                let mut message = Message { from: leader.raft.id, ..Message::default() };
                message.set_msg_type(MessageType::MsgPropose);
                message.set_entries(entries.into());
                leader.step(message)?;
            }
        }
        self.handle_ready(0)?;
        Ok(())
    }

    fn read(&mut self, reads: u64) -> Result<()> {
        for _ in 0..reads {
            self.reads += 1;
            self.nodes[0].read_index(self.reads.to_be_bytes().to_vec());
        }
        self.handle_ready(0)?;
        Ok(())
    }

    fn round(&mut self) -> Result<u64> {
        for follower in 1..SERVERS {
            self.read_inbox(follower)?;
        }
        self.read_inbox(0)
    }

    fn last_indexes(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.raft.raft_log.last_index()).collect()
    }
}

fn commands(entries: &[Entry]) -> u64 {
    entries.iter().filter(|entry| !entry.data.is_empty()).count() as u64
}
