//! Commands that are executed once.

use crate::cluster::{Cluster, ask, eventually, text};
use redis::Value;

#[test]
fn a_command_that_is_sent_again_is_executed_once_whoever_leads() {
    let mut cluster = Cluster::start();
    let Value::Int(session) = cluster.write("KONTIKI.OPEN") else { panic!("no session") };
    let once = format!("KONTIKI.ONCE {session} 1 1 INCR n");
    assert_eq!(cluster.write(&once), Value::Int(1));
    let leader = cluster.leader();
    assert_eq!(ask(&mut cluster.client(leader), &once), Ok(Value::Int(1)));
    cluster.crash(leader);
    assert_eq!(cluster.write(&once), Value::Int(1));
    assert_eq!(cluster.write(&format!("KONTIKI.ONCE {session} 2 2 INCR n")), Value::Int(2));
    cluster.restart(leader);
    // The answer to the first is not waited for any more.
    let forgotten = ask(&mut cluster.leading_client(), &once).unwrap_err();
    assert_eq!(forgotten.code(), Some("UNKNOWN"), "{forgotten}");
    assert_eq!(cluster.write("GET n"), Value::BulkString(b"2".into()));
    // What all remember is in snapshots, too.
    for at in 0..3 {
        eventually("a snapshot", || ask(&mut cluster.client(at), "KONTIKI.SNAPSHOT").ok());
    }
    (0..3).for_each(|at| cluster.crash(at));
    (0..3).for_each(|at| cluster.restart(at));
    let second = format!("KONTIKI.ONCE {session} 2 2 INCR n");
    assert_eq!(cluster.write(&second), Value::Int(2));
    let end = format!("KONTIKI.END {session}");
    assert_eq!(cluster.write(&end), Value::Okay);
    assert_eq!(cluster.write(&end), Value::Okay);
    let ended = ask(&mut cluster.leading_client(), &second).unwrap_err();
    assert_eq!(ended.code(), Some("SESSIONENDED"), "{ended}");
}

#[test]
fn what_is_no_command_of_a_session_is_told_so() {
    let cluster = Cluster::start();
    let mut client = cluster.leading_client();
    for (line, word) in [
        ("KONTIKI.ONCE 1 1 1 INCR n", "SESSIONENDED"),
        ("KONTIKI.ONCE 1 0 1 INCR n", "ERR"),
        ("KONTIKI.ONCE x 1 1 INCR n", "ERR"),
        ("KONTIKI.ONCE 1 1 1 PING", "ERR"),
        // Answers are remembered, and may be many: values would take memory without bound.
        ("KONTIKI.ONCE 1 1 1 GET n", "ERR"),
        ("KONTIKI.ONCE 1 1 1 MGET n n n", "ERR"),
        ("KONTIKI.ONCE 1 1 1 SET n 1 GET", "ERR"),
        ("KONTIKI.ONCE 1 1 1 KONTIKI.OPEN", "ERR"),
        ("KONTIKI.ONCE 1 1 1", "ERR"),
    ] {
        let error = ask(&mut client, line).unwrap_err();
        let told = text(&error);
        assert!(told.starts_with(word) || error.to_string().contains(word), "{line}: {error}");
    }
    assert_eq!(ask(&mut client, "EXISTS n"), Ok(Value::Int(0)));
    let follower = (cluster.leader() + 1) % 3;
    let moved = ask(&mut cluster.client(follower), "KONTIKI.OPEN").unwrap_err();
    assert!(moved.to_string().contains("Moved") || text(&moved).starts_with("MOVED"), "{moved}");
}
