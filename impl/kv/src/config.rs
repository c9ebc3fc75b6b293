//! A server's config file, in TOML.
//!
//! ```
//! let text = r#"
//!     cluster = "6b6f6e74696b69"             # drawn once at random, the same at all servers
//!     id = 1                                 # this server
//!     directory = "disk-1"                   # relative to this file
//!
//!     [[servers]]
//!     id = 1
//!     peers = "127.0.0.1:7011"               # where the other servers connect to
//!     clients = "127.0.0.1:7001"             # where clients connect to
//!     http = "127.0.0.1:7021"                # metrics and a page; may be left out
//! "#;
//! let config = kontiki_kv::config::Config::parse(text, "1.toml".as_ref())?;
//! assert_eq!(config.server().clients, "127.0.0.1:7001");
//! # Ok::<(), kontiki_kv::config::ConfigError>(())
//! ```

use crate::server::{KnownServer, ServerConfig};
use kontiki_node::kontiki::ServerId;
use kontiki_node::kontiki::driver::Timings;
use kontiki_node::{NodeConfig, Pem, RecordTo, Security, Start, Tls};
use kontiki_specs::spelling::suggestion;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use toml::Spanned;

/// A config file that makes sense.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster.
    pub cluster: u128,
    /// This server.
    pub id: u64,
    /// The directory of its disk.
    pub directory: PathBuf,
    /// All servers that the cluster is started with.
    pub servers: BTreeMap<u64, Addresses>,
    /// Whether a leader reads by its lease (rule C4).
    pub leases: bool,
    /// How connections between servers are protected.
    pub security: Security,
    /// The directory where the server records what it does, to be judged by the model.
    pub record: Option<PathBuf>,
    /// Whether clients may connect from other machines, though anybody can be a client.
    pub clients_beyond_loopback: bool,
    /// The most clients that are connected at the same time.
    pub most_clients: usize,
    /// The minimum election timeout.
    pub election_timeout: Duration,
    /// After how many bytes of log a snapshot is taken.
    pub snapshot_bytes: u64,
    /// How many of the entries that a snapshot covers stay in the log, at least (rule S1).
    pub kept_entries: u64,
}

/// What a server does that has an empty directory (rule M9). One whose directory is not empty goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstStart {
    /// It forms a new cluster together with all servers of the file.
    Init,
    /// It has itself taken into the cluster of the others.
    Join,
    /// It does not start.
    Existing,
}

/// Where a server is, as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For the other servers.
    pub peers: String,
    /// For clients.
    pub clients: String,
    /// For metrics and the page, on this machine.
    pub http: Option<String>,
}

