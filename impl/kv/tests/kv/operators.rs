//! What operators ask and see.

use crate::cluster::{Cluster, ask, eventually};
use kontiki_kv::admin;
use kontiki_kv::http::{Http, Metrics};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn an_operator_asks_any_server() {
    let mut cluster = Cluster::start();
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    let other = (leader + 2) % 3;
    let address = cluster.addresses[follower].clone();
    let status = admin::status(&address).unwrap();
    let rows: Vec<&str> = status.lines().collect();
    assert!(rows[0].starts_with("server  role"), "{status}");
    assert!(rows[leader + 1].contains("leader"), "{status}");
    assert_eq!(admin::members(&address).unwrap(), "voters    1 2 3\nlearners  none");

    // It is sent to the leader.
    let demoted = admin::change_members(&address, &words(&format!("demote {}", other + 1)));
    assert!(demoted.unwrap().starts_with("complete at"));
    let left = if follower < leader { [follower, leader] } else { [leader, follower] };
    let expected = format!("voters    {} {}\nlearners  {}", left[0] + 1, left[1] + 1, other + 1);
    eventually("members", || (admin::members(&address).unwrap() == expected).then_some(()));
    let again = admin::change_members(&address, &words(&format!("demote {}", other + 1)));
    assert!(again.unwrap_err().to_string().starts_with("ERR certainly not done"));
    let nonsense = admin::change_members(&address, &words("sack 3")).unwrap_err().to_string();
    assert!(nonsense.contains("`sack 3` is no change of membership"), "{nonsense}");

    admin::transfer(&address, follower as u64 + 1).unwrap();
    eventually("another leader", || (cluster.leader() == follower).then_some(()));
    ask(&mut cluster.leading_client(), "SET k v").unwrap();
    let taken = eventually("a snapshot", || admin::snapshot(&address).ok());
    assert!(taken.starts_with("the snapshot covers the log up to"), "{taken}");

    cluster.crash(other);
    let status = admin::status(&address).unwrap();
    assert!(status.lines().any(|row| row.contains("no answer")), "{status}");
}

/// Head and body.
fn get(address: SocketAddr, path: &str, host: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn a_browser_sees_the_cluster_and_a_collector_the_metrics() {
    // It collects what all nodes of this process say, those of other tests among them.
    let metrics = Metrics::install().unwrap();
    let cluster = Cluster::start();
    let leader = cluster.leader();
    cluster.write("SET k v");
    let server = cluster.servers[leader].as_ref().unwrap();
    let context = cluster.runtime.enter();
    let http = Http::start("127.0.0.1:0".parse().unwrap(), server, metrics).unwrap();
    drop(context);
    let address = http.address();
    let (head, page) = get(address, "/", "localhost");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("default-src 'self'"), "{head}");
    // Everything that the page needs is here.
    for file in ["status.js", "status.css"] {
        assert!(page.contains(&format!("\"{file}\"")));
        assert!(get(address, &format!("/{file}"), "127.0.0.1:80").0.starts_with("HTTP/1.1 200"));
    }
    let (_, json) = get(address, "/cluster.json", "[::1]:5");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let roles: Vec<&str> =
        (0..3).map(|at| json["servers"][at]["report"]["role"].as_str().unwrap()).collect();
    assert_eq!(roles.iter().filter(|role| **role == "leader").count(), 1, "{roles:?}");
    let (_, metrics) = get(address, "/metrics", "localhost");
    let own = |name: &str| {
        let label = format!("{name}{{server=\"{}\"}} ", leader + 1);
        let value = metrics.lines().find_map(|line| line.strip_prefix(&label));
        value.and_then(|value| value.parse::<u64>().ok())
    };
    assert_eq!(own("kontiki_kv_keys"), Some(1), "{metrics}");
    // A write whose answer does not come in time is sent again.
    assert!(own("kontiki_kv_writes") >= Some(1), "{metrics}");
    for name in ["kontiki_leads", "kontiki_commit_index", "kontiki_sync_seconds"] {
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name} in {metrics}");
    }
    // A name that somebody else gave to this address.
    assert!(get(address, "/cluster.json", "evil.example").0.starts_with("HTTP/1.1 403"));
    assert!(get(address, "/nothing", "localhost").0.starts_with("HTTP/1.1 404"));
    // Whatever somebody sends, the next one is served.
    let endless = "x".repeat(1 << 20);
    let bodies = [u64::MAX, 1 << 60, 2000].map(|length| {
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n")
    });
    for request in bodies.iter().chain([&endless]) {
        let mut stream = TcpStream::connect(address).unwrap();
        // It may be turned away before all of it is sent.
        drop(stream.write_all(request.as_bytes()));
        drop(stream.read(&mut [0; 100]));
    }
    let waiting: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert!(get(address, "/", "localhost").0.starts_with("HTTP/1.1 200"));
    drop(waiting);
}
