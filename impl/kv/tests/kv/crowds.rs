//! Many clients at once: what they ask goes to the log together, and each is told what is its own.

use crate::cluster::{Cluster, PATIENCE, ask};
use redis::{Connection, Value, cmd};
use std::sync::mpsc::{Sender, channel};
use std::thread;

const CLIENTS: usize = 16;
const ROUNDS: i64 = 100;
/// So many values are more than the bytes that go together.
const LARGE: usize = 40;
const LARGE_BYTES: usize = 20_000;

#[test]
fn each_of_many_clients_is_answered_as_if_it_were_alone() {
    let cluster = Cluster::start();
    let leader = cluster.leader();
    let clients: Vec<Connection> = (0..CLIENTS).map(|_| cluster.client(leader)).collect();
    let threads = clients.into_iter().zip(1..).map(|(mut client, number)| {
        thread::spawn(move || {
            // No two of them count to the same numbers.
            let start: i64 = number * 1_000_000;
            assert_eq!(ask(&mut client, &format!("SET n{number} {start}")), Ok(Value::Okay));
            for count in start + 1..=start + ROUNDS {
                let counted = ask(&mut client, &format!("INCR n{number}"));
                assert_eq!(counted, Ok(Value::Int(count)), "client {number}");
                let read = ask(&mut client, &format!("GET n{number}"));
                let expected = Value::BulkString(count.to_string().into_bytes());
                assert_eq!(read, Ok(expected), "client {number}");
            }
        })
    });
    // All of them begin before any is waited for.
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Keeps every thread that serves clients from doing so, until what comes back is dropped. What clients send
/// meanwhile is found at the same time.
fn hold_up(cluster: &Cluster) -> Vec<Sender<()>> {
    let threads = cluster.runtime.metrics().num_workers();
    let (told, holds) = channel();
    let held = (0..threads).map(|_| {
        let (release, released) = channel::<()>();
        let told = told.clone();
        cluster.runtime.spawn(async move {
            // Nobody has gone.
            let _ = told.send(());
            // It ends when the sender is dropped.
            let _ = released.recv();
        });
        release
    });
    let held = held.collect();
    (0..threads).for_each(|_| holds.recv_timeout(PATIENCE).unwrap());
    held
}

#[test]
fn more_than_goes_together_is_done_in_parts() {
    let cluster = Cluster::start();
    let leader = cluster.leader();
    let mut clients: Vec<Connection> = (0..LARGE).map(|_| cluster.client(leader)).collect();
    let value = |number: usize| vec![b'a' + (number % 26) as u8; LARGE_BYTES + number];
    let held = hold_up(&cluster);
    for (number, client) in clients.iter_mut().enumerate() {
        let set = cmd("SET").arg(format!("k{number}")).arg(value(number)).get_packed_command();
        client.send_packed_command(&set).unwrap();
    }
    drop(held);
    for client in &mut clients {
        assert_eq!(client.recv_response(), Ok(Value::Okay));
    }
    let held = hold_up(&cluster);
    for (number, client) in clients.iter_mut().enumerate() {
        let get = cmd("GET").arg(format!("k{number}")).get_packed_command();
        client.send_packed_command(&get).unwrap();
    }
    drop(held);
    for (number, client) in clients.iter_mut().enumerate() {
        let expected = Value::BulkString(value(number));
        assert!(client.recv_response() == Ok(expected), "client {number} is told something else");
    }
}
