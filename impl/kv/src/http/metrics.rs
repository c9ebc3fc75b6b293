//! Metrics, as Prometheus reads them.

use crate::server::ServerReport;
use std::fmt::Write;

/// All metrics of a server.
pub(super) fn text(report: &ServerReport) -> String {
    let mut text = Text(String::new());
    text.gauge("is_leader", "1 if this server leads.", u64::from(report.leads()));
    text.gauge("has_leader", "1 if it knows who leads.", u64::from(report.leader.is_some()));
    text.gauge("term", "The latest term that it has seen.", report.term);
    text.gauge("last_index", "The end of its log.", report.last_index);
    text.gauge("durable_index", "Its log is on disk up to here.", report.durable_index);
    text.gauge("commit_index", "It knows the log to be committed up to here.", report.commit_index);
    text.gauge("executed_index", "It has executed the log up to here.", report.executed_index);
    let snapshot = report.snapshot_index.unwrap_or(0);
    text.gauge("snapshot_index", "Its snapshot covers the log up to here.", snapshot);
    text.gauge("voters", "How many servers vote.", report.voters.len() as u64);
    text.gauge("learners", "How many servers only receive the log.", report.learners.len() as u64);
    let change = u64::from(report.change_under_way);
    text.gauge("change_under_way", "1 while the membership is being changed.", change);
    text.gauge("disk_stalled", "1 while its disk makes no progress.", report.disk_stalls.into());
    text.gauge("stopped", "1 if it has stopped for good.", report.stopped.is_some().into());
    text.gauge("requests_waiting", "How many requests wait for an outcome.", report.waiting);
    text.gauge("uptime_seconds", "How long ago it started.", report.uptime_seconds);

    text.head("follower_lag", "gauge", "How many entries a follower lacks; at the leader only.");
    for follower in &report.followers {
        text.labelled("follower_lag", "follower", follower.id, follower.lag);
    }
    text.head("peer_connected", "gauge", "1 if a connection to another server stands.");
    for peer in &report.peers {
        text.labelled("peer_connected", "peer", peer.id, u64::from(peer.connected));
    }
    text.head("peer_dropped_messages_total", "counter", "Messages to it that found no room.");
    for peer in &report.peers {
        text.labelled("peer_dropped_messages_total", "peer", peer.id, peer.dropped);
    }
    let refused = report.refused_connections;
    text.counter("refused_connections_total", "Connections of others that were refused.", refused);
    for (name, count) in &report.counters {
        let help = format!("{} since the server started.", sentence(name));
        text.counter(&format!("{name}_total"), &help, *count);
    }

    text.gauge("kv_keys", "How many keys there are.", report.keys);
    text.gauge("kv_clients", "How many clients are connected.", report.clients);
    let requests = report.requests;
    text.counter("kv_connections_total", "Connections of clients.", requests.connections);
    text.counter("kv_writes_total", "Operations that write.", requests.writes);
    text.counter("kv_reads_total", "Operations that read.", requests.reads);
    text.counter("kv_failed_total", "Operations that had no answer but an error.", requests.failed);
    text.0
}

/// `leader_changes` as `Leader changes`.
fn sentence(name: &str) -> String {
    let mut words = name.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

struct Text(String);

impl Text {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into memory does not fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP kontiki_{name} {help}"));
        self.line(format_args!("# TYPE kontiki_{name} {kind}"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        self.line(format_args!("kontiki_{name} {value}"));
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.line(format_args!("kontiki_{name} {value}"));
    }

    fn labelled(&mut self, name: &str, label: &str, of: u64, value: u64) {
        self.line(format_args!("kontiki_{name}{{{label}=\"{of}\"}} {value}"));
    }
}
