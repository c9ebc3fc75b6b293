//! How all servers are: each is asked, and some may not answer.

use crate::client;
use crate::server::{KnownServer, ServerReport};
use serde::Serialize;
use std::thread;
use std::time::Duration;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// So many are asked at the same time.
const AT_ONCE: usize = 32;

/// All servers that one of them knows the address of.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClusterReport {
    /// The server that knows them.
    pub asked: u64,
    /// In the order of their numbers.
    pub servers: Vec<Answered>,
}

/// What a server has answered.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answered {
    /// The server, as it is known.
    #[serde(flatten)]
    pub known: KnownServer,
    /// How it is.
    pub report: Option<ServerReport>,
    /// Why it has not said so.
    pub error: Option<String>,
}

impl ClusterReport {
    /// Asks the servers that this one knows, many at once.
    pub fn gather(own: ServerReport) -> ClusterReport {
        let groups = own.servers.chunks(AT_ONCE);
        let servers = groups.flat_map(|servers| ask_all(servers, &own)).collect();
        ClusterReport { asked: own.id, servers }
    }
}

/// Asks them at once, each by a thread of its own. What this server itself says is known.
fn ask_all(servers: &[KnownServer], own: &ServerReport) -> Vec<Answered> {
    thread::scope(|scope| {
        let asking: Vec<_> = servers
            .iter()
            .map(|known| {
                let asks = || thread::Builder::new().spawn_scoped(scope, || ask(known));
                (known, (known.id != own.id).then(asks))
            })
            .collect();
        let answered = asking.into_iter().map(|(known, asking)| {
            let answer = match asking {
                None => Ok(own.clone()),
                Some(Ok(thread)) => {
                    thread.join().unwrap_or_else(|_| Err("asking has failed".to_owned()))
                }
                Some(Err(error)) => Err(format!("it cannot be asked: {error}")),
            };
            let known = known.clone();
            match answer {
                Ok(report) => Answered { known, report: Some(report), error: None },
                Err(error) => Answered { known, report: None, error: Some(error) },
            }
        });
        answered.collect()
    })
}

fn ask(server: &KnownServer) -> Result<ServerReport, String> {
    let text = client::ask_there(&server.clients, &["KONTIKI.STATUS"], PATIENCE);
    let text = text.map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}
