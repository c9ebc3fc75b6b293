//! The state machine: keys with values and an expiry by log time.
//!
//! Servers have clocks that differ, and a state machine may look at none. So the leader puts its clock's time
//! into every entry, and the state machine goes by the largest time that it has seen: the *log time*. It never
//! goes back, and is the same at all servers when they have executed the same entries. If nothing is written,
//! it stands still. [`crate::server`] therefore has the leader write an empty entry when the time of a key has
//! come.

mod answers;
mod execute;
mod keyspace;
mod servers;
mod snapshot;

pub use answers::EntryAnswers;
pub(crate) use execute::integer;
pub use servers::{KnownServer, KnownServers};

use crate::operation::{Answer, Failure, Operation, decode_all, decode_entry};
use keyspace::Keyspace;
use kontiki_node::kontiki::LogIndex;
use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::{SnapshotImage, StateMachine, WithSessions};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What the servers replicate: the state machine, with sessions for clients that want each command executed
/// once.
pub type Replicated = WithSessions<Machine>;

/// So many servers may say where they are. Whoever asks for a command can say so for any number of servers, and
/// nothing takes one out again.
pub(crate) const MOST_SERVERS: usize = 1024;

/// The keys, and where the servers are.
#[derive(Debug, Default)]
pub struct Machine {
    keys: Keyspace,
    /// Why it cannot go on.
    failure: Option<String>,
    servers: KnownServers,
    outside: Arc<Outside>,
}

/// What others may look at without asking the state machine.
#[derive(Debug)]
pub struct Outside {
    next_deadline: AtomicU64,
    count: AtomicU64,
    servers: Mutex<KnownServers>,
}

impl Default for Outside {
    fn default() -> Self {
        let next_deadline = AtomicU64::new(u64::MAX);
        Outside { next_deadline, count: AtomicU64::new(0), servers: Mutex::default() }
    }
}

impl Outside {
    /// When the next key expires, in milliseconds since 1970. The largest number if none does.
    pub fn next_deadline(&self) -> u64 {
        self.next_deadline.load(Ordering::Relaxed)
    }

    /// How many keys there are.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Where the servers are that have told so.
    pub fn servers(&self) -> KnownServers {
        // What is behind the lock is whole at every moment, so a panic of another thread does no harm.
        Arc::clone(&self.servers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Operations that are reads, and the clock of the server that reads.
#[derive(Clone, Debug)]
pub struct Query {
    /// The operations, encoded one behind the other.
    pub operations: Vec<u8>,
    /// In milliseconds since 1970. It matters only to how long a key stays, never to whether it is there.
    pub time: u64,
}

impl Machine {
    /// What others may look at.
    pub fn outside(&self) -> Arc<Outside> {
        Arc::clone(&self.outside)
    }

    fn write(&mut self, operation: &Operation<'_>) -> Answer {
        let Operation::Introduce { server, clients, http } = *operation else {
            return execute::write(&mut self.keys, operation);
        };
        if self.servers.len() >= MOST_SERVERS && !self.servers.contains_key(&server) {
            return Answer::Failed(Failure::TooManyServers);
        }
        let http = (!http.is_empty()).then(|| http.to_owned());
        let known = KnownServer { id: server, clients: clients.to_owned(), http };
        if self.servers.get(&server) != Some(&known) {
            Arc::make_mut(&mut self.servers).insert(server, known);
        }
        Answer::Done
    }

    fn publish(&self) {
        let mut servers = self.outside.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&servers, &self.servers) {
            *servers = Arc::clone(&self.servers);
        }
        drop(servers);
        let next = self.keys.next_deadline().unwrap_or(u64::MAX);
        self.outside.next_deadline.store(next, Ordering::Relaxed);
        self.outside.count.store(self.keys.count(), Ordering::Relaxed);
    }
}

impl StateMachine for Machine {
    type Answer = EntryAnswers;
    type Query = Query;
    type Reply = Vec<Answer>;

    fn apply(&mut self, index: LogIndex, command: &Bytes) -> EntryAnswers {
        let (time, operations) = match decode_entry(command) {
            Ok(entry) => entry,
            Err(error) => {
                self.failure.get_or_insert_with(|| {
                    format!("entry {index} is of a later version of this program: {error}")
                });
                return EntryAnswers(Vec::new());
            }
        };
        self.keys.advance(time);
        let answers = operations.iter().map(|operation| self.write(operation)).collect();
        self.publish();
        EntryAnswers(answers)
    }

    /// Servers write entries, and they write only what they know. So an entry that makes no sense was written by
    /// a server of a later version. Servers that left it out would have other keys than those that do not.
    fn failure(&self) -> Option<String> {
        self.failure.clone()
    }

    fn query(&self, query: Query) -> Vec<Answer> {
        let Ok(operations) = decode_all(&query.operations) else {
            return vec![Answer::Failed(Failure::NotAnOperation)];
        };
        operations
            .iter()
            .map(|operation| execute::read(&self.keys, query.time, operation))
            .collect()
    }

    fn snapshot(&self) -> SnapshotImage {
        let (image, servers) = (self.keys.image(), Arc::clone(&self.servers));
        Box::new(move |to: &mut dyn io::Write| snapshot::write(&image, &servers, to))
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        (self.keys, self.servers) = snapshot::read(from)?;
        self.publish();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
