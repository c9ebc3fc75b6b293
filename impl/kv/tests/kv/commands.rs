//! What the commands do.

use crate::cluster::{Cluster, ask, eventually, text};
use redis::{Commands, Connection, Value, cmd};
use std::time::{Duration, Instant};

fn integer(number: i64) -> Value {
    Value::Int(number)
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.into())
}

/// Each command with what it answers, in order.
#[track_caller]
fn says(client: &mut Connection, script: &[(&str, Value)]) {
    for (line, expected) in script {
        assert_eq!(ask(client, line).as_ref(), Ok(expected), "{line}");
    }
}

#[test]
fn commands_do_what_they_do_in_redis() {
    let cluster = Cluster::start();
    let mut client = cluster.leading_client();
    says(
        &mut client,
        &[
            ("SET k v", Value::Okay),
            ("GET k", bulk("v")),
            ("get none", Value::Nil),
            ("SET k other NX", Value::Nil),
            ("SET k other XX", Value::Okay),
            ("SET none v XX", Value::Nil),
            ("SET k third GET", bulk("other")),
            ("SET k fourth NX GET", bulk("third")),
            ("GET k", bulk("third")),
            ("SETNX k v", integer(0)),
            ("SETNX fresh v", integer(1)),
            ("STRLEN k", integer(5)),
            ("EXISTS k k none", integer(2)),
            ("APPEND k +", integer(6)),
            ("DEL k fresh none", integer(2)),
            ("INCR n", integer(1)),
            ("INCRBY n 41", integer(42)),
            ("DECR n", integer(41)),
            ("DECRBY n 50", integer(-9)),
            ("GET n", bulk("-9")),
            ("MSET a 1 b 2", Value::Okay),
            ("MGET a none b", Value::Array(vec![bulk("1"), Value::Nil, bulk("2")])),
            ("DBSIZE", integer(3)),
            ("CAS a 2 3", integer(0)),
            ("CAS a 1 3", integer(1)),
            ("CAS none 1 3", integer(0)),
            ("GET a", bulk("3")),
            ("PING", Value::SimpleString("PONG".to_owned())),
            ("PING there", bulk("there")),
            ("ECHO there", bulk("there")),
            ("SELECT 0", Value::Okay),
            ("CLUSTER KEYSLOT foo", integer(12182)),
        ],
    );
    for (line, expected) in [
        ("INCR a_word", "ERR value is not an integer or out of range"),
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("SELECT 1", "ERR DB index is out of range: there is database 0 only"),
        ("NOSUCH x", "ERR unknown command 'NOSUCH'"),
    ] {
        ask(&mut client, "SET a_word x").unwrap();
        assert_eq!(text(&ask(&mut client, line).unwrap_err()), expected);
    }
    ask(&mut client, "SET n 9223372036854775807").unwrap();
    let error = text(&ask(&mut client, "INCR n").unwrap_err());
    assert_eq!(error, "ERR increment or decrement would overflow");
}

#[test]
fn keys_and_values_are_any_bytes() {
    let cluster = Cluster::start();
    let mut client = cluster.leading_client();
    let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let () = client.set(&all[..], &all[..]).unwrap();
    assert_eq!(client.get::<_, Vec<u8>>(&all[..]), Ok(all));
    let () = client.set(b"", b"").unwrap();
    assert_eq!(client.get::<_, Option<Vec<u8>>>(b""), Ok(Some(vec![])));
    let largest = vec![b'x'; 1 << 20];
    let () = client.set(b"largest", &largest).unwrap();
    assert_eq!(client.get::<_, Vec<u8>>(b"largest"), Ok(largest));
}

#[test]
fn the_third_version_of_the_protocol_works_as_the_second() {
    let cluster = Cluster::start();
    let mut address = cluster.addresses[cluster.leader()].clone();
    address.push_str("/?protocol=resp3");
    let client = redis::Client::open(format!("redis://{address}")).unwrap();
    let mut client = client.get_connection().unwrap();
    says(&mut client, &[("SET k v", Value::Okay), ("GET k", bulk("v")), ("GET none", Value::Nil)]);
    let Value::Map(hello) = ask(&mut client, "HELLO 3").unwrap() else { panic!("no map") };
    assert!(hello.contains(&(bulk("proto"), integer(3))), "{hello:?}");
}

#[test]
fn requests_that_come_together_are_answered_in_order() {
    let cluster = Cluster::start();
    let mut client = cluster.leading_client();
    let mut pipeline = redis::pipe();
    let mut expected = Vec::new();
    for number in 0..300 {
        // A read sees the writes before it.
        pipeline.cmd("SET").arg("k").arg(number).cmd("GET").arg("k").cmd("INCR").arg("n");
        pipeline.cmd("PING");
        expected.extend([Value::Okay, bulk(&number.to_string()), integer(number + 1)]);
        expected.push(Value::SimpleString("PONG".to_owned()));
    }
    assert_eq!(pipeline.query::<Vec<Value>>(&mut client), Ok(expected));
}

