//! A scope from end to end: the model is checked, its atlas recorded and replayed.

use crate::atlas::{Atlas, Transitions};
use crate::divergence::Divergence;
use crate::hidden::HiddenState;
use crate::implementation::Memory;
use crate::premise::{Refutation, refute};
use crate::replay::{ReplayReport, replay};
use kontiki::core::StartError;
use kontiki_model::check::{CheckOptions, CheckReport, CheckRow, Progress, check};
use kontiki_model::console::grouped;
use kontiki_model::outcome::Outcome;
use kontiki_specs::scope::Scope;
use serde::Serialize;
use std::fmt;
use std::time::{Duration, Instant};

/// How a scope ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The model keeps its properties, and the implementation does the same, state for state.
    Holds,
    /// The model does not keep them, or is not the one that was pinned.
    Model(kontiki_model::check::Verdict),
    /// A server of an honest cluster would have to turn a message away.
    Refuted(Box<Refutation>),
    /// The implementation does something else.
    Diverges(Box<Divergence>),
    /// There are not as many transitions as the scope file pins.
    Miscounted {
        /// What the scope file says.
        pinned: u64,
    },
    /// Not as many transitions have to be turned away as the scope file pins.
    OthersTurnedAway {
        /// What the scope file says.
        pinned: u64,
        /// How many have to be.
        counted: u64,
    },
    /// The implementation was not brought to every state of the model.
    Incomplete {
        /// How many states it was brought to.
        states: u64,
    },
    /// The implementation has more states than show.
    Hides(Box<HiddenState>),
}

impl Verdict {
    /// Whether this is what one wants.
    pub fn is_good(&self) -> bool {
        *self == Verdict::Holds
    }

    /// What it is for the command.
    pub fn outcome(&self) -> Outcome {
        match self {
            Verdict::Holds => Outcome::AllIsWell,
            Verdict::Model(verdict) => verdict.outcome(),
            Verdict::Refuted(_) | Verdict::Diverges(_) | Verdict::Hides(_) => Outcome::Broken,
            Verdict::Miscounted { .. }
            | Verdict::OthersTurnedAway { .. }
            | Verdict::Incomplete { .. } => Outcome::CountDiffers,
        }
    }

