//! What a recording costs: three servers in this process, and 64 clients that write 100 bytes at a time, for so
//! many seconds without recordings and for as many with them. Prints the writes of each second.
//!
//!     cargo run --release -p kontiki-node --no-default-features --example recording_cost -- 10 DIRECTORY
//!
//! The recordings are left in the directory, which may have none before.

use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::kontiki::{LogIndex, ServerId};
use kontiki_node::{Node, NodeConfig, RecordTo, Security, SnapshotImage, StateMachine};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{collections::BTreeMap, error::Error, net::TcpListener};

struct Count(u64);
impl StateMachine for Count {
    type Answer = ();
    type Query = ();
    type Reply = u64;
    fn apply(&mut self, _: LogIndex, _: &Bytes) {
        self.0 += 1;
    }
    fn query(&self, (): ()) -> u64 {
        self.0
    }
    fn snapshot(&self) -> SnapshotImage {
        let count = self.0;
        Box::new(move |to: &mut dyn Write| to.write_all(&count.to_le_bytes()))
    }
    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes).map(|()| self.0 = u64::from_le_bytes(bytes))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, seconds, directory] = arguments.as_slice() else {
        return Err("give a number of seconds and a directory".into());
    };
    let (seconds, directory) = (seconds.parse()?, PathBuf::from(directory));
    println!("without: {} writes a second", write(seconds, None).await?);
    println!("with: {} writes a second", write(seconds, Some(&directory)).await?);
    Ok(())
}

async fn write(seconds: u64, record: Option<&Path>) -> Result<u64, Box<dyn Error>> {
    let disks = tempfile::tempdir()?;
    let listen = |id| Ok((ServerId(id), TcpListener::bind("127.0.0.1:0")?));
    let listeners = (1..=3).map(listen).collect::<io::Result<BTreeMap<_, _>>>()?;
    let address = |(id, at): (&ServerId, &TcpListener)| Ok((*id, at.local_addr()?.to_string()));
    let addresses = listeners.iter().map(address).collect::<io::Result<BTreeMap<_, _>>>()?;
    let mut nodes = BTreeMap::new();
    for (id, listener) in listeners {
        let disk = disks.path().join(id.to_string());
        let (addresses, security) = (addresses.clone(), Security::Plaintext);
        let mut config = NodeConfig::new(0x5eed, id, addresses, disk, listener, security);
        config.record = record.map(|to| RecordTo { files: usize::MAX, ..RecordTo::directory(to) });
        nodes.insert(id, Node::start(config, Count(0)).await?);
    }
    let leader = loop {
        let leads = nodes.values().map(Node::handle);
        let mut found = None;
        for handle in leads {
            if handle.write(vec![0; 100]).await.is_ok() {
                found = Some(handle);
            }
        }
        match found {
            Some(handle) => break handle,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    let clients = (0..64).map(|_| {
        let leader = leader.clone();
        tokio::spawn(async move {
            let mut written = 0;
            while Instant::now() < end && leader.write(vec![b'x'; 100]).await.is_ok() {
                written += 1;
            }
            written
        })
    });
    let mut written: u64 = 0;
    for client in clients.collect::<Vec<_>>() {
        written += client.await?;
    }
    for node in nodes.into_values() {
        node.shutdown().await;
    }
    Ok(written / seconds.max(1))
}
