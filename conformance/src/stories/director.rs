//! The director: lets things happen to a cluster of model servers, and writes down what they do.

use super::network::Network;
use super::{Story, StoryError, StoryProblem};
use kontiki_model::actor::servers;
use kontiki_model::environment::Environment;
use kontiki_model::server::{Disk, RaftServer, ServerState};
use kontiki_specs::scope::Scope;
use kontiki_specs::trace::{Trace, TraceHeader, TraceStep};
use kontiki_specs::{Input, ServerId};

/// The most steps of a story: it is to be read.
const MAX_STEPS: usize = 120;

/// A cluster to which happens what a story says.
///
/// Every step that a server takes is recorded. What the network does to a message that does not
/// arrive is no step of a server, and shows only in what is missing.
#[derive(Debug)]
pub struct Director {
    header: TraceHeader,
    pub(super) environment: Environment,
    servers: Vec<RaftServer>,
    states: Vec<ServerState>,
    pub(super) network: Network,
    pub(super) crashes: u64,
    steps: Vec<TraceStep>,
}

impl Director {
    /// A cluster in which nothing has happened. `scope` is the text of a scope file, to which a
    /// disk is added whose writes complete each by an input of its own.
    ///
    /// # Errors
    /// If the scope is wrong.
    pub fn new(name: &str, about: &str, scope: &str) -> Result<Director, StoryError> {
        let text = format!("{scope}\ndisk = \"asynchronous\"\n");
        let scope = Scope::parse(name, "story", &text).map_err(|error| StoryError {
            story: name.to_string(),
            steps: 0,
            problem: Box::new(error.into()),
        })?;
        let environment = Environment::of(&scope);
        let servers = servers(&scope, None);
        let states = servers.iter().map(RaftServer::boot).collect();
        let about = about.to_string();
        let header = TraceHeader { scope, mutation: None, violates: None, about };
        let network = Network::default();
        Ok(Director {
            header,
            environment,
            servers,
            states,
            network,
            crashes: 0,
            steps: Vec::new(),
        })
    }

    /// Lets a server start from what a disk holds: that is its first step.
    ///
    /// # Errors
    /// If it has taken a step before.
    pub fn start_from(&mut self, server: u64, disk: Disk) -> Result<(), StoryError> {
        let id = ServerId(server);
        let place = self.place(id)?;
        if self.steps.iter().any(|step| step.server == id) {
            return Err(self.error(StoryProblem::Started(id)));
        }
        let started = self.server(id)?.recover(disk, 0);
        if let Some(state) = self.states.get_mut(place) {
            *state = started;
        }
        self.happen(id, Input::Restart { torn: None })
    }

    /// What a server is now.
    ///
    /// # Errors
    /// If there is no such server.
    pub fn state(&self, server: u64) -> Result<&ServerState, StoryError> {
        let id = ServerId(server);
        self.states.get(self.place(id)?).ok_or_else(|| self.error(StoryProblem::NoServer(id)))
    }

    /// The servers' ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = u64> + use<> {
        1..=self.servers.len() as u64
    }

    /// The servers with a write under way.
    pub(super) fn writers(&self) -> Vec<u64> {
        let writing = self.states.iter().filter(|state| !state.writes.is_empty());
        writing.map(|state| state.id.0).collect()
    }

    /// The scope that the story lies in.
    pub(super) fn scope(&self) -> &Scope {
        &self.header.scope
    }

    /// The server, with its rules.
    pub(super) fn server(&self, id: ServerId) -> Result<&RaftServer, StoryError> {
        self.servers.get(self.place(id)?).ok_or_else(|| self.error(StoryProblem::NoServer(id)))
    }

    /// Lets an input happen to a server, and writes down what it does.
    pub(super) fn happen(&mut self, id: ServerId, input: Input) -> Result<(), StoryError> {
        let server = self.server(id)?;
        let (after, outputs) = server.step(self.state(id.0)?, &input);
        if !self.environment.contains(&after) {
            return Err(self.error(StoryProblem::BeyondScope(id)));
        }
        if self.steps.len() >= MAX_STEPS {
            return Err(self.error(StoryProblem::TooLong(MAX_STEPS)));
        }
        for output in &outputs {
            if let Some((to, message)) = self.environment.message(&after, output) {
                self.network.send(id, to, message);
            }
        }
        let observation = after.observe();
        self.steps.push(TraceStep { server: id, from: None, input, outputs, observation });
        let place = self.place(id)?;
        if let Some(state) = self.states.get_mut(place) {
            *state = after;
        }
        Ok(())
    }

    /// The story as it is now.
    pub fn finish(self) -> Story {
        let name = self.header.scope.name.clone();
        Story { name, trace: Trace { header: self.header, steps: self.steps } }
    }

    pub(super) fn error(&self, problem: StoryProblem) -> StoryError {
        StoryError {
            story: self.header.scope.name.clone(),
            steps: self.steps.len(),
            problem: Box::new(problem),
        }
    }

    /// Where the server stands among the others.
    fn place(&self, id: ServerId) -> Result<usize, StoryError> {
        self.servers
            .iter()
            .position(|server| server.id == id)
            .ok_or_else(|| self.error(StoryProblem::NoServer(id)))
    }
}
