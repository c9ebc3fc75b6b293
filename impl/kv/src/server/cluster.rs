//! What clients of Redis clusters ask: one server leads for all slots, and the others are its replicas.

use super::Shared;
use super::failure;
use super::slots::{SLOTS, slot};
use crate::command::ClusterQuestion;
use crate::resp::Reply;
use kontiki_node::kontiki::ServerId;
use kontiki_node::kontiki::driver::Status;

/// The answer to a question about the cluster.
pub(super) async fn answer(shared: &Shared, question: ClusterQuestion<'_>) -> Reply {
    let status = match question {
        ClusterQuestion::KeySlot(key) => return Reply::Integer(i64::from(slot(key))),
        ClusterQuestion::MyId => return Reply::text(name(shared.id)),
        _ => match shared.handle.status().await {
            Ok(status) => status.server,
            Err(error) => return failure::reply(&error, None, |_| None),
        },
    };
    match question {
        ClusterQuestion::Slots => slots(shared, &status),
        ClusterQuestion::Nodes => nodes(shared, &status),
        _ => info(&status),
    }
}

/// The name of a server: 40 hexadecimal digits, as clients expect it.
fn name(server: ServerId) -> String {
    format!("{:040x}", server.0)
}

fn info(status: &Status) -> Reply {
    let (state, slots) = match status.leader {
        Some(_) => ("ok", SLOTS),
        None => ("fail", 0),
    };
    let (servers, term) = (status.configuration.voters.len(), status.term.0);
    Reply::text(format!(
        "cluster_state:{state}\r\ncluster_slots_assigned:{SLOTS}\r\ncluster_slots_ok:{slots}\r\n\
         cluster_known_nodes:{servers}\r\ncluster_size:1\r\ncluster_current_epoch:{term}\r\n"
    ))
}

/// The members whose address is known, the leader first: host, port and server.
fn members(shared: &Shared, status: &Status) -> Vec<(String, u16, ServerId)> {
    let others = status.configuration.voters.iter().chain(&status.configuration.learners);
    let others = others.filter(|server| Some(**server) != status.leader);
    let servers = status.leader.iter().chain(others);
    let known = servers.filter_map(|server| {
        let address = shared.clients_of(*server)?;
        let (host, port) = address.rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?, *server))
    });
    known.collect()
}

fn slots(shared: &Shared, status: &Status) -> Reply {
    if status.leader.is_none() {
        return Reply::Array(Vec::new());
    }
    let server = |(host, port, server): (String, u16, ServerId)| {
        let port = Reply::Integer(i64::from(port));
        Reply::Array(vec![Reply::text(host), port, Reply::text(name(server)), Reply::Array(vec![])])
    };
    let range = [Reply::Integer(0), Reply::Integer(i64::from(SLOTS - 1))];
    let servers = members(shared, status).into_iter().map(server);
    Reply::Array(vec![Reply::Array(range.into_iter().chain(servers).collect())])
}

fn nodes(shared: &Shared, status: &Status) -> Reply {
    let mut lines = String::new();
    for (host, port, server) in members(shared, status) {
        let leads = Some(server) == status.leader;
        let own = if server == shared.id { "myself," } else { "" };
        let role = if leads { "master" } else { "slave" };
        let master = match status.leader {
            Some(leader) if !leads => name(leader),
            _ => "-".to_owned(),
        };
        let slots = if leads { format!(" 0-{}", SLOTS - 1) } else { String::new() };
        // Where servers talk to each other is nothing for clients.
        let (name, term) = (name(server), status.term.0);
        lines.push_str(&format!(
            "{name} {host}:{port}@0 {own}{role} {master} 0 0 {term} connected{slots}\n"
        ));
    }
    Reply::text(lines)
}
