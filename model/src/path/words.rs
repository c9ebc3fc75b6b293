//! A server's state in words.

use crate::server::{Log, Role, ServerState, Write};
use kontiki_specs::{CatchUp, Input, LogIndex, ReplicationMode, ServerId, SessionCommand};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What changed in a server, a line for each thing.
pub(crate) fn differences(before: &ServerState, after: &ServerState) -> Vec<String> {
    let mut lines = Vec::new();
    let mut note = |what: &str, old: String, new: String| {
        if old != new {
            lines.push(format!("{what}: {old} → {new}"));
        }
    };
    note("role", role(&before.role), role(&after.role));
    note("term", before.term.to_string(), after.term.to_string());
    note("vote", vote(before.vote), vote(after.vote));
    note("log", log(&before.log), log(&after.log));
    let in_force = |state: &ServerState| state.configuration.to_string();
    note("snapshot", snapshot(before), snapshot(after));
    note("configuration", in_force(before), in_force(after));
    note("durable up to", before.durable_index.to_string(), after.durable_index.to_string());
    note("commit", before.commit_index.to_string(), after.commit_index.to_string());
    note("applied", before.applied_index.to_string(), after.applied_index.to_string());
    let not_executed = |state: &ServerState| format!("{} bytes", state.unexecuted_bytes);
    note("not executed", not_executed(before), not_executed(after));
    note("disk", disk(before), disk(after));
    note("waiting for", writes(before), writes(after));
    let progress = |state: &ServerState| if state.disk_stalls { "no" } else { "yes" }.to_string();
    note("disk makes progress", progress(before), progress(after));
    lines.extend(became_of_commands(before, after));
    lines
}

/// What became of commands, where there are sessions (rule C2), and what is remembered then.
fn became_of_commands(before: &ServerState, after: &ServerState) -> Vec<String> {
    let (old, new) = (&*before.state_machine, &*after.state_machine);
    let told = new.outcomes.iter().filter(|(index, _)| !old.outcomes.contains_key(index));
    let mut lines: Vec<String> =
        told.map(|(index, outcome)| format!("command {index}: {outcome}")).collect();
    if old.sessions != new.sessions {
        lines.push(format!("remembers {}", sessions(after)));
    }
    lines
}

/// The open sessions, with the sequence numbers whose answers are remembered.
fn sessions(server: &ServerState) -> String {
    let open = server.state_machine.sessions.iter().map(|(session, known)| {
        let answers = known.answers.iter().map(|(sequence, at)| format!("{sequence} at {at}"));
        format!("{session} [{}]", answers.collect::<Vec<_>>().join(", "))
    });
    let open = open.collect::<Vec<_>>().join(", ");
    if open.is_empty() { "no session".to_string() } else { open }
}

/// What clients say that propose commands of sessions.
pub(crate) fn said(input: &Input) -> String {
    let Input::Propose { commands } = input else { return String::new() };
    let said = commands.iter().map(SessionCommand::decode).collect::<Result<Vec<_>, _>>();
    let said = said.unwrap_or_default();
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    if said.is_empty() { String::new() } else { format!(": {}", said.join("; ")) }
}

/// A server in one line.
pub fn describe(server: &ServerState) -> String {
    let mut line = format!(
        "{}: {}, term {}, vote {}, log {}, commit {}",
        server.id,
        role(&server.role),
        server.term,
        vote(server.vote),
        log(&server.log),
        server.commit_index,
    );
    if server.applied_index != server.commit_index {
        let _ = write!(line, ", applied {}", server.applied_index);
    }
    if !server.writes.is_empty() || server.disk.log != server.log {
        let _ = write!(line, "; on disk: {}", disk(server));
    }
    line
}

