//! Servers that stop and start again.

use crate::cluster::{Cluster, ask, eventually, text};
use redis::{ServerError, Value};

#[test]
fn a_follower_sends_writers_to_the_leader_and_reads_itself() {
    let cluster = Cluster::start();
    cluster.write("SET foo v");
    let leader = cluster.leader();
    let mut follower = cluster.client((leader + 1) % 3);
    let error = ask(&mut follower, "SET foo w").unwrap_err();
    assert_eq!(text(&error), format!("MOVED 12182 {}", cluster.addresses[leader]));
    assert_eq!(ask(&mut follower, "GET foo"), Ok(Value::BulkString(b"v".into())));
    // Each of those that came together is told.
    let mut pipeline = redis::pipe();
    pipeline.cmd("SET").arg("foo").arg("w").cmd("GET").arg("foo").cmd("DEL").arg("bar");
    let answers: Vec<Value> = pipeline.ignore_errors().query(&mut follower).unwrap();
    assert_eq!(answers[1], Value::BulkString(b"v".into()));
    for (at, slot) in [(0, 12182), (2, 5061)] {
        let Value::ServerError(error) = &answers[at] else { panic!("{answers:?}") };
        let detail = format!("{slot} {}", cluster.addresses[leader]);
        assert_eq!(ServerError::details(error), Some(detail.as_str()));
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_all_servers_restart() {
    let mut cluster = Cluster::start();
    for number in 0..50 {
        cluster.write(&format!("SET k{number} {number}"));
    }
    cluster.write("SET expires v EX 1000");
    (0..3).for_each(|at| cluster.shutdown(at));
    (0..3).for_each(|at| cluster.restart(at));
    let check = |cluster: &Cluster| {
        cluster.leader();
        for at in 0..3 {
            let mut client = cluster.client(at);
            for number in 0..50 {
                let value = redis::cmd("GET").arg(format!("k{number}")).query(&mut client);
                assert_eq!(value, Ok(number));
            }
            let seconds: i64 = redis::cmd("TTL").arg("expires").query(&mut client).unwrap();
            assert!((800..=1000).contains(&seconds), "{seconds}");
        }
    };
    check(&cluster);
    (0..3).for_each(|at| cluster.crash(at));
    (0..3).for_each(|at| cluster.restart(at));
    check(&cluster);
}

/// Enough is written that snapshots are taken, and the server that was away is sent one.
#[test]
fn snapshots_hold_everything() {
    let mut cluster = Cluster::start();
    let away = (cluster.leader() + 1) % 3;
    cluster.crash(away);
    // More than the 1024 entries that a leader keeps behind its snapshot.
    for _ in 0..1500 {
        cluster.write("INCR n");
    }
    let value = "x".repeat(100_000);
    for number in 0..40 {
        cluster.write(&format!("SET big{number} {value}"));
    }
    cluster.restart(away);
    cluster.leader();
    let mut client = cluster.client(away);
    let n: u64 = redis::cmd("GET").arg("n").query(&mut client).unwrap();
    assert!(n >= 1500, "{n}");
    assert_eq!(ask(&mut client, "STRLEN big39"), Ok(Value::Int(100_000)));
    let status = cluster.servers[away].as_ref().unwrap().node().handle();
    let status = cluster.runtime.block_on(status.status()).unwrap().server;
    assert!(status.counters.snapshots_installed > 0, "it was sent entries");
    cluster.crash(away);
    cluster.restart(away);
    cluster.leader();
    let mut client = cluster.client(away);
    assert_eq!(ask(&mut client, "DBSIZE"), Ok(Value::Int(41)));
}

#[test]
fn a_fourth_server_joins_and_has_everything() {
    let mut cluster = Cluster::start();
    cluster.write("SET k v");
    cluster.join();
    eventually("a fourth voter", || {
        let members = kontiki_kv::admin::members(&cluster.addresses[3]).ok()?;
        members.starts_with("voters    1 2 3 4\n").then_some(())
    });
    let mut joined = cluster.client(3);
    let value = eventually("a read", || ask(&mut joined, "GET k").ok());
    assert_eq!(value, Value::BulkString(b"v".into()));
    // It sends writers to the leader.
    let leader = cluster.addresses[cluster.leader()].clone();
    let error = text(&ask(&mut joined, "SET k w").unwrap_err());
    assert!(error.ends_with(&leader), "{error}");
    // The others, whose files do not name it, send writers to it when it leads, after a restart from a snapshot too.
    let moved = format!("MOVED 7629 {}", cluster.addresses[3]);
    for _ in 0..2 {
        eventually("another leader", || {
            kontiki_kv::admin::transfer(&leader, 4).ok();
            (cluster.leader() == 3).then_some(())
        });
        for at in 0..3 {
            eventually("the new server's address", || {
                let error = ask(&mut cluster.client(at), "SET k w").err()?;
                (text(&error) == moved).then_some(())
            });
            kontiki_kv::admin::snapshot(&cluster.addresses[at]).ok();
            cluster.shutdown(at);
            cluster.restart(at);
        }
    }
}
