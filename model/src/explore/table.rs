//! A cluster state as a table of text.

use crate::path::words::{disk, log, role, vote};
use crate::server::ServerState;
use kontiki_specs::{Envelope, Property};
use std::fmt::Write as _;

/// A cluster state as a table, for the Explorer.
pub fn table(servers: &[ServerState], messages: &[Envelope], broken: &[Property]) -> String {
    let mut table = String::new();
    for property in broken {
        let _ = writeln!(table, "BROKEN: {property}: {}\n", property.description());
    }
    let rows: Vec<[String; 7]> = servers
        .iter()
        .map(|server| {
            [
                server.id.to_string(),
                role(&server.role),
                server.term.to_string(),
                vote(server.vote),
                log(server.log.entries()),
                server.commit_index.to_string(),
                disk(server),
            ]
        })
        .collect();
    let heads = ["", "role", "term", "vote", "log", "commit", "disk"].map(String::from);
    let width = |column: usize| {
        rows.iter().chain([&heads]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    for row in [&heads].into_iter().chain(&rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(table, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    let _ = writeln!(table, "\nmessages that can still make a difference:");
    for message in messages {
        let _ = writeln!(table, "  {message}");
    }
    table
}
