//! A scope's bounds in words.

use kontiki_specs::scope::{Disk, Scope};

/// What a scope lets happen, a phrase for each bound and each rule that is on.
pub(super) fn bounds(scope: &Scope) -> Vec<String> {
    let outside = scope.servers.saturating_sub(scope.voters);
    let mut all = vec![
        counted(scope.voters, "voter"),
        counted(scope.terms, "term"),
        format!("logs of up to {}", scope.log),
    ];
    let mut note = |holds: bool, what: String| {
        if holds {
            all.push(what);
        }
    };
    note(outside > 0, counted(outside, "server") + " outside");
    match scope.commands {
        None => note(true, "commands as there is room".to_string()),
        Some(commands) => note(true, counted(commands, "command")),
    }
    note(scope.batch != 1, format!("{} entries a message", scope.batch));
    note(scope.window < scope.log, format!("{} entries under way", scope.window));
    note(scope.batch_bytes.is_some(), "messages limited in bytes".to_string());
    note(scope.window_bytes.is_some(), "entries under way limited in bytes".to_string());
    note(scope.snapshot_bytes.is_some(), "snapshots that become due".to_string());
    note(scope.snapshot_failures, "snapshots that fail".to_string());
    note(scope.apply_bytes.is_some(), "entries handed over limited in bytes".to_string());
    note(scope.restarts > 0, format!("crashes: {}", scope.restarts));
    note(scope.disk == Disk::Asynchronous, "slow disks".to_string());
    note(scope.disk_stalls, "disks that stall".to_string());
    note(scope.pre_vote, "pre-vote".to_string());
    note(scope.leader_contact, "leader contact".to_string());
    note(scope.leases, "leases".to_string());
    note(scope.check_quorum, "check-quorum".to_string());
    note(!scope.heartbeats, "no heartbeats".to_string());
    for change in &scope.changes {
        note(true, format!("change \"{change}\""));
    }
    note(scope.catch_up_rounds > 0, counted(scope.catch_up_rounds, "catch-up round"));
    note(scope.transfers > 0, counted(scope.transfers, "transfer"));
    note(scope.snapshots > 0, counted(scope.snapshots, "snapshot"));
    note(scope.chunks > 1, format!("snapshots in {} chunks", scope.chunks));
    note(scope.kept_entries > 0, format!("covered entries kept: {}", scope.kept_entries));
    note(scope.reads > 0, counted(scope.reads, "read"));
    note(scope.follower_reads > 0, counted(scope.follower_reads, "follower read"));
    if scope.sessions > 0 {
        let (numbers, open) = (scope.session_commands, scope.most_sessions);
        note(true, format!("{} of {numbers} numbers", counted(scope.sessions, "session")));
        note(true, format!("{open} of them open"));
        note(true, format!("{} remembered", counted(scope.most_answers, "answer")));
        note(scope.session_ends, "sessions ended by clients".to_string());
    }
    all
}

fn counted(count: u64, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
