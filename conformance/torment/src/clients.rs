//! Clients, which write and read while things go wrong, and note what they are told.

mod in_session;

use crate::cluster::Connection;
use crate::history::{Did, Operation, ReadMode};
use crate::machine;
use crate::server::is_long;
use in_session::Sessions;
pub use in_session::Tries;
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
/// How long a client waits for an answer: longer than a server does.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long an impatient client does: shorter than a lease. So it finds a new leader while an old one may
/// believe that it leads.
const IMPATIENCE: Duration = Duration::from_millis(250);

/// What a client did.
#[derive(Default)]
pub struct Done {
    /// All that was asked for, in the order of time.
    pub history: Vec<Operation>,
    /// What came of asking again.
    pub tries: Tries,
}

/// Clients at work.
pub struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Done>>,
}

impl Clients {
    /// So many begin to work.
    pub fn start(count: u64, seed: u64, ports: &BTreeMap<u64, u16>, begun: Instant) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |id: u64| {
            let client = Client {
                id,
                patience: if id.is_multiple_of(2) { IMPATIENCE } else { PATIENCE },
                random: StdRng::seed_from_u64(seed ^ (id << 32)),
                ports: ports.clone(),
                connections: BTreeMap::new(),
                leader: 1,
                next: 0,
                seen: BTreeMap::new(),
                begun,
                stop: Arc::clone(&stop),
                sessions: Sessions::default(),
                done: Done::default(),
            };
            thread::spawn(move || client.work())
        };
        let threads = (1..=count).map(start).collect();
        Clients { stop, threads }
    }

    /// They end their work. What they did.
    pub fn finish(self) -> anyhow::Result<Done> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Done::default();
        for thread in self.threads {
            let done = thread.join().map_err(|_| anyhow::anyhow!("a client has panicked"))?;
            all.history.extend(done.history);
            all.tries.add(&done.tries);
        }
        all.history.sort_by_key(|operation| operation.start);
        Ok(all)
    }
}

struct Client {
    id: u64,
    patience: Duration,
    random: StdRng,
    ports: BTreeMap<u64, u16>,
    connections: BTreeMap<u64, Connection>,
    leader: u64,
    next: u64,
    /// The highest index that it has seen of each key.
    seen: BTreeMap<String, u64>,
    begun: Instant,
    stop: Arc<AtomicBool>,
    sessions: Sessions,
    done: Done,
}

impl Client {
    fn work(mut self) -> Done {
        while !self.is_stopped() {
            let epoch = self.begun.elapsed().as_millis() / KEY_LASTS.as_millis();
            let key = format!("k{epoch}-{}", self.id / CLIENTS_OF_A_KEY);
            let done = match self.random.random_range(0..10) {
                0..2 => self.append(&key),
                2..5 => self.append_in_session(&key),
                5..8 => self.read(&key, ReadMode::Linearizable),
                8 => self.read(&key, ReadMode::AtLeast),
                _ => self.read(&key, ReadMode::Stale),
            };
            let pause = if done { self.random.random_range(0..4) } else { 30 };
            thread::sleep(Duration::from_millis(pause));
        }
        self.repeat_all();
        self.done
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Nothing if no server was asked; nothing within if it gave no answer.
    fn ask(&mut self, server: u64, line: &str) -> Option<Option<String>> {
        if !self.connections.contains_key(&server) {
            let connection = Connection::open(*self.ports.get(&server)?, self.patience)?;
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

    /// Asks this server next, if it is one.
    fn follow(&mut self, leader: &str) {
        let leader = leader.parse().ok().filter(|leader| self.ports.contains_key(leader));
        self.leader = leader.unwrap_or_else(|| self.anybody());
    }

    /// A number that nobody else appends. One that makes a command long is for patient clients only: others would ask
    /// again before it is done, and more and more of them would come to the log of a machine that is slow.
    fn number(&mut self) -> u64 {
        self.next += 1;
        if self.patience == IMPATIENCE && is_long(self.next) {
            self.next += 1;
        }
        self.id * 1_000_000_000 + self.next
    }

    fn append(&mut self, key: &str) -> bool {
        let number = self.number();
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
                self.follow(leader);
                return false;
            }
            Some(["no", ..]) => return false,
            _ => {
                self.leader = self.anybody();
                None
            }
        };
        if let Some(index) = index {
            self.has_seen(key, index);
        }
        let did = Did::Append { number, index, session: None };
        self.note(key, start, index.map(|_| end), did);
        true
    }

    fn has_seen(&mut self, key: &str, index: u64) {
        let seen = self.seen.entry(key.to_string()).or_default();
        *seen = (*seen).max(index);
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
            self.has_seen(key, index.parse().unwrap_or_default());
        }
        self.note(key, start, Some(end), Did::Read { mode, list });
        true
    }

    fn note(&mut self, key: &str, start: u64, end: Option<u64>, did: Did) {
        let (client, key) = (self.id, key.to_string());
        self.done.history.push(Operation { client, key, start, end, did });
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}
