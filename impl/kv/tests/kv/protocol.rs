//! Clients that send nonsense, or take no answers.

use crate::cluster::{Cluster, PATIENCE, ask};
use redis::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::sleep;
use std::time::Duration;

fn connect(cluster: &Cluster, at: usize) -> TcpStream {
    let stream = TcpStream::connect(&cluster.addresses[at]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes, and tells what comes back until the server closes the connection.
fn told(cluster: &Cluster, bytes: &[u8]) -> String {
    let mut stream = connect(cluster, 0);
    // The server may have closed it before all is written.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    // What the server has not read makes the end of the connection an error.
    drop(stream.read_to_end(&mut answer));
    String::from_utf8(answer).unwrap()
}

#[test]
fn nonsense_is_answered_and_the_connection_closed() {
    let cluster = Cluster::start();
    for (bytes, error) in [
        (&b"*1\r\n$9999999999\r\n"[..], "invalid bulk length"),
        (b"*1\r\n$2000000\r\n", "invalid bulk length"),
        (b"*1\r\n$-5\r\n", "invalid bulk length"),
        (b"*9999999999\r\n", "invalid multibulk length"),
        (b"*100000\r\n", "invalid multibulk length"),
        (b"*1\r\n*1\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n$4\r\nPINGPONG", "expected the end of an argument"),
    ] {
        let expected = format!("-ERR Protocol error: {error}\r\n");
        assert_eq!(told(&cluster, bytes), expected, "{}", bytes.escape_ascii());
    }
    let nested = "*1\r\n".repeat(200_000);
    assert!(told(&cluster, nested.as_bytes()).starts_with("-ERR Protocol error"));
    let long = [b'x'; 100_000];
    assert!(told(&cluster, &long).starts_with("-ERR Protocol error: too big inline"));
    let web = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET k v\r\n";
    assert_eq!(told(&cluster, web), "-ERR this is no HTTP server\r\n");
    // What came before is answered, and nothing that comes behind is done.
    let behind = b"PING\r\n*1\r\n$x\r\nSET k v\r\n";
    assert_eq!(told(&cluster, behind), "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n");
    assert_eq!(ask(&mut cluster.client(0), "GET k"), Ok(Value::Nil));
}

#[test]
fn words_on_a_line_work_and_so_do_bytes_that_dribble() {
    let cluster = Cluster::start();
    let mut stream = connect(&cluster, cluster.leader());
    for byte in b"set k  v\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nQUIT\r\n" {
        stream.write_all(&[*byte]).unwrap();
        sleep(Duration::from_millis(1));
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "+OK\r\n$1\r\nv\r\n+OK\r\n");
}

/// A client that goes on asking and reads nothing is held up, and others are not.
#[test]
fn who_reads_no_answers_is_held_up() {
    let cluster = Cluster::start();
    let leader = cluster.leader();
    let value = "x".repeat(1 << 20);
    let mut client = cluster.client(leader);
    let () = redis::cmd("SET").arg("k").arg(&value).query(&mut client).unwrap();
    let mut greedy = connect(&cluster, leader);
    greedy.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    // 10 000 answers of a mebibyte are asked for by each of these. The system takes some of them in.
    let asks = b"GET k\r\n".repeat(10_000);
    let mut asked = 0;
    while asked < 1_000 && greedy.write_all(&asks).is_ok() {
        asked += 1;
    }
    assert!(asked < 1_000, "the server goes on reading");
    assert_eq!(ask(&mut client, "PING"), Ok(Value::SimpleString("PONG".to_owned())));
    greedy.shutdown(Shutdown::Both).unwrap();
    assert_eq!(ask(&mut client, "STRLEN k"), Ok(Value::Int(1 << 20)));
}
