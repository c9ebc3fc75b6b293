//! How all servers are: each is asked, and some may not answer.

use crate::client;
use crate::server::{KnownServer, ServerReport};
use serde::Serialize;
use std::thread;
use std::time::Duration;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

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
    /// Asks the servers that this one knows, all at once.
    pub fn gather(own: ServerReport) -> ClusterReport {
        let asked = own.id;
        let servers = thread::scope(|scope| {
            let asking: Vec<_> = own
                .servers
                .iter()
                .map(|known| (known, (known.id != asked).then(|| scope.spawn(|| ask(known)))))
                .collect();
            let answered = asking.into_iter().map(|(known, asking)| {
                let answer = match asking {
                    None => Ok(own.clone()),
                    Some(thread) => {
                        thread.join().unwrap_or_else(|_| Err("asking has failed".to_owned()))
                    }
                };
                let known = known.clone();
                match answer {
                    Ok(report) => Answered { known, report: Some(report), error: None },
                    Err(error) => Answered { known, report: None, error: Some(error) },
                }
            });
            answered.collect()
        });
        ClusterReport { asked, servers }
    }
}

fn ask(server: &KnownServer) -> Result<ServerReport, String> {
    let text = client::ask_there(&server.clients, &["KONTIKI.STATUS"], PATIENCE);
    let text = text.map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}