/// The file as it stands.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    cluster: Spanned<String>,
    id: Spanned<u64>,
    directory: PathBuf,
    servers: Vec<Spanned<ServerEntry>>,
    #[serde(default)]
    leases: bool,
    #[serde(default)]
    plaintext_beyond_loopback: bool,
    tls: Option<Spanned<TlsFiles>>,
    record: Option<PathBuf>,
    #[serde(default)]
    clients_beyond_loopback: bool,
    #[serde(default = "most_clients")]
    most_clients: Spanned<usize>,
    #[serde(default = "election_timeout_ms")]
    election_timeout_ms: Spanned<u64>,
    #[serde(default = "snapshot_mib")]
    snapshot_mib: Spanned<u64>,
    #[serde(default = "kept_entries")]
    kept_entries: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct TlsFiles {
    certificates: PathBuf,
    key: PathBuf,
    authority: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ServerEntry {
    id: Spanned<u64>,
    peers: Spanned<String>,
    clients: Spanned<String>,
    http: Option<Spanned<String>>,
}

fn most_clients() -> Spanned<usize> {
    Spanned::new(0..0, 1024)
}

fn election_timeout_ms() -> Spanned<u64> {
    Spanned::new(0..0, 1000)
}

fn snapshot_mib() -> Spanned<u64> {
    Spanned::new(0..0, 64)
}

fn kept_entries() -> u64 {
    1024
}

/// What is wrong with a config file.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line makes no sense.
    #[error("{}:{line}: {what}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// An address cannot be listened at.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong in which line, and what would be right.
    pub fn read(file: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
        Config::parse(&text, file)
    }

    /// The config of a text that stands in this file.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong in which line, and what would be right.
    pub fn parse(text: &str, file: &Path) -> Result<Config, ConfigError> {
        let source = Source { text, file };
        let read: File = toml::from_str(text).map_err(|error| {
            source.wrong(error.span().unwrap_or(0..0), explained(error.message()))
        })?;
        let digits = read.cluster.get_ref();
        let cluster = u128::from_str_radix(digits, 16).map_err(|_| {
            let what = format!("cluster is `{digits}`: draw up to 32 hexadecimal digits at random");
            source.wrong(read.cluster.span(), what)
        })?;
        let servers = source.servers(&read.servers)?;
        let id = *read.id.get_ref();
        if !servers.contains_key(&id) {
            let what = format!("id is {id}: add its addresses to the `[[servers]]`");
            return Err(source.wrong(read.id.span(), what));
        }
        let milliseconds = &read.election_timeout_ms;
        let election_timeout = Duration::from_millis(*milliseconds.get_ref());
        Timings::for_election_timeout(election_timeout)
            .check()
            .map_err(|error| source.wrong(milliseconds.span(), error.to_string()))?;
        if *read.most_clients.get_ref() == 0 {
            let what = "most-clients is 0: set it to at least 1".to_owned();
            return Err(source.wrong(read.most_clients.span(), what));
        }
        let mib = &read.snapshot_mib;
        if *mib.get_ref() == 0 {
            let what = "snapshot-mib is 0: the log would grow without end".to_owned();
            return Err(source.wrong(mib.span(), what));
        }
        let Some(snapshot_bytes) = mib.get_ref().checked_mul(1 << 20) else {
            return Err(source.wrong(mib.span(), "snapshot-mib is larger than any disk".to_owned()));
        };
        Ok(Config {
            cluster,
            id,
            directory: source.beside(&read.directory),
            servers,
            leases: read.leases,
            security: source.security(read.tls.as_ref(), read.plaintext_beyond_loopback)?,
            record: read.record.as_ref().map(|record| source.beside(record)),
            clients_beyond_loopback: read.clients_beyond_loopback,
            most_clients: *read.most_clients.get_ref(),
            election_timeout,
            snapshot_bytes,
            kept_entries: read.kept_entries,
        })
    }

    /// The addresses of this server.
    pub fn server(&self) -> Addresses {
        let nowhere = Addresses { peers: String::new(), clients: String::new(), http: None };
        self.servers.get(&self.id).cloned().unwrap_or(nowhere)
    }

    /// Listens at this server's addresses, and makes a server of it that can be started. `start` says what
    /// it does if its directory is empty; to form a cluster, the servers of the file are its voters.
    ///
    /// # Errors
    /// If it cannot listen there, or may not.
    pub fn listen(&self, start: FirstStart) -> Result<ServerConfig, ConfigError> {
        let Addresses { peers, clients, .. } = self.server();
        let listener = listen(&clients, self.clients_beyond_loopback, "clients-beyond-loopback")?;
        let addresses = self.servers.iter().map(|(id, at)| (ServerId(*id), at.peers.clone()));
        let beyond = !matches!(self.security, Security::Plaintext);
        let mut node = NodeConfig::new(
            self.cluster,
            ServerId(self.id),
            addresses.collect(),
            &self.directory,
            listen(&peers, beyond, "plaintext-beyond-loopback")?,
            self.security.clone(),
        );
        match start {
            FirstStart::Init => {} // The voters are those of the addresses.
            FirstStart::Join => node.start = Start::Join,
            FirstStart::Existing => node.start = Start::Existing,
        }
        node.record = self.record.as_ref().map(RecordTo::directory);
        node.driver.raft.leases = self.leases;
        node.driver.raft.snapshot_bytes = self.snapshot_bytes;
        node.driver.raft.kept_entries = self.kept_entries;
        node.driver.timings = Timings::for_election_timeout(self.election_timeout);
        let known = |(id, at): (&u64, &Addresses)| {
            let Addresses { clients, http, .. } = at.clone();
            KnownServer { id: *id, clients, http }
        };
        let servers = self.servers.iter().map(known).collect();
        Ok(ServerConfig { node, listener, servers, most_clients: self.most_clients })
    }

    /// Where metrics and the page are served, if they are. Only this machine may ask.
    ///
    /// # Errors
    /// If the address is none of this machine alone.
    pub fn http(&self) -> Result<Option<SocketAddr>, ConfigError> {
        self.server().http.map(|address| resolve(&address, false, "")).transpose()
    }
}