#[test]
fn all_servers_agree_on_what_has_expired() {
    let cluster = Cluster::start();
    let mut clients: Vec<Connection> = (0..3).map(|at| cluster.client(at)).collect();
    let leader = cluster.leader();
    let began = Instant::now();
    says(
        &mut clients[leader],
        &[
            ("SET soon v PX 1500", Value::Okay),
            ("SET late v EX 1000", Value::Okay),
            ("SET past v PXAT 1", Value::Okay),
            ("GET past", Value::Nil),
            ("SET kept v EX 1000", Value::Okay),
            ("SET kept w KEEPTTL", Value::Okay),
            ("SET stays v EX 1000", Value::Okay),
            ("SET stays w", Value::Okay),
            ("TTL stays", integer(-1)),
            ("TTL none", integer(-2)),
            ("EXPIRE none 5", integer(0)),
            ("EXPIRE stays 1000", integer(1)),
            ("PERSIST stays", integer(1)),
            ("PERSIST stays", integer(0)),
            ("TTL stays", integer(-1)),
            ("EXPIRE kept -1", integer(1)),
            ("EXISTS kept", integer(0)),
        ],
    );
    let error = ask(&mut clients[leader], "SET k v EX 0").unwrap_err();
    assert_eq!(text(&error), "ERR invalid expire time in 'set' command");
    for client in &mut clients {
        let seconds: i64 = cmd("TTL").arg("late").query(client).unwrap();
        assert!((900..=1000).contains(&seconds), "{seconds}");
        let there: i64 = cmd("EXISTS").arg("soon").query(client).unwrap();
        assert!(there == 1 || began.elapsed() > Duration::from_millis(1500));
    }
    // Nobody writes. It is gone all the same, and nobody who has seen that sees it again.
    let gone_at = eventually("expiry", || {
        (0..3).find(|at| ask(&mut clients[*at], "GET soon") == Ok(Value::Nil))
    });
    assert!(began.elapsed() >= Duration::from_millis(1500), "too early, at server {gone_at}");
    for client in &mut clients {
        says(client, &[("GET soon", Value::Nil), ("PTTL soon", integer(-2))]);
    }
    for client in &mut clients {
        eventually("two keys", || (ask(client, "DBSIZE") == Ok(integer(2))).then_some(()));
    }
}

#[test]
fn clients_are_told_of_the_servers_and_the_commands() {
    let cluster = Cluster::start();
    let leader = cluster.leader();
    let mut client = cluster.client(leader);
    let info: String = cmd("INFO").query(&mut client).unwrap();
    for line in ["role:master", "raft_role:leader", "lag:0", "follower_", "cluster_enabled:1"] {
        assert!(info.contains(line), "{line} in {info}");
    }
    let mut follower = cluster.client((leader + 1) % 3);
    let info: String = cmd("INFO").query(&mut follower).unwrap();
    assert!(info.contains("role:slave"), "{info}");
    assert!(info.contains(&format!("leader:{}", leader + 1)), "{info}");
    let Value::Array(commands) = ask(&mut client, "COMMAND").unwrap() else { panic!() };
    let count = ask(&mut client, "COMMAND COUNT").unwrap();
    assert_eq!(count, integer(commands.len() as i64));
    let save = ask(&mut client, "CONFIG GET save maxmemory");
    assert_eq!(save, Ok(Value::Array(vec![bulk("save"), bulk("")])));
    let nodes: String = cmd("CLUSTER").arg("NODES").query(&mut client).unwrap();
    assert_eq!(nodes.lines().count(), 3, "{nodes}");
    assert!(nodes.lines().next().unwrap().contains("myself,master"), "{nodes}");
    let state: String = cmd("CLUSTER").arg("INFO").query(&mut client).unwrap();
    assert!(state.contains("cluster_state:ok"), "{state}");
    let status: String = cmd("KONTIKI.STATUS").query(&mut client).unwrap();
    let report: kontiki_kv::server::ServerReport = serde_json::from_str(&status).unwrap();
    assert!(report.leads() && report.lag() == 0, "{status}");
    assert_eq!(report.voters, [1, 2, 3]);
}

/// A client that is made for clusters of Redis finds the leader by itself.
#[test]
fn a_client_of_clusters_finds_the_leader() {
    let cluster = Cluster::start();
    let follower = (cluster.leader() + 1) % 3;
    let address = format!("redis://{}", cluster.addresses[follower]);
    let client = redis::cluster::ClusterClient::new(vec![address]).unwrap();
    let mut connection = client.get_connection().unwrap();
    let () = connection.set("k", "v").unwrap();
    assert_eq!(connection.get::<_, String>("k").as_deref(), Ok("v"));
}