    /// What was found, told at length, where there is more to it than its line in the table says.
    pub fn details(&self) -> Option<String> {
        match self {
            Verdict::Refuted(refutation) => Some(format!(
                "what can happen is taken for what no honest cluster comes to, {refutation}"
            )),
            Verdict::Diverges(divergence) => {
                Some(format!("model and implementation differ.\n{divergence}"))
            }
            Verdict::Hides(hidden) => {
                Some(format!("the implementation holds what does not show.\n{hidden}"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Holds => write!(f, "holds"),
            Verdict::Model(verdict) => write!(f, "{verdict}"),
            Verdict::Refuted(refutation) => {
                write!(f, "MUST REJECT what can happen after {} steps", refutation.steps)
            }
            Verdict::Diverges(divergence) => {
                write!(f, "DIVERGES after {} steps", divergence.path.len())
            }
            Verdict::Miscounted { pinned } => {
                write!(f, "TRANSITIONS DIFFER: {} pinned", grouped(*pinned))
            }
            Verdict::OthersTurnedAway { pinned, counted } => {
                let (pinned, counted) = (grouped(*pinned), grouped(*counted));
                write!(f, "TURNED AWAY DIFFER: {pinned} pinned, {counted} counted")
            }
            Verdict::Incomplete { states } => {
                write!(f, "INCOMPLETE: {} states come to", grouped(*states))
            }
            Verdict::Hides(hidden) => {
                write!(f, "HIDDEN STATE after {} steps", hidden.paths[1].len())
            }
        }
    }
}

/// What was found out about a scope.
pub struct ScopeReport {
    /// The check of the model.
    pub check: CheckReport,
    /// How it all ended.
    pub verdict: Verdict,
    /// Pairs of a server's state and a message that met in the cluster: none of them is such that
    /// the message would have to be turned away.
    pub meetings: u64,
    /// States that a single server comes to.
    pub states: u64,
    /// What can happen to a server in them: the size of the atlas.
    pub transitions: Transitions,
    /// The replays, with as much of the log in memory as [`Memory`] says.
    pub replays: Vec<ReplayReport>,
    /// How long recording and replaying took by the clock.
    pub replay_time: Duration,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// The model is being checked, or what was found in it is looked for again.
    Check(Progress),
    /// The atlas is being replayed for the so many-th time, from 1.
    Replay(u64),
}

/// Checks a scope, looks whether it bears out the comparison's premise, records its atlas and
/// replays it. Calls `progress` some times a second while the model is checked, and before each replay.
///
/// # Errors
/// If the implementation refuses the scope's configuration.
pub fn verify(scope: &Scope, mut progress: impl FnMut(Stage)) -> Result<ScopeReport, StartError> {
    let check = check(scope, &CheckOptions::default(), |seen| progress(Stage::Check(seen)));
    let started = Instant::now();
    let mut report = ScopeReport {
        verdict: Verdict::Holds,
        meetings: 0,
        states: 0,
        transitions: Transitions::default(),
        replays: Vec::new(),
        replay_time: Duration::ZERO,
        check,
    };
    if !report.check.verdict.is_good() {
        report.verdict = Verdict::Model(report.check.verdict.clone());
        return Ok(report);
    }
    report.meetings = report.check.cluster.meetings();
    if let Some(refutation) = refute(&report.check.cluster, |seen| progress(Stage::Check(seen))) {
        report.verdict = Verdict::Refuted(Box::new(refutation));
        return Ok(report);
    }
    let atlas = Atlas::of(&report.check.cluster);
    report.states = atlas.states() as u64;
    report.transitions = atlas.transitions();
    for (nth, memory) in (1..).zip(Memory::ALL) {
        progress(Stage::Replay(nth));
        report.replays.push(replay(&atlas, memory)?);
    }
    report.replay_time = started.elapsed();
    report.verdict = judge(scope, &report);
    Ok(report)
}

fn judge(scope: &Scope, report: &ScopeReport) -> Verdict {
    for replay in &report.replays {
        if let Some(divergence) = &replay.divergence {
            return Verdict::Diverges(Box::new(divergence.clone()));
        }
        if let Some(hidden) = &replay.hidden {
            return Verdict::Hides(Box::new(hidden.clone()));
        }
        if replay.states != report.states {
            return Verdict::Incomplete { states: replay.states };
        }
    }
    let Transitions { all, turned_away: counted } = report.transitions;
    match (scope.local_transitions, scope.turned_away) {
        (Some(pinned), _) if pinned != all => Verdict::Miscounted { pinned },
        (_, Some(pinned)) if pinned != counted => Verdict::OthersTurnedAway { pinned, counted },
        _ => Verdict::Holds,
    }
}

/// A scope as it is written to JSON files.
#[derive(Clone, Debug, Serialize)]
pub struct ScopeRow {
    /// The check of the model.
    #[serde(flatten)]
    pub check: CheckRow,
    /// How all of it ended, in words; `holds` is what one wants.
    pub conformance: String,
    /// What was found, told at length.
    pub finding: Option<String>,
    /// Pairs of a server's state and a message that met in the cluster.
    pub meetings: u64,
    /// States that a single server comes to.
    pub server_states: u64,
    /// What can happen to a server in them.
    pub local_transitions: u64,
    /// Of those, what has to be turned away.
    pub turned_away: u64,
    /// Steps taken by the implementation and compared, over all replays.
    pub replayed: u64,
    /// Inputs that it had to turn away, and did, over all replays: those of the atlas, and a sample of
    /// what no server sends.
    pub rejected: u64,
    /// Crashes compared.
    pub crashes: u64,
    /// How long recording and replaying took by the clock.
    pub replay_seconds: f64,
}

impl ScopeRow {
    /// The row of a report.
    pub fn of(report: &ScopeReport) -> ScopeRow {
        let sum = |count: fn(&ReplayReport) -> u64| report.replays.iter().map(count).sum();
        ScopeRow {
            check: CheckRow::of(&report.check),
            conformance: report.verdict.to_string(),
            finding: report.verdict.details(),
            meetings: report.meetings,
            server_states: report.states,
            local_transitions: report.transitions.all,
            turned_away: report.transitions.turned_away,
            replayed: sum(|replay| replay.transitions),
            rejected: sum(|replay| replay.rejected),
            crashes: sum(|replay| replay.crashes),
            replay_seconds: report.replay_time.as_secs_f64(),
        }
    }
}
