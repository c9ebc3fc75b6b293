//! What operators ask of a running cluster, through one of its servers.

use crate::client::{ClientError, ask, ask_there};
use crate::cluster_report::{Answered, ClusterReport};
use crate::server::ServerReport;
use anyhow::Context;
use std::time::Duration;

/// How long a change may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn report(server: &str) -> anyhow::Result<ServerReport> {
    let text = ask_there(server, &["KONTIKI.STATUS"], PATIENCE)?;
    serde_json::from_str(&text).context("the server is of another version")
}

/// How all servers are, as a table.
///
/// # Errors
/// If the server that is asked does not answer.
pub fn status(server: &str) -> anyhow::Result<String> {
    let cluster = ClusterReport::gather(report(server)?);
    let heads = ["server", "role", "term", "log ends", "committed", "executed", "keys", "clients"];
    let mut rows = vec![heads.map(str::to_owned)];
    let mut remarks = Vec::new();
    for Answered { known, report, error } in &cluster.servers {
        let Some(report) = report else {
            let nothing = ["no answer", "", "", "", "", ""].map(str::to_owned);
            let [role, term, last, commit, executed, keys] = nothing;
            let id = known.id.to_string();
            rows.push([id, role, term, last, commit, executed, keys, known.clients.clone()]);
            remarks.extend(error.clone());
            continue;
        };
        rows.push([
            report.id.to_string(),
            report.role.clone(),
            report.term.to_string(),
            report.last_index.to_string(),
            report.commit_index.to_string(),
            report.executed_index.to_string(),
            report.keys.to_string(),
            known.clients.clone(),
        ]);
        remarks.extend(report.stopped.as_ref().map(|why| format!("server {}: {why}", known.id)));
        remarks.extend(report.apart.as_ref().map(|why| format!("server {}: {why}", known.id)));
        if report.disk_stalls {
            remarks.push(format!(
                "server {}: its disk makes no progress; it may be full, or hang",
                known.id
            ));
        }
        let unreached = report.peers.iter().filter(|peer| !peer.connected);
        remarks.extend(unreached.map(|peer| {
            let why = peer.error.as_deref().unwrap_or("not connected yet");
            format!("server {} does not reach server {}: {why}", known.id, peer.id)
        }));
        let lagging = report.followers.iter().filter(|follower| follower.lag > 0);
        remarks.extend(lagging.map(|follower| {
            format!("server {} lags behind by {} entries", follower.id, follower.lag)
        }));
        if report.leads() && report.change_under_way {
            remarks.push("the membership is being changed".to_owned());
        }
    }
    let lines = table(&rows).into_iter().chain(remarks);
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Columns of equal width, as wide as needed.
fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Who the members are, as far as a server knows.
///
/// # Errors
/// If it does not answer.
pub fn members(server: &str) -> anyhow::Result<String> {
    let report = report(server)?;
    let list = |ids: &[u64]| match ids {
        [] => "none".to_owned(),
        ids => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    let mut text = format!("voters    {}\n", list(&report.voters));
    if !report.outgoing.is_empty() {
        text.push_str(&format!("outgoing  {}\n", list(&report.outgoing)));
    }
    text.push_str(&format!("learners  {}", list(&report.learners)));
    if report.change_under_way {
        text.push_str("\na change is under way");
    }
    if let Some(why) = report.apart {
        text.push_str(&format!("\nthis may be out of date: {why}"));
    }
    Ok(text)
}

/// Has the leader change the members: `add-learner 4`, for example.
///
/// # Errors
/// If it refuses, or does not answer.
pub fn change_members(server: &str, change: &[String]) -> Result<String, ClientError> {
    let words = change.iter().map(String::as_str);
    ask(server, &["KONTIKI.MEMBERS"].into_iter().chain(words).collect::<Vec<_>>(), PATIENCE)
        .map_err(ClientError::of_what_was_to_be_done)
}

/// Has another server lead.
///
/// # Errors
/// If the leader refuses or gives up, or does not answer.
pub fn transfer(server: &str, to: u64) -> Result<String, ClientError> {
    ask(server, &["KONTIKI.TRANSFER", &to.to_string()], PATIENCE)
        .map_err(ClientError::of_what_was_to_be_done)
}

/// Has a server take a snapshot.
///
/// # Errors
/// If there is none to take, or it does not answer.
pub fn snapshot(server: &str) -> Result<String, ClientError> {
    ask_there(server, &["KONTIKI.SNAPSHOT"], PATIENCE).map_err(ClientError::of_what_was_to_be_done)
}
