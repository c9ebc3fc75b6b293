//! How far snapshots are checked.

use kontiki_specs::scope::{Disk, Scope, Suite};

/// What a scope may have, and how to see it.
type Feature = (&'static str, fn(&Scope) -> bool);

/// What may matter to snapshots, and is said if no scope with snapshots has it.
const FEATURES: [Feature; 6] = [
    ("transfers of leadership", |scope| scope.transfers > 0),
    ("disks that stall", |scope| scope.disk_stalls),
    ("limits in bytes", |scope| scope.batch_bytes.or(scope.window_bytes).is_some()),
    ("messages of several entries", |scope| scope.batch > 1),
    ("slow disks at several servers in two terms", |scope| {
        scope.disk == Disk::Asynchronous && leaders_change(scope)
    }),
    ("a crash among several servers in two terms", |scope| {
        scope.restarts > 0 && leaders_change(scope)
    }),
];

/// How large the scopes with snapshots are, and what none of them has.
pub(super) fn bounds(scopes: &[Scope]) -> String {
    let with: Vec<&Scope> =
        scopes.iter().filter(|scope| scope.suite.is_some() && scope.snapshots > 0).collect();
    let of = |suite| with.iter().filter(|scope| scope.suite == Some(suite)).count();
    let (ci, deep) = (of(Suite::Ci), of(Suite::Deep));
    let most = |bound: fn(&Scope) -> u64| with.iter().copied().map(bound).max().unwrap_or(0);
    let servers = most(|scope| scope.servers);
    let (terms, log) = (most(|scope| scope.terms), most(|scope| scope.log));
    let lacking = FEATURES.iter().filter(|(_, has)| !with.iter().any(|scope| has(scope)));
    let lacking = lacking.map(|(name, _)| *name).collect::<Vec<_>>().join("; ");
    let lacking = if lacking.is_empty() {
        String::new()
    } else {
        format!(" None of them has any of this: {lacking}.")
    };
    format!(
        "{ci} scopes of `ci` and {deep} of `deep` have snapshots, with at most {servers} servers, \
         {terms} terms and logs of {log} entries.{lacking}"
    )
}

fn leaders_change(scope: &Scope) -> bool {
    scope.servers > 1 && scope.terms > 1
}