/// The file that is being read.
struct Source<'a> {
    text: &'a str,
    file: &'a Path,
}

impl Source<'_> {
    fn wrong(&self, place: Range<usize>, what: String) -> ConfigError {
        let before = self.text.bytes().take(place.start);
        let line = before.filter(|byte| *byte == b'\n').count() + 1;
        ConfigError::Line { file: self.file.to_owned(), line, what }
    }

    /// A path that is relative to the file.
    fn beside(&self, path: &Path) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// The tables `[[servers]]`.
    fn servers(
        &self,
        entries: &[Spanned<ServerEntry>],
    ) -> Result<BTreeMap<u64, Addresses>, ConfigError> {
        let mut servers = BTreeMap::new();
        for entry in entries {
            let (place, entry) = (entry.span(), entry.get_ref());
            let addresses = Addresses {
                peers: self.address(&entry.peers)?,
                clients: self.address(&entry.clients)?,
                http: entry.http.as_ref().map(|http| self.address(http)).transpose()?,
            };
            for (address, who) in [(&entry.peers, "other server"), (&entry.clients, "client")] {
                if reaches_nobody(address.get_ref()) {
                    let what = format!(
                        "no {who} can connect to `{}`: write this server's host or IP address, and its port",
                        address.get_ref()
                    );
                    return Err(self.wrong(address.span(), what));
                }
            }
            let id = *entry.id.get_ref();
            if id == 0 {
                let what = "id is 0, which stands for no server: begin with 1".to_owned();
                return Err(self.wrong(entry.id.span(), what));
            }
            if servers.insert(id, addresses).is_some() {
                let what = format!("a second server {id}: give each its own id");
                return Err(self.wrong(place, what));
            }
        }
        Ok(servers)
    }

    fn address(&self, address: &Spanned<String>) -> Result<String, ConfigError> {
        match is_address(address.get_ref()) {
            true => Ok(address.get_ref().clone()),
            false => {
                let what = format!("`{}` is not host:port", address.get_ref());
                Err(self.wrong(address.span(), what))
            }
        }
    }

    /// The table `[tls]`, or what there is instead.
    fn security(
        &self,
        tls: Option<&Spanned<TlsFiles>>,
        plaintext_beyond_loopback: bool,
    ) -> Result<Security, ConfigError> {
        match (tls, plaintext_beyond_loopback) {
            (Some(tls), true) => {
                let what = "with `[tls]` nothing is plaintext: leave out plaintext-beyond-loopback";
                Err(self.wrong(tls.span(), what.to_owned()))
            }
            (Some(tls), false) => {
                let TlsFiles { certificates, key, authority } = tls.get_ref();
                let pem = |path| Pem::File(self.beside(path));
                let (certificates, key) = (pem(certificates), pem(key));
                Ok(Security::Tls(Tls { certificates, key, authority: pem(authority) }))
            }
            (None, true) => Ok(Security::PlaintextBeyondLoopback),
            (None, false) => Ok(Security::Plaintext),
        }
    }
}

