//! Clients, which write and read while things go wrong, and note what they are told.

use crate::cluster::Connection;
use crate::history::{Did, Operation, ReadMode};
use crate::machine;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How many clients share a key.
const CLIENTS_OF_A_KEY: u64 = 3;
/// How long a key is used. Then come fresh ones, so that lists stay short.
const KEY_LASTS: Duration = Duration::from_secs(2);
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Clients at work.
pub struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Operation>>>,
}

impl Clients {
    /// So many begin to work.
    pub fn start(count: u64, seed: u64, ports: &BTreeMap<u64, u16>, begun: Instant) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |id: u64| {
            let client = Client {
                id,
                random: StdRng::seed_from_u64(seed ^ (id << 32)),
                ports: ports.clone(),
                connections: BTreeMap::new(),
                leader: 1,
                next: 0,
                seen: BTreeMap::new(),
                begun,
                history: Vec::new(),
            };
            let stop = Arc::clone(&stop);
            thread::spawn(move || client.work(&stop))
        };
        let threads = (1..=count).map(start).collect();
        Clients { stop, threads }
    }

    /// They end their work. What they did.
    pub fn finish(self) -> anyhow::Result<Vec<Operation>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut history = Vec::new();
        for thread in self.threads {
            let done = thread.join().map_err(|_| anyhow::anyhow!("a client has panicked"))?;
            history.extend(done);
        }
        history.sort_by_key(|operation| operation.start);
        Ok(history)
    }
}

struct Client {
    id: u64,
    random: StdRng,
    ports: BTreeMap<u64, u16>,
    connections: BTreeMap<u64, Connection>,
    leader: u64,
    next: u64,
    /// The highest index that it has seen of each key.
    seen: BTreeMap<String, u64>,
    begun: Instant,
    history: Vec<Operation>,
}

impl Client {
    fn work(mut self, stop: &AtomicBool) -> Vec<Operation> {
        while !stop.load(Ordering::SeqCst) {
            let epoch = self.begun.elapsed().as_millis() / KEY_LASTS.as_millis();
            let key = format!("k{epoch}-{}", self.id / CLIENTS_OF_A_KEY);
            let done = match self.random.random_range(0..10) {
                0..5 => self.append(&key),
                5..8 => self.read(&key, ReadMode::Linearizable),
                8 => self.read(&key, ReadMode::AtLeast),
                _ => self.read(&key, ReadMode::Stale),
            };
            let pause = if done { self.random.random_range(0..4) } else { 30 };
            thread::sleep(Duration::from_millis(pause));
        }
        self.history
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Nothing if no server was asked; nothing within if it gave no answer.
    fn ask(&mut self, server: u64, line: &str) -> Option<Option<String>> {
        if !self.connections.contains_key(&server) {
            let connection = Connection::open(*self.ports.get(&server)?, PATIENCE)?;
            self.connections.insert(server, connection);
        }
        let answer = self.connections.get_mut(&server)?.ask(line);
        if answer.is_none() {
            self.connections.remove(&server);
        }
        Some(answer)
    }

    fn anybody(&mut self) -> u64 {
        let ids: Vec<u64> = self.ports.keys().copied().collect();
        ids[self.random.random_range(0..ids.len())]
    }

    fn append(&mut self, key: &str) -> bool {
        self.next += 1;
        let number = self.id * 1_000_000_000 + self.next;
        let (start, server) = (self.now(), self.leader);
        let Some(answer) = self.ask(server, &format!("append {key} {number}")) else {
            self.leader = self.anybody();
            return false;
        };
        let end = self.now();
        let index = match answer.as_deref().map(words).as_deref() {
            Some(["ok", index]) => index.parse().ok(),
            Some(["leader", leader]) => {
                // Certainly not done.
                let leader = leader.parse().ok().filter(|leader| self.ports.contains_key(leader));
                self.leader = leader.unwrap_or_else(|| self.anybody());
                return false;
            }
            Some(["no", ..]) => return false,
            _ => {
                self.leader = self.anybody();
                None
            }
        };
        if let Some(index) = index {
            let seen = self.seen.entry(key.to_string()).or_default();
            *seen = (*seen).max(index);
        }
        self.note(key, start, index.map(|_| end), Did::Append { number, index });
        true
    }

    fn read(&mut self, key: &str, mode: ReadMode) -> bool {
        let server = self.anybody();
        let word = match mode {
            ReadMode::Linearizable => "linearizable".to_string(),
            ReadMode::AtLeast => self.seen.get(key).copied().unwrap_or_default().to_string(),
            ReadMode::Stale => "stale".to_string(),
        };
        let start = self.now();
        let answer = self.ask(server, &format!("read {word} {key}")).flatten();
        let end = self.now();
        let Some(["ok", index, list]) = answer.as_deref().map(words).as_deref().map(|words| {
            [
                words.first().copied().unwrap_or_default(),
                words.get(1).copied().unwrap_or_default(),
                words.get(2).copied().unwrap_or_default(),
            ]
        }) else {
            return false;
        };
        let Some(list) = machine::read(list) else { return false };
        if mode != ReadMode::Stale {
            let index = index.parse().unwrap_or_default();
            let seen = self.seen.entry(key.to_string()).or_default();
            *seen = (*seen).max(index);
        }
        self.note(key, start, Some(end), Did::Read { mode, list });
        true
    }

    fn note(&mut self, key: &str, start: u64, end: Option<u64>, did: Did) {
        let (client, key) = (self.id, key.to_string());
        self.history.push(Operation { client, key, start, end, did });
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}
