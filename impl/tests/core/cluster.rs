//! Several servers in one process, with a network that a test can cut.

use crate::support::{self, step};
use kontiki::core::{Config, Raft};
use kontiki::storage::MemoryStore;
use kontiki::{Configuration, Input, MembershipChange, Output, Refusal, RoleKind, ServerId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub struct Cluster {
    servers: BTreeMap<ServerId, Raft<MemoryStore>>,
    down: BTreeSet<ServerId>,
    /// What servers have put out besides messages, since it was last taken.
    said: Vec<(ServerId, Output)>,
}

impl Cluster {
    /// Voters from 1 on, and after them servers that wait to be taken in.
    pub fn new(voters: u64, joining: u64, change: impl Fn(&mut Config)) -> Cluster {
        let ids = || (1..=voters).map(ServerId);
        let configs = ids().map(|id| Config::new(id, ids()));
        let joiners = (voters + 1..=voters + joining).map(|id| Config::joining(ServerId(id)));
        let servers = configs.chain(joiners).map(|mut config| {
            change(&mut config);
            (config.id, Raft::start(config, MemoryStore::new()).unwrap())
        });
        Cluster { servers: servers.collect(), down: BTreeSet::new(), said: Vec::new() }
    }

    pub fn server(&self, id: u64) -> &Raft<MemoryStore> {
        &self.servers[&ServerId(id)]
    }

    /// Nothing reaches the server any more, and nothing happens to it.
    pub fn stop(&mut self, id: u64) {
        self.down.insert(ServerId(id));
    }

    /// The server is back as it was, or anew from its disk.
    pub fn resume(&mut self, id: u64, restart: bool) {
        self.down.remove(&ServerId(id));
        if restart {
            self.take(ServerId(id), Input::Restart { torn: None });
        }
    }

    fn take(&mut self, id: ServerId, input: Input) -> Vec<Output> {
        let server = self.servers.get_mut(&id).unwrap();
        if let Input::Restart { .. } = input {
            let (config, store) = (server.config().clone(), server.store().clone());
            *server = Raft::start(config, store).unwrap();
            return Vec::new();
        }
        step(server, input)
    }

    /// Lets something happen to a server, and all that comes of it, messages first in, first out.
    pub fn happen(&mut self, id: u64, input: Input) {
        let mut queue = VecDeque::from([(ServerId(id), input)]);
        while let Some((id, input)) = queue.pop_front() {
            if self.down.contains(&id) {
                continue;
            }
            for output in self.take(id, input) {
                match output {
                    Output::SendChunk { .. } => {
                        let sent = support::sends(self.server(id.0), &[output], 4);
                        queue.extend(
                            sent.into_iter()
                                .map(|(to, message)| (to, Input::Deliver { from: id, message })),
                        );
                    }
                    Output::Send { to, message } => {
                        queue.push_back((to, Input::Deliver { from: id, message }));
                    }
                    other => self.said.push((id, other)),
                }
            }
        }
    }

    /// The server takes a snapshot of all that it has executed.
    pub fn snapshot(&mut self, id: u64) {
        let server = self.servers.get_mut(&ServerId(id)).unwrap();
        let applied = server.applied_index().0;
        support::snapshot(server, applied, b"all that was executed");
    }

    /// The server seeks election, when nobody is in contact with a leader any more.
    pub fn campaign(&mut self, id: u64) {
        for server in self.servers.keys().map(|id| id.0).collect::<Vec<_>>() {
            self.happen(server, Input::LeaderContactExpired);
        }
        self.happen(id, Input::ElectionTimeout);
    }

    /// The server is elected, and leads on.
    pub fn elect(&mut self, id: u64) {
        self.campaign(id);
        assert_eq!(self.server(id).role(), RoleKind::Leader, "S{id} is not elected");
    }

    /// Asks for a change, in the words of a scope file; `None` if it is taken.
    pub fn change(&mut self, id: u64, change: &str) -> Option<Refusal> {
        let change: MembershipChange = change.parse().unwrap();
        self.said.clear();
        self.happen(id, Input::ChangeMembership { change, expected: None });
        self.refusal(id)
    }

    /// What a server has refused since the last change was asked for.
    pub fn refusal(&self, id: u64) -> Option<Refusal> {
        let refused = |(by, output): &(ServerId, Output)| match output {
            Output::Refused { refusal } if by.0 == id => Some(refusal.clone()),
            _ => None,
        };
        self.said.iter().rev().find_map(refused)
    }

    /// Whether a server has put this out since the last change was asked for.
    pub fn has_said(&self, id: u64, output: &Output) -> bool {
        self.said.iter().any(|(by, said)| by.0 == id && said == output)
    }

    /// The servers that lead, and have not been stopped.
    pub fn leaders(&self) -> Vec<u64> {
        let leads = |server: &&Raft<MemoryStore>| server.role() == RoleKind::Leader;
        let up = self.servers.values().filter(|server| !self.down.contains(&server.id()));
        up.filter(leads).map(|server| server.id().0).collect()
    }

    /// A leader tells all how far the log is committed.
    pub fn heartbeat(&mut self, id: u64) {
        self.happen(id, Input::HeartbeatTimeout);
    }

    pub fn configuration(&self, id: u64) -> &Configuration {
        self.server(id).configuration()
    }

    /// The configuration that a server goes by, as text.
    pub fn shown(&self, id: u64) -> String {
        self.configuration(id).to_string()
    }
}
