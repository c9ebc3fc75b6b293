//! Servers as an operator starts them, each a process with a config file.

use crate::cluster::{ask, eventually};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use redis::{Connection, Value};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const BEFORE: &str = "5eed";
const AFTER: &str = "c0de";

/// A server that is killed when this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kontiki-kv"));
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn start(verb: &str, config: &Path) -> Server {
    Server(program().arg(verb).arg("--config").arg(config).spawn().unwrap())
}

fn recover(config: &Path, options: &[&str]) -> Output {
    program().arg("recover").arg("--config").arg(config).args(options).output().unwrap()
}

fn connect(address: &str) -> Option<Connection> {
    redis::Client::open(format!("redis://{address}")).unwrap().get_connection().ok()
}

/// An authority, and certificates of these servers of a cluster, as `CLUSTER-1.pem` and so on.
fn certify(directory: &Path, cluster: &str, servers: &[u64]) {
    let number = u128::from_str_radix(cluster, 16).unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&key).unwrap().pem();
    fs::write(directory.join(format!("{cluster}.pem")), pem).unwrap();
    let issuer = Issuer::new(authority, key);
    for server in servers {
        let name = format!("s{server}.{number:032x}.kontiki.internal");
        let key = KeyPair::generate().unwrap();
        let signed = CertificateParams::new([name]).unwrap().signed_by(&key, &issuer).unwrap();
        let file = |end| directory.join(format!("{cluster}-{server}{end}"));
        fs::write(file(".pem"), signed.pem()).unwrap();
        fs::write(file(".key"), key.serialize_pem()).unwrap();
    }
}

/// The config of a server of a cluster with these addresses: for the other servers and for clients.
fn config(cluster: &str, id: usize, addresses: &[(String, String)]) -> String {
    let servers: String = addresses
        .iter()
        .zip(1..)
        .map(|((peers, clients), id)| {
            format!("[[servers]]\nid = {id}\npeers = \"{peers}\"\nclients = \"{clients}\"\n")
        })
        .collect();
    format!(
        "cluster = \"{cluster}\"\nid = {id}\ndirectory = \"{cluster}-{id}\"\nrecord = \"records-{id}\"\n\
         [tls]\ncertificates = \"{cluster}-{id}.pem\"\nkey = \"{cluster}-{id}.key\"\nauthority = \"{cluster}.pem\"\n\
         {servers}"
    )
}

fn addresses(count: usize) -> Vec<(String, String)> {
    let listeners: Vec<_> =
        (0..2 * count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let address = |at: usize| listeners[at].local_addr().unwrap().to_string();
    (0..count).map(|at| (address(2 * at), address(2 * at + 1))).collect()
}

/// Three servers with certificates lose two disks for good, and what the third has goes on in a new cluster.
#[test]
fn a_cluster_with_certificates_is_formed_recorded_and_recovered() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let file = |id: usize| directory.join(format!("{id}.toml"));
    let three = addresses(3);
    certify(directory, BEFORE, &[1, 2, 3]);
    for id in 1..=3 {
        fs::write(file(id), config(BEFORE, id, &three)).unwrap();
    }
    let never = start("server", &file(1)).0.wait().unwrap();
    assert!(!never.success(), "`server` has formed a cluster");
    let servers: Vec<Server> = (1..=3).map(|id| start("init", &file(id))).collect();
    let write = |line: &str| {
        let somebody = |(_, clients): &(String, String)| ask(&mut connect(clients)?, line).ok();
        eventually("a write", || three.iter().find_map(somebody))
    };
    assert_eq!(write("SET k v"), Value::Okay);
    let first = &three[0].1;
    let value = eventually("a read", || ask(&mut connect(first)?, "GET k").ok());
    assert_eq!(value, Value::BulkString(b"v".into()));
    drop(servers);
    for id in 1..=3 {
        let recorded: u64 = fs::read_dir(directory.join(format!("records-{id}")))
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        assert!(recorded > 0, "server {id} has recorded nothing");
    }

    let examined = recover(&file(1), &[]);
    assert!(examined.status.success());
    let examined = String::from_utf8(examined.stdout).unwrap();
    let (_, words) = examined.split_once("to go on, confirm: ").unwrap();
    let into = directory.join(format!("{AFTER}-1"));
    let into_text = into.to_str().unwrap();
    let with =
        |words| recover(&file(1), &["--cluster", AFTER, "--into", into_text, "--confirm", words]);
    assert!(!with("yes").status.success(), "other words will do");
    assert!(!into.exists());
    assert!(with(words.trim()).status.success());
    certify(directory, AFTER, &[1]);
    let one = addresses(1);
    fs::write(file(1), config(AFTER, 1, &one)).unwrap();
    let _server = start("server", &file(1));
    let value = eventually("a read", || ask(&mut connect(&one[0].1)?, "GET k").ok());
    assert_eq!(value, Value::BulkString(b"v".into()));
}
