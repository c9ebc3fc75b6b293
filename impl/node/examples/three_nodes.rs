//! A replicated counter: three servers in one process, with their disks in a temporary directory.

use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::kontiki::driver::Consistency::Linearizable;
use kontiki_node::kontiki::{LogIndex, ServerId};
use kontiki_node::{Client, Node, NodeConfig, Patience, Security, SnapshotImage, StateMachine};
use std::io::{self, Read, Write};
use std::{collections::BTreeMap, error::Error, net::TcpListener};

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
    let (mut listeners, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    for id in [1, 2, 3].map(ServerId) {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        addresses.insert(id, listener.local_addr()?.to_string());
        listeners.insert(id, listener);
    }
    let (mut nodes, mut handles) = (Vec::new(), BTreeMap::new());
    for (id, listener) in listeners {
        let (at, disk) = (addresses.clone(), disks.path().join(id.to_string()));
        let config = NodeConfig::new(0x5eed, id, at, disk, listener, Security::Plaintext);
        let node = Node::start(config, Counter(0)).await?;
        handles.insert(id, node.handle());
        nodes.push(node);
    }
    let client = Client::new(handles.clone(), Patience::default());
    println!("the counter is {}", client.write(vec![4, 38]).await?);
    for (id, handle) in &handles {
        println!("{id} reads {}", handle.read(Linearizable, ()).await?);
    }
    for node in nodes {
        node.shutdown().await;
    }
    Ok(())
}
