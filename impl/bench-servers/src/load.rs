//! Clients that ask as fast as they are answered.

use crate::etcd::Etcd;
use crate::processes::{CLIENT_PORTS, System};
use crate::resp::Resp;
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// What clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Put,
    /// Linearizable.
    Get,
}

/// How many keys there are.
const KEYS: u64 = 10_000;
/// The bytes of a value.
const VALUE: [u8; 256] = [b'v'; 256];
/// Clients of etcd share connections beyond so many, as etcd's own benchmark has them.
const ETCD_CONNECTIONS: usize = 100;
/// How long a cluster may take until it serves.
const PATIENCE: Duration = Duration::from_secs(60);

enum Client {
    Etcd(Etcd),
    Kontiki(Resp),
}

impl Client {
    async fn ask(&mut self, operation: Operation, key: u64) -> Result<()> {
        let key = format!("key-{key:012}");
        let key = key.as_bytes();
        let bytes = match (self, operation) {
            (Client::Etcd(etcd), Operation::Put) => return etcd.put(key, &VALUE).await,
            (Client::Etcd(etcd), Operation::Get) => etcd.get(key).await?,
            (Client::Kontiki(resp), Operation::Put) => {
                return match &resp.ask(&[b"SET", key, &VALUE]).await?[..] {
                    b"OK" => Ok(()),
                    other => bail!("SET was answered {other:?}"),
                };
            }
            (Client::Kontiki(resp), Operation::Get) => resp.ask(&[b"GET", key]).await?.len(),
        };
        if bytes != VALUE.len() {
            bail!("a value of {bytes} bytes was read");
        }
        Ok(())
    }
}

/// The port of a leader that serves, as soon as there is one, and its version.
pub(crate) async fn leader(system: &System) -> Result<(u16, String)> {
    let start = Instant::now();
    loop {
        for port in CLIENT_PORTS {
            if let Ok(Some(version)) = leads(system, port).await {
                return Ok((port, version));
            }
        }
        if start.elapsed() > PATIENCE {
            bail!("nobody leads after {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The version of a server that leads.
async fn leads(system: &System, port: u16) -> Result<Option<String>> {
    match system {
        System::Etcd => {
            let etcd = Etcd::connect(port).await?;
            let (leads, version) = etcd.status().await?;
            if leads {
                etcd.put(b"key-000000000000", &VALUE).await?;
            }
            Ok(leads.then_some(version))
        }
        System::Kontiki(_) => {
            let mut resp = Resp::connect(port).await?;
            let written = resp.ask(&[b"SET", b"key-000000000000", &VALUE]).await?;
            Ok((written == b"OK").then(|| env!("CARGO_PKG_VERSION").to_owned()))
        }
    }
}

/// Clients that are connected to one server.
pub(crate) struct Clients(Vec<Client>);

impl Clients {
    pub(crate) async fn connect(system: &System, port: u16, count: usize) -> Result<Clients> {
        let mut clients = Vec::new();
        let mut connections = Vec::new();
        for client in 0..count {
            clients.push(match system {
                System::Etcd => {
                    if client < ETCD_CONNECTIONS {
                        connections.push(Etcd::connect(port).await?);
                    }
                    Client::Etcd(connections[client % ETCD_CONNECTIONS].clone())
                }
                System::Kontiki(_) => Client::Kontiki(Resp::connect(port).await?),
            });
        }
        Ok(Clients(clients))
    }

    /// Puts all keys.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        let share = KEYS.div_ceil(self.0.len() as u64);
        self.each(
            move |client, done| (done < share).then_some((client * share + done) % KEYS),
            Operation::Put,
        )
        .await?;
        Ok(())
    }

    /// Asks for so long, and gives how long each answer took, in microseconds.
    pub(crate) async fn run(&mut self, operation: Operation, time: Duration) -> Result<Vec<u32>> {
        let end = Instant::now() + time;
        // Neighbouring clients and requests have keys far apart.
        let next = move |client: u64, done: u64| {
            (Instant::now() < end).then_some((client * 7_919 + done * 104_729) % KEYS)
        };
        self.each(next, operation).await
    }

    async fn each(
        &mut self,
        next: impl Fn(u64, u64) -> Option<u64> + Clone + Send + 'static,
        operation: Operation,
    ) -> Result<Vec<u32>> {
        let tasks = self.0.drain(..).zip(0..).map(|(mut client, number)| {
            let next = next.clone();
            tokio::spawn(async move {
                let mut took = Vec::new();
                let mut done = 0;
                while let Some(key) = next(number, done) {
                    let start = Instant::now();
                    client.ask(operation, key).await?;
                    took.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
                    done += 1;
                }
                anyhow::Ok((client, took))
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut all = Vec::new();
        for task in tasks {
            let (client, mut took) = task.await.context("a client has panicked")??;
            self.0.push(client);
            all.append(&mut took);
        }
        Ok(all)
    }
}
