//! A cluster state as the Explorer's page lays it out in tables.

use crate::cluster::{Cluster, State};
use crate::path::words::{disk, log, names, role, vote, writes};
use crate::server::{Role, ServerState};
use kontiki_specs::{LogIndex, ServerId};
use serde::Serialize;

/// A state, ready to be shown.
#[derive(Serialize)]
pub(super) struct View {
    servers: Vec<ServerRow>,
    /// What leaders know of their followers.
    progress: Vec<ProgressRow>,
    /// The messages that can still make a difference.
    messages: Vec<String>,
    /// The properties that the state, or the step that led to it, breaks.
    broken: Vec<&'static str>,
}

#[derive(Serialize)]
struct ServerRow {
    server: ServerId,
    /// "leader" and so on, for the colour of the row.
    kind: String,
    role: String,
    term: String,
    vote: String,
    log: String,
    configuration: String,
    commit: LogIndex,
    applied: LogIndex,
    disk: String,
    waiting_for: String,
}

#[derive(Serialize)]
struct ProgressRow {
    leader: ServerId,
    follower: ServerId,
    mode: String,
    matched: LogIndex,
    next: LogIndex,
    catch_up: String,
}

impl View {
    pub(super) fn of(cluster: &Cluster, state: &State) -> View {
        let servers = cluster.server_states(state);
        let messages = cluster.messages(state);
        View {
            progress: servers.iter().flat_map(progress).collect(),
            servers: servers.iter().map(server).collect(),
            messages: messages.iter().map(ToString::to_string).collect(),
            broken: state.broken().iter().map(|property| property.name()).collect(),
        }
    }
}

fn server(state: &ServerState) -> ServerRow {
    let stored = &state.disk;
    let all_stored =
        (stored.term, stored.vote, &stored.log) == (state.term, state.vote, &state.log);
    ServerRow {
        server: state.id,
        kind: state.role.kind().to_string(),
        role: match &state.role {
            // Its followers have a table of their own.
            Role::Leader { heard, transfer, .. } => {
                let heard = if heard.is_empty() {
                    String::new()
                } else {
                    format!(", heard [{}]", names(heard))
                };
                let to = transfer.map(|to| format!(", hands over to {to}")).unwrap_or_default();
                format!("leader{heard}{to}")
            }
            other => role(other),
        },
        term: state.term.to_string(),
        vote: vote(state.vote),
        log: log(&state.log),
        configuration: state.configuration.to_string(),
        commit: state.commit_index,
        applied: state.applied_index,
        disk: if all_stored { "all of that".to_string() } else { disk(state) },
        waiting_for: writes(state),
    }
}

fn progress(state: &ServerState) -> Vec<ProgressRow> {
    let Role::Leader { progress, .. } = &state.role else { return Vec::new() };
    let row = |(follower, known): (&ServerId, &kontiki_specs::FollowerProgress)| ProgressRow {
        leader: state.id,
        follower: *follower,
        mode: known.mode.to_string(),
        matched: known.match_index,
        next: known.next_index,
        catch_up: known.catch_up.map(|known| known.to_string()).unwrap_or_default(),
    };
    progress.iter().map(row).collect()
}
