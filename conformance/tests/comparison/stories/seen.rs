//! What a story shows: its observations, looked at from several sides.

use bytes::Bytes;
use kontiki_conformance::stories::{Story, all};
use kontiki_specs::trace::TraceStep;
use kontiki_specs::{Entry, Input, Observation, Output, Payload, RoleObservation, ServerId};

pub fn story(name: &str) -> Story {
    all().unwrap().into_iter().find(|story| story.name == name).unwrap()
}

/// The steps of one server.
pub fn steps(story: &Story, server: u64) -> impl Iterator<Item = &TraceStep> {
    story.trace.steps.iter().filter(move |step| step.server == ServerId(server))
}

/// A server as it is in the end.
pub fn last(story: &Story, server: u64) -> &Observation {
    &steps(story, server).last().unwrap().observation
}

/// Whether a server is in this state at some time.
pub fn ever(story: &Story, server: u64, state: impl Fn(&Observation) -> bool) -> bool {
    steps(story, server).any(|step| state(&step.observation))
}

pub fn leads(of: &Observation) -> bool {
    matches!(of.role, RoleObservation::Leader { .. })
}

pub fn follows(of: &Observation, server: u64) -> bool {
    matches!(of.role, RoleObservation::Follower { leader, .. } if leader == Some(ServerId(server)))
}

pub fn terms(log: &[Entry]) -> Vec<u64> {
    log.iter().map(|entry| entry.term.0).collect()
}

/// How often a command stands in a log.
pub fn count(command: &'static str, log: &[Entry]) -> usize {
    let payload = Payload::Command(Bytes::from_static(command.as_bytes()));
    log.iter().filter(|entry| entry.payload == payload).count()
}

/// The index of the last entry of a log, whether it is let go of or not.
pub fn last_index(of: &Observation) -> u64 {
    of.log_base.index.0 + of.log.len() as u64
}

/// For each life of a server, the entries that it applies, and the index that its snapshot covers as
/// it begins. A snapshot that is installed begins a new life of the state machine.
pub fn applied(story: &Story, server: u64) -> Vec<(u64, Vec<Entry>)> {
    let mut lives = vec![(0, Vec::new())];
    for step in steps(story, server) {
        let restores = |output: &Output| matches!(output, Output::Restore { .. });
        if matches!(step.input, Input::Restart { .. }) || step.outputs.iter().any(restores) {
            let covered = step.observation.snapshot.as_ref().map_or(0, |own| own.id.last.index.0);
            lives.push((covered, Vec::new()));
        }
        for output in &step.outputs {
            if let Output::Apply { entries } = output {
                lives.last_mut().unwrap().1.extend(entries.iter().cloned());
            }
        }
    }
    lives
}

/// All these servers have the same log in the end, and have committed and applied all of it.
pub fn assert_one_log(story: &Story, servers: &[u64]) {
    for server in servers {
        let (end, other) = (last(story, *server), last(story, servers[0]));
        assert_eq!((end.log_base, &end.log), (other.log_base, &other.log), "{}", story.name);
        let reached = [end.durable_index.0, end.commit_index.0, end.applied_index.0];
        assert_eq!(reached, [last_index(end); 3], "{}, S{server}", story.name);
    }
}
