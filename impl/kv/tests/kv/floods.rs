//! Crowds of clients, and clients that misbehave, while others go on.

use crate::cluster::{PATIENCE, ask, eventually};
use kontiki_kv::open_files;
use redis::{Connection, Value};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The most clients of a server.
const MOST: usize = 200;
/// How many come who say nothing, to the port for clients and as many to that for servers: where this
/// process may open so many files, and otherwise the second number.
const CROWDS: [usize; 2] = [5000, 1000];
/// How many there are of each kind that misbehaves.
const RUDE: usize = 30;
/// A server's memory stays below this. It holds a value of a mebibyte for each client that reads nothing,
/// and as much of a request for each that does not finish it.
const MEMORY_KIB: u64 = 200 << 10;

struct Servers {
    processes: Vec<Child>,
    peers: Vec<String>,
    clients: Vec<String>,
    _directory: TempDir,
}

impl Drop for Servers {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// The program, in a shell that sets its limits with `ulimit` first.
fn program(limit: &str, config: &Path) -> Command {
    let script = format!("ulimit {limit} && exec \"$0\" init --config \"$1\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_kontiki-kv")).arg(config);
    command.stdin(Stdio::null());
    command
}

fn start(count: usize) -> Servers {
    let directory = tempfile::tempdir().unwrap();
    let listeners: Vec<_> =
        (0..2 * count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let mut addresses = listeners.iter().map(|one| one.local_addr().unwrap().to_string());
    let peers: Vec<String> = addresses.by_ref().take(count).collect();
    let clients: Vec<String> = addresses.collect();
    let servers: String = (0..count)
        .map(|at| {
            let (id, peers, clients) = (at + 1, &peers[at], &clients[at]);
            format!("[[servers]]\nid = {id}\npeers = \"{peers}\"\nclients = \"{clients}\"\n")
        })
        .collect();
    drop(listeners);
    let start = |id| {
        let file = directory.path().join(format!("{id}.toml"));
        let text = format!(
            "cluster = \"5eed\"\nid = {id}\ndirectory = \"{id}\"\nmost-clients = {MOST}\n\
             snapshot-mib = 1\n{servers}"
        );
        fs::write(&file, text).unwrap();
        // Fewer than there are clients.
        program("-Sn 150", &file).stderr(Stdio::null()).spawn().unwrap()
    };
    let processes = (1..=count).map(start).collect();
    Servers { processes, peers, clients, _directory: directory }
}

/// A client with a connection to each server, which were there before the crowd.
struct Client(Vec<Connection>);

impl Client {
    fn new(servers: &Servers) -> Client {
        let connect = |address: &String| {
            let client = redis::Client::open(format!("redis://{address}")).unwrap();
            let connection = eventually("a connection", || client.get_connection().ok());
            connection.set_read_timeout(Some(PATIENCE)).unwrap();
            connection
        };
        Client(servers.clients.iter().map(connect).collect())
    }

    /// Has whoever leads do something. What may have been done is done again.
    fn ask(&mut self, line: &str) -> (usize, Value) {
        eventually("an answer", || {
            let mut servers = self.0.iter_mut().enumerate();
            servers.find_map(|(at, connection)| Some((at, ask(connection, line).ok()?)))
        })
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = eventually("a connection", || TcpStream::connect(address).ok());
    stream.set_nonblocking(true).unwrap();
    stream
}

/// Sends as much as the system takes.
fn pour(stream: &mut TcpStream, bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(count @ 1..) = stream.write(rest) {
        rest = &rest[count..];
    }
}

/// What has come, and whether the connection still stands.
fn told(stream: &mut TcpStream) -> (String, bool) {
    let mut bytes = Vec::new();
    let stands = match stream.read_to_end(&mut bytes) {
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    (String::from_utf8_lossy(&bytes).into_owned(), stands)
}

/// The most memory that a process had so far, where the system tells.
fn most_memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn good_clients_go_on_in_a_crowd() {
    let allowed = CROWDS.iter().find(|crowd| open_files::allow(4 * **crowd as u64).is_ok());
    let crowd_size = *allowed.unwrap();
    let mut servers = start(3);
    let mut good = Client::new(&servers);
    let (leader, _) = good.ask(&format!("SET big {}", "x".repeat(1 << 20)));
    let (clients, peers) = (servers.clients[leader].clone(), servers.peers[leader].clone());

    let mut rude = Vec::new();
    for number in 0..RUDE {
        // Asks, and reads nothing.
        let mut greedy = connect(&clients);
        pour(&mut greedy, &b"GET big\r\n".repeat(10_000));
        // Does not finish a long request.
        let mut half = connect(&clients);
        pour(&mut half, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n");
        pour(&mut half, &[b'x'; 999_999]);
        // A line, a list of requests within each other, and a number without an end.
        let endless: [&[u8]; 3] = [b"x", b"*1\r\n", b"*9"];
        let mut without_end = connect(&clients);
        pour(&mut without_end, &endless[number % 3].repeat(200_000));
        // No server.
        let mut stranger = connect(&peers);
        pour(&mut stranger, &[&b"kontiki\n"[..], b"\xff", b"\0"][number % 3].repeat(100_000));
        rude.extend([greedy, half, without_end, stranger]);
    }
    let mut crowd: Vec<TcpStream> = (0..crowd_size).map(|_| connect(&clients)).collect();
    let strangers: Vec<TcpStream> = (0..crowd_size).map(|_| connect(&peers)).collect();

    for number in 0..300 {
        let (_, done) = good.ask(&format!("SET k{number} {number}"));
        assert_eq!(done, Value::Okay);
        let (_, value) = good.ask(&format!("GET k{number}"));
        assert_eq!(value, Value::BulkString(number.to_string().into_bytes()));
    }
    // Whoever has no place is told so.
    let mut refused = 0;
    eventually("refusals", || {
        crowd.retain_mut(|stream| match told(stream) {
            (text, false) => {
                assert!(text.is_empty() || text == "-ERR max number of clients reached\r\n");
                refused += 1;
                false
            }
            (text, true) => {
                assert_eq!(text, "");
                true
            }
        });
        (refused >= crowd_size - MOST).then_some(())
    });
    for process in &mut servers.processes {
        assert!(process.try_wait().unwrap().is_none(), "a server has ended");
        if let Some(memory) = most_memory(process.id()) {
            assert!(memory < MEMORY_KIB, "{memory} KiB");
        }
    }
    // When the crowd is gone, everybody is welcome.
    drop((crowd, strangers, rude));
    let mut newcomer = eventually("a place", || {
        let mut client = Client::new(&servers);
        ask(&mut client.0[leader], "PING").ok()?;
        Some(client)
    });
    for number in 0..300 {
        let (_, value) = newcomer.ask(&format!("GET k{number}"));
        assert_eq!(value, Value::BulkString(number.to_string().into_bytes()));
    }
}

#[test]
fn a_server_that_may_open_too_few_files_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("1.toml");
    let free = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [peers, clients] = free.map(|listener| listener.local_addr().unwrap());
    let text = format!(
        "cluster = \"5eed\"\nid = 1\ndirectory = \"1\"\n[[servers]]\nid = 1\n\
         peers = \"{peers}\"\nclients = \"{clients}\"\n"
    );
    fs::write(&file, text).unwrap();
    let ended = program("-n 500", &file).output().unwrap();
    assert!(!ended.status.success());
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(told.contains("set most-clients to a lower number"), "{told}");
}