/// Whether this is `host:port`, of 256 bytes at most and without white space. The node takes any such address of
/// a server, unless [`reaches_nobody`] holds.
pub(crate) fn is_address(address: &str) -> bool {
    let parts = address.rsplit_once(':');
    address.len() <= 256
        && address.chars().all(|c| !c.is_whitespace() && !c.is_control())
        && parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// Whether this says where to listen at most, and not where a server is.
fn reaches_nobody(address: &str) -> bool {
    let has_no_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse() == Ok(0_u16));
    has_no_port || address.parse().is_ok_and(|at: SocketAddr| at.ip().is_unspecified())
}

fn listen(address: &str, beyond: bool, key: &str) -> Result<TcpListener, ConfigError> {
    let resolved = resolve(address, beyond, key)?;
    let failed = |source| ConfigError::Listen { address: address.to_owned(), source };
    TcpListener::bind(resolved).map_err(failed)
}

/// An address that only this machine reaches, unless others may.
fn resolve(address: &str, beyond: bool, key: &str) -> Result<SocketAddr, ConfigError> {
    let failed = |source| ConfigError::Listen { address: address.to_owned(), source };
    let resolved = address.to_socket_addrs().map_err(failed)?.next();
    let resolved = resolved.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    if beyond || resolved.ip().to_canonical().is_loopback() {
        return Ok(resolved);
    }
    let remedy = match key {
        "" => String::new(),
        key => format!(", or set `{key} = true` where nobody else is on the network"),
    };
    let what = format!("other machines reach it: use a loopback address{remedy}");
    Err(failed(io::Error::new(io::ErrorKind::PermissionDenied, what)))
}

