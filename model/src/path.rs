//! A path through the model, from the start to a state, made readable: as a story for people and
//! as a trace for programs.

use crate::cluster::{Action, Cluster, State};
use crate::properties::{recovers, sets_to_recover};
use crate::server::{Mutation, Role, ServerState, Write};
use kontiki_specs::trace::{Trace, TraceHeader, TraceStep};
use kontiki_specs::{
    CatchUp, Envelope, Input, LogIndex, Output, Property, ReplicationMode, ServerId,
};
use stateright::Model;
use std::fmt::Write as _;

/// A path: the actions, and every step of every server on the way.
pub struct Path<'a> {
    cluster: &'a Cluster,
    /// One for each action.
    moments: Vec<Moment>,
    /// The servers at the end.
    last: Vec<ServerState>,
    /// The properties that the end breaks.
    broken: Vec<Property>,
}

/// One action: a server, and the steps it takes.
struct Moment {
    server: ServerId,
    before: ServerState,
    steps: Vec<(Input, Vec<Output>, ServerState)>,
}

impl<'a> Path<'a> {
    /// Follows actions from the start. Ends early at an action that is not possible.
    pub fn follow(cluster: &'a Cluster, actions: &[Action]) -> Option<Path<'a>> {
        let mut state: State = cluster.init_states().into_iter().next()?;
        let mut moments = Vec::new();
        for action in actions {
            let (server, turn) = cluster.turn(&state, *action);
            let place = usize::try_from(server.0).ok()?.checked_sub(1)?;
            let before = cluster.server_states(&state).into_iter().nth(place)?;
            moments.push(Moment { server, before, steps: turn.steps });
            state = cluster.next_state(&state, *action)?;
        }
        let broken = state.broken().iter().collect();
        Some(Path { cluster, moments, last: cluster.server_states(&state), broken })
    }

    /// What one action changes, in lines.
    pub fn change(cluster: &Cluster, state: &State, action: Action) -> String {
        let (server, turn) = cluster.turn(state, action);
        let servers = cluster.server_states(state);
        let Some(before) = servers.into_iter().find(|state| state.id == server) else {
            return String::new();
        };
        let moment = Moment { server, before, steps: turn.steps };
        let mut text = moment.headline() + "\n";
        for line in moment.changes() {
            let _ = writeln!(text, "  {line}");
        }
        text
    }

    /// The number of actions.
    pub fn len(&self) -> usize {
        self.moments.len()
    }

    /// Whether the path ends where it starts.
    pub fn is_empty(&self) -> bool {
        self.moments.is_empty()
    }

    /// The path as a trace: one line for each step of a server.
    pub fn trace(&self, mutation: Option<Mutation>, about: &str) -> Trace {
        let steps = self.moments.iter().flat_map(|moment| {
            moment.steps.iter().map(|(input, outputs, after)| TraceStep {
                server: moment.server,
                from: None,
                input: input.clone(),
                outputs: outputs.clone(),
                observation: after.observe(),
            })
        });
        Trace {
            header: TraceHeader {
                scope: self.cluster.scope().clone(),
                mutation: mutation.map(|mutation| mutation.name().to_string()),
                violates: self.broken.first().copied(),
                about: about.to_string(),
            },
            steps: steps.collect(),
        }
    }

    /// A smallest set of servers that should recover from the end and does not.
    fn stuck(&self) -> Vec<ServerId> {
        let stuck = sets_to_recover(self.cluster.scope()).into_iter().find(|places| {
            let servers: Vec<_> =
                places.iter().map(|place| &self.cluster.servers()[*place]).collect();
            let states: Vec<_> = places.iter().map(|place| &self.last[*place]).collect();
            !recovers(&servers, &states, self.cluster.scope().transfers > 0)
        });
        stuck.unwrap_or_default().into_iter().map(|place| self.last[place].id).collect()
    }

    /// The path as a story: numbered steps, what changed at each, and the end.
    pub fn story(&self) -> String {
        let mut story = String::new();
        for (number, moment) in self.moments.iter().enumerate() {
            let _ = writeln!(story, "{:>3}. {}", number + 1, moment.headline());
            for line in moment.changes() {
                let _ = writeln!(story, "       {line}");
            }
        }
        let _ = writeln!(story, "In the end:");
        for server in &self.last {
            let _ = writeln!(story, "       {}", describe(server));
        }
        for property in &self.broken {
            let _ = writeln!(story, "This breaks {property}: {}", property.description());
            if *property == Property::Recovery {
                let stuck: Vec<String> = self.stuck().iter().map(ServerId::to_string).collect();
                let _ = writeln!(story, "Left to themselves from here, these cannot: {stuck:?}");
            }
        }
        story
    }
}

impl Moment {
    fn headline(&self) -> String {
        self.steps
            .first()
            .map_or_else(String::new, |(input, ..)| format!("{} {input}", self.server))
    }

