//! A cluster in this process.

use kontiki_kv::config::{Config, FirstStart};
use kontiki_kv::server::Server;
use redis::{Connection, ConnectionLike, RedisError, RedisResult, Value};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// How long anything may take before a test fails. It never does.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cluster {
    pub runtime: Runtime,
    directory: TempDir,
    /// Where clients connect to.
    pub addresses: Vec<String>,
    pub servers: Vec<Option<Server>>,
}

impl Cluster {
    /// Starts three servers, and waits until one leads.
    pub fn start() -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        let listeners: Vec<_> = (0..6).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let address = |at: usize| listeners[at].local_addr().unwrap().to_string();
        let addresses: Vec<String> = (0..3).map(address).collect();
        let entry = |at: usize| {
            let (peers, clients) = (address(at + 3), address(at));
            let id = at + 1;
            format!("[[servers]]\nid = {id}\npeers = \"{peers}\"\nclients = \"{clients}\"\n")
        };
        let servers: String = (0..3).map(entry).collect();
        for id in 1..=3 {
            let text = format!(
                "cluster = \"5eed\"\nid = {id}\ndirectory = \"{id}\"\nsnapshot-mib = 1\n{servers}"
            );
            std::fs::write(file(&directory, id), text).unwrap();
        }
        drop(listeners);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut cluster = Cluster { runtime, directory, addresses, servers: Vec::new() };
        cluster.servers = (0..3).map(|_| None).collect();
        (0..3).for_each(|at| cluster.restart(at));
        cluster.leader();
        cluster
    }

    /// Starts a server that was stopped, once its ports and its directory are free.
    pub fn restart(&mut self, at: usize) {
        let config = Config::read(&file(&self.directory, at + 1)).unwrap();
        let server = eventually("a server", || {
            let config = config.listen(FirstStart::Init).ok()?;
            self.runtime.block_on(Server::start(config)).ok()
        });
        self.servers[at] = Some(server);
    }

    /// Starts a fourth server that has itself taken into the cluster.
    pub fn join(&mut self) {
        let listeners: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let address = |at: usize| listeners[at].local_addr().unwrap().to_string();
        let others = std::fs::read_to_string(file(&self.directory, 1)).unwrap();
        let others = others.replace("\nid = 1\ndirectory = \"1\"", "\nid = 4\ndirectory = \"4\"");
        let (peers, clients) = (address(0), address(1));
        let own = format!("[[servers]]\nid = 4\npeers = \"{peers}\"\nclients = \"{clients}\"\n");
        std::fs::write(file(&self.directory, 4), others + &own).unwrap();
        drop(listeners);
        let config = Config::read(&file(&self.directory, 4)).unwrap();
        let config = config.listen(FirstStart::Join).unwrap();
        let server = self.runtime.block_on(Server::start(config)).unwrap();
        self.servers.push(Some(server));
        self.addresses.push(clients);
    }

    /// Ends a server in good order.
    pub fn shutdown(&mut self, at: usize) {
        let server = self.servers[at].take().unwrap();
        self.runtime.block_on(server.shutdown());
    }

    /// Ends a server as in a crash.
    pub fn crash(&mut self, at: usize) {
        let _context = self.runtime.enter();
        drop(self.servers[at].take());
    }

    /// The server that leads, as soon as there is one that the others follow.
    pub fn leader(&self) -> usize {
        eventually("a leader", || {
            let mut leaders = self.servers.iter().flatten().map(|server| {
                let status = self.runtime.block_on(server.node().handle().status()).unwrap();
                status.server.leader.map(|leader| leader.0 as usize - 1)
            });
            let leader = leaders.next()??;
            let is_known = leaders.all(|other| other == Some(leader));
            (is_known && self.servers[leader].is_some()).then_some(leader)
        })
    }

    pub fn client(&self, at: usize) -> Connection {
        let client = redis::Client::open(format!("redis://{}", self.addresses[at])).unwrap();
        let connection = client.get_connection().unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        connection
    }

    pub fn leading_client(&self) -> Connection {
        self.client(self.leader())
    }

    /// Has the leader execute a write. One that may have been done is done again.
    pub fn write(&self, line: &str) -> Value {
        eventually("a write", || ask(&mut self.leading_client(), line).ok())
    }
}

fn file(directory: &TempDir, id: usize) -> PathBuf {
    directory.path().join(format!("{id}.toml"))
}

/// Sends a command of words.
pub fn ask(connection: &mut Connection, line: &str) -> RedisResult<Value> {
    let mut words = line.split_whitespace();
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    connection.req_command(&command)?.extract_error()
}

/// The whole of an error, its first word included.
pub fn text(error: &RedisError) -> String {
    format!("{} {}", error.code().unwrap_or_default(), error.detail().unwrap_or_default())
}

/// Waits for something.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        sleep(Duration::from_millis(20));
    }
}