/// What a parser says, with what may be meant by a name that it does not know.
fn explained(message: &str) -> String {
    let message = message.trim_end().replace('\n', ", ");
    let mut names = message.split('`').skip(1).step_by(2);
    match (message.starts_with("unknown field"), names.next()) {
        (true, Some(unknown)) => {
            let known: Vec<&str> = names.collect();
            match suggestion(unknown, &known).as_str() {
                "" => format!("unknown key `{unknown}`: those that exist are {}", known.join(", ")),
                meant => format!("unknown key `{unknown}`{meant}"),
            }
        }
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"cluster = "abc"
id = 1
directory = "disk"
[[servers]]
id = 1
peers = "127.0.0.1:1"
clients = "127.0.0.1:2"
"#;

    fn error(text: &str) -> String {
        Config::parse(text, "dir/1.toml".as_ref()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_is_as_usual() {
        let config = Config::parse(GOOD, "dir/1.toml".as_ref()).unwrap();
        assert_eq!(config.cluster, 0xabc);
        assert_eq!(config.directory, PathBuf::from("dir/disk"));
        assert_eq!(config.election_timeout, Duration::from_secs(1));
        assert_eq!(config.snapshot_bytes, 64 << 20);
        assert!(!config.leases);
    }

    #[test]
    fn what_is_written_is_what_the_node_is_told() {
        let told = |lines: &str| {
            let text = GOOD.replace("[[servers]]", &format!("{lines}\n[[servers]]"));
            let mut config = Config::parse(&text, "dir/1.toml".as_ref()).unwrap();
            for at in config.servers.values_mut() {
                // Any port that is free.
                (at.peers, at.clients) = ("127.0.0.1:0".to_owned(), "127.0.0.1:0".to_owned());
            }
            config.listen(FirstStart::Existing).unwrap()
        };
        let driver = |lines: &str| told(lines).node.driver;
        assert!(!driver("").raft.leases);
        assert!(driver("leases = true").raft.leases);
        assert_eq!(driver("snapshot-mib = 5").raft.snapshot_bytes, 5 << 20);
        assert_eq!(driver("kept-entries = 9").raft.kept_entries, 9);
        let timings = driver("election-timeout-ms = 3000").timings;
        assert_eq!(timings, Timings::for_election_timeout(Duration::from_secs(3)));
        assert_eq!(told("most-clients = 7").most_clients, 7);
        let node = told("").node;
        assert_eq!((node.cluster, node.driver.raft.id), (0xabc, ServerId(1)));
        assert_eq!((node.start, node.record.is_none()), (Start::Existing, true));
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_a_remedy() {
        let with = |line: &str, instead: &str| error(&GOOD.replace(line, instead));
        assert_eq!(
            with("directory", "directroy"),
            "dir/1.toml:3: unknown key `directroy`: did you mean `directory`?"
        );
        assert_eq!(
            with("peers = ", "pears = "),
            "dir/1.toml:6: unknown key `pears`: did you mean `peers`?"
        );
        assert_eq!(
            with("id = 1\ndirectory", "id = 2\ndirectory"),
            "dir/1.toml:2: id is 2: add its addresses to the `[[servers]]`"
        );
        assert_eq!(
            with("\"abc\"", "\"xyz\""),
            "dir/1.toml:1: cluster is `xyz`: draw up to 32 hexadecimal digits at random"
        );
        assert_eq!(with("127.0.0.1:2", "127.0.0.1"), "dir/1.toml:7: `127.0.0.1` is not host:port");
        assert_eq!(with("127.0.0.1:2", "one two:2"), "dir/1.toml:7: `one two:2` is not host:port");
        assert_eq!(
            with("127.0.0.1:1", "[::]:1"),
            "dir/1.toml:6: no other server can connect to `[::]:1`: write this server's host or IP address, and its port"
        );
        let everywhere = with("127.0.0.1:2", "0.0.0.0:2");
        assert!(everywhere.contains("dir/1.toml:7: no client can connect to"), "{everywhere}");
        let nobody = with("[[servers]]\nid = 1", "[[servers]]\nid = 0");
        assert_eq!(nobody, "dir/1.toml:5: id is 0, which stands for no server: begin with 1");
        let never = with("id = 1\ndirectory", "snapshot-mib = 0\nid = 1\ndirectory");
        assert_eq!(never, "dir/1.toml:2: snapshot-mib is 0: the log would grow without end");
        let no_port = with("127.0.0.1:1", "localhost:00");
        assert!(no_port.contains("no other server can connect to `localhost:00`"), "{no_port}");
        let twice = format!("{GOOD}[[servers]]\nid = 1\npeers = \"a:1\"\nclients = \"a:2\"\n");
        assert_eq!(error(&twice), "dir/1.toml:8: a second server 1: give each its own id");
        let short = with("id = 1\ndirectory", "election-timeout-ms = 0\nid = 1\ndirectory");
        assert!(short.starts_with("dir/1.toml:2: election_timeout is 0"), "{short}");
        let missing = with("directory = \"disk\"\n", "");
        assert!(missing.contains("missing field `directory`"), "{missing}");
        let broken = with("id = 1\ndirectory", "id = \ndirectory");
        assert!(broken.starts_with("dir/1.toml:2: "), "{broken}");
    }

    #[test]
    fn certificates_lie_beside_the_file() {
        let tls = "[tls]\ncertificates = \"1.pem\"\nkey = \"1.key\"\nauthority = \"all.pem\"\n";
        let config = Config::parse(&format!("{GOOD}{tls}"), "dir/1.toml".as_ref()).unwrap();
        let Security::Tls(Tls { key: Pem::File(key), .. }) = config.security else { panic!() };
        assert_eq!(key, PathBuf::from("dir/1.key"));
        let both = format!("plaintext-beyond-loopback = true\n{GOOD}{tls}");
        assert!(error(&both).starts_with("dir/1.toml:9: with `[tls]` nothing is plaintext"));
    }

    #[test]
    fn addresses_beyond_the_machine_are_refused() {
        let text = GOOD.replace("127.0.0.1:2", "192.0.2.1:2");
        let config = Config::parse(&text, "1.toml".as_ref()).unwrap();
        let error = config.listen(FirstStart::Init).unwrap_err().to_string();
        assert!(error.contains("set `clients-beyond-loopback = true`"), "{error}");
    }
}