pub(crate) fn role(role: &Role) -> String {
    match role {
        Role::Follower { leader: None, leader_contact: false } => "follower".to_string(),
        Role::Follower { leader: None, leader_contact: true } => "follower in contact".to_string(),
        Role::Follower { leader: Some(leader), leader_contact: false } => {
            format!("follower of {leader}")
        }
        Role::Follower { leader: Some(leader), leader_contact: true } => {
            format!("follower in contact with {leader}")
        }
        Role::PreCandidate { pre_votes } => format!("pre-candidate with [{}]", names(pre_votes)),
        Role::Candidate { votes, transfer } => {
            let told = if *transfer { ", told to campaign," } else { "" };
            format!("candidate{told} with [{}]", names(votes))
        }
        Role::Leader { progress, heard, transfer, reads } => {
            let known = progress.iter().map(|(follower, known)| {
                let mode = match known.mode {
                    ReplicationMode::Probe => "probe".to_string(),
                    ReplicationMode::Pipeline => "pipeline".to_string(),
                    ReplicationMode::Snapshot { snapshot, offset } => {
                        format!("snapshot {snapshot} at {offset}")
                    }
                };
                let catch_up = match known.catch_up {
                    None => String::new(),
                    Some(CatchUp::Done { goal }) => format!(" caught up to {goal}"),
                    Some(CatchUp::Round { number, goal, long }) => {
                        format!(" {}round {number} to {goal}", if long { "long " } else { "" })
                    }
                };
                let (matched, next) = (known.match_index, known.next_index);
                format!("{follower} {mode} match {matched} next {next}{catch_up}")
            });
            let known = known.collect::<Vec<_>>().join(", ");
            let heard = if heard.is_empty() {
                String::new()
            } else {
                format!(", heard [{}]", names(heard))
            };
            let to = transfer.map(|to| format!(", hands over to {to}")).unwrap_or_default();
            let reads = if reads.is_unused() { String::new() } else { format!(", {reads}") };
            format!("leader ({known}{heard}{to}{reads})")
        }
    }
}

/// Servers in a row.
pub(crate) fn names(ids: &BTreeSet<ServerId>) -> String {
    ids.iter().map(ServerId::to_string).collect::<Vec<_>>().join(" ")
}

pub(crate) fn vote(vote: Option<ServerId>) -> String {
    vote.map_or("none".to_string(), |vote| vote.to_string())
}

/// Entries as their terms, a command with a `c`, a configuration with its members: `[1 2c 2{S1}]`;
/// behind the base, if the log has let go of something: `2@1..[2c]`.
pub(crate) fn log(log: &Log) -> String {
    let shown = log.kept().iter().map(|entry| match &entry.payload {
        kontiki_specs::Payload::Noop => entry.term.to_string(),
        kontiki_specs::Payload::Command(_) => format!("{}c", entry.term),
        kontiki_specs::Payload::Configuration(members) => format!("{}{members}", entry.term),
    });
    let shown = shown.collect::<Vec<_>>().join(" ");
    match log.base() {
        base if base.index == LogIndex::ZERO => format!("[{shown}]"),
        base => format!("{base}..[{shown}]"),
    }
}

/// The snapshots of a server: its own, the one that it takes, and the one that it receives.
pub(crate) fn snapshot(server: &ServerState) -> String {
    let own = server.snapshot.as_ref().map(|own| own.about.to_string());
    let taking = server.taking.as_ref().map(|taking| format!("taking {}", taking.about.id.last));
    let received = server
        .receiving
        .as_ref()
        .map(|part| format!("{} bytes of {} received", part.bytes.len(), part.snapshot));
    let parts: Vec<String> = own.into_iter().chain(taking).chain(received).collect();
    if parts.is_empty() { "none".to_string() } else { parts.join(", ") }
}

pub(crate) fn disk(server: &ServerState) -> String {
    let disk = &server.disk;
    let snapshot = disk.snapshot.as_ref().map(|own| format!(" snapshot {}", own.about));
    let snapshot = snapshot.unwrap_or_default();
    format!("term {} vote {} {}{snapshot}", disk.term, vote(disk.vote), log(&disk.log))
}

pub(crate) fn writes(server: &ServerState) -> String {
    let shown = server.writes.iter().map(|write| match write {
        Write::HardState { term, vote: to } => format!("term {term} vote {}", vote(*to)),
        Write::Entries { first_index, entries, .. } => {
            let last = entries.last().map_or(LogIndex::ZERO, |entry| entry.index);
            format!("entries {first_index} to {last}")
        }
        Write::Chunk { snapshot, offset, .. } => format!("chunk of {snapshot} from {offset}"),
        Write::Install { snapshot, .. } => format!("snapshot {}", snapshot.about),
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    if shown.is_empty() { "no write".to_string() } else { shown }
}