    /// What the server puts out and what changes in it.
    fn changes(&self) -> Vec<String> {
        let after = self.steps.last().map_or(&self.before, |(.., after)| after);
        let mut lines = differences(&self.before, after);
        if let [_, rest @ ..] = self.steps.as_slice()
            && !rest.is_empty()
        {
            lines.push("its disk completes the writes at once".to_string());
        }
        let outputs = self.steps.iter().flat_map(|(_, outputs, _)| outputs);
        lines.extend(outputs.filter_map(|output| match output {
            // What is said of these already, and what is the driver's.
            Output::RoleChanged { .. }
            | Output::LeaderChanged { .. }
            | Output::ResetElectionTimer { .. } => None,
            output => Some(output.to_string()),
        }));
        if lines.is_empty() {
            lines.push("nothing changes".to_string());
        }
        lines
    }
}

/// What changed in a server, a line for each thing.
fn differences(before: &ServerState, after: &ServerState) -> Vec<String> {
    let mut lines = Vec::new();
    let mut note = |what: &str, old: String, new: String| {
        if old != new {
            lines.push(format!("{what}: {old} → {new}"));
        }
    };
    note("role", role(&before.role), role(&after.role));
    note("term", before.term.to_string(), after.term.to_string());
    note("vote", vote(before.vote), vote(after.vote));
    note("log", log(before.log.entries()), log(after.log.entries()));
    let in_force = |state: &ServerState| state.configuration.to_string();
    note("configuration", in_force(before), in_force(after));
    note("durable up to", before.durable_index.to_string(), after.durable_index.to_string());
    note("commit", before.commit_index.to_string(), after.commit_index.to_string());
    note("applied", before.applied_index.to_string(), after.applied_index.to_string());
    note("disk", disk(before), disk(after));
    note("waiting for", writes(before), writes(after));
    let progress = |state: &ServerState| if state.disk_stalls { "no" } else { "yes" }.to_string();
    note("disk makes progress", progress(before), progress(after));
    lines
}

/// A server in one line.
pub fn describe(server: &ServerState) -> String {
    let mut line = format!(
        "{}: {}, term {}, vote {}, log {}, commit {}",
        server.id,
        role(&server.role),
        server.term,
        vote(server.vote),
        log(server.log.entries()),
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

fn role(role: &Role) -> String {
    let names = |ids: &std::collections::BTreeSet<ServerId>| {
        ids.iter().map(ServerId::to_string).collect::<Vec<_>>().join(" ")
    };
    match role {
        Role::Follower { leader: None, .. } => "follower".to_string(),
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
        Role::Leader { progress, heard, transfer } => {
            let known = progress.iter().map(|(follower, known)| {
                let mode = match known.mode {
                    ReplicationMode::Probe => "probe",
                    ReplicationMode::Pipeline => "pipeline",
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
            format!("leader ({known}{heard}{to})")
        }
    }
}

fn vote(vote: Option<ServerId>) -> String {
    vote.map_or("none".to_string(), |vote| vote.to_string())
}

/// Entries as their terms, a command with a `c`, a configuration with its members: `[1 2c 2{S1}]`.
fn log(entries: &[kontiki_specs::Entry]) -> String {
    let shown = entries.iter().map(|entry| match &entry.payload {
        kontiki_specs::Payload::Noop => entry.term.to_string(),
        kontiki_specs::Payload::Command(_) => format!("{}c", entry.term),
        kontiki_specs::Payload::Configuration(members) => format!("{}{members}", entry.term),
    });
    format!("[{}]", shown.collect::<Vec<_>>().join(" "))
}

fn disk(server: &ServerState) -> String {
    let disk = &server.disk;
    format!("term {} vote {} {}", disk.term, vote(disk.vote), log(disk.log.entries()))
}

fn writes(server: &ServerState) -> String {
    let shown = server.writes.iter().map(|write| match write {
        Write::HardState { term, vote: to } => format!("term {term} vote {}", vote(*to)),
        Write::Entries { first_index, entries, .. } => {
            let last = entries.last().map_or(LogIndex::ZERO, |entry| entry.index);
            format!("entries {first_index} to {last}")
        }
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    if shown.is_empty() { "no write".to_string() } else { shown }
}
