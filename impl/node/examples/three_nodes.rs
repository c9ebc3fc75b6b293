//! A replicated counter: three servers in one process, with their disks in a temporary directory.

use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::kontiki::driver::Consistency;
use kontiki_node::kontiki::{LogIndex, ServerId};
use kontiki_node::{Node, NodeConfig, RequestError, Security, SnapshotImage, StateMachine};
use std::io::{self, Read, Write};
use std::{collections::BTreeMap, error::Error, net::TcpListener, time::Duration};

struct Counter(u64);
impl StateMachine for Counter {
    type Answer = u64;
    type Query = ();
    type Reply = u64;
    fn apply(&mut self, _: LogIndex, command: &Bytes) -> u64 {
        self.0 += command.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        self.0
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
    let disks = tempfile::tempdir()?;
    let listen = |id| Ok((ServerId(id), TcpListener::bind("127.0.0.1:0")?));
    let listeners = (1..=3).map(listen).collect::<io::Result<BTreeMap<_, _>>>()?;
    let address = |(id, at): (&ServerId, &TcpListener)| Ok((*id, at.local_addr()?.to_string()));
    let addresses = listeners.iter().map(address).collect::<io::Result<BTreeMap<_, _>>>()?;
    let mut nodes = BTreeMap::new();
    for (id, listener) in listeners {
        let disk = disks.path().join(id.to_string());
        let config =
            NodeConfig::new(0x5eed, id, addresses.clone(), disk, listener, Security::Plaintext);
        nodes.insert(id, Node::start(config, Counter(0)).await?);
    }
    let mut ask = ServerId(1);
    let count = loop {
        match nodes[&ask].handle().write(vec![4, 38]).await {
            Err(RequestError::NotLeader { leader }) => ask = leader.unwrap_or(ask),
            answer => break answer?,
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // Nobody leads yet.
    };
    println!("{ask} has executed a command, and the counter is {count}");
    for (id, node) in &nodes {
        println!("{id} reads {}", node.handle().read(Consistency::Linearizable, ()).await?);
    }
    for node in nodes.into_values() {
        node.shutdown().await;
    }
    Ok(())
}
