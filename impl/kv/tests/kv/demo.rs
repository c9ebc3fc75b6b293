//! The demo as a user starts it.

use crate::cluster::{ask, eventually};
use redis::{Connection, Value};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

struct Demo {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Demo {
    fn start() -> Demo {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kontiki-kv"));
        command.args(["demo", "--port", "0"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Demo { process, lines }
    }

    fn line(&mut self, has: &str) -> String {
        loop {
            let line = self.lines.next().expect("the demo has ended").unwrap();
            if line.contains(has) {
                return line;
            }
        }
    }
}

fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([name, &process.to_string()]).status().unwrap();
    assert!(status.success());
}

fn connect(address: &str) -> Option<Connection> {
    redis::Client::open(format!("redis://{address}")).unwrap().get_connection().ok()
}

#[test]
fn a_server_is_killed_and_the_others_go_on() {
    let mut demo = Demo::start();
    demo.line("  server ");
    // Number, address for clients, page, process, and who leads.
    let rows: Vec<Vec<String>> = (0..3)
        .map(|_| demo.line("http://").split_whitespace().map(str::to_owned).collect())
        .collect();
    let leader = rows.iter().position(|row| row.last().unwrap() == "leads").unwrap();
    let write = |line: &str| {
        eventually("a write", || rows.iter().find_map(|row| ask(&mut connect(&row[1])?, line).ok()))
    };
    assert_eq!(write("SET k v"), Value::Okay);
    signal("-9", rows[leader][3].parse().unwrap());
    demo.line("has ended");
    assert_eq!(write("SET k w"), Value::Okay);
    demo.process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    demo.line("is process");
    let value = eventually("the server that was killed", || {
        ask(&mut connect(&rows[leader][1])?, "GET k").ok()
    });
    assert_eq!(value, Value::BulkString(b"w".into()));
    signal("-INT", demo.process.id());
    assert!(demo.process.wait().unwrap().success());
    // Nobody is left behind.
    assert!(rows.iter().all(|row| connect(&row[1]).is_none()));
}
