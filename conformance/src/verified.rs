//! `specs/VERIFIED.md`: what is verified, as a document that a command writes.
//!
//! Nothing is run for it. Every number in it is pinned in `specs`, and `verify`, `mutants` and
//! `claims` fail where a pinned number, a property that falls or a verdict is not what they find. So
//! the document is as true as the last run of those, and a test keeps it from going stale.

mod snapshots;

use crate::simulate::{DriversOptions, SimulationOptions};
use kontiki_model::console::grouped;
use kontiki_specs::scope::{Disk, Scope, Suite};
use kontiki_specs::{
    Claim, Goal, MutationRow, Property, claims, mutation_rows, reduction_scopes, rule_titles,
    simulation_records,
};
use std::error::Error;

/// The document with a word in braces where a table or a number goes.
const TEMPLATE: &str = include_str!("verified.md");

/// The whole document.
///
/// # Errors
/// If a file of `specs` that is built in is flawed; tests keep them correct.
pub fn document() -> Result<String, Box<dyn Error>> {
    let scopes = Scope::builtin()?;
    let of_suite = |suite: Option<Suite>| -> Vec<&Scope> {
        scopes.iter().filter(|scope| scope.suite == suite).collect()
    };
    let (ci, deep, other) =
        (of_suite(Some(Suite::Ci)), of_suite(Some(Suite::Deep)), of_suite(None));
    let mutations = mutation_rows()?;
    let claims = claims()?;
    let reductions = reduction_scopes()?;
    let fill = [
        ("rule-count", rule_titles().count().to_string()),
        ("ci-count", ci.len().to_string()),
        ("ci-states", sum(&ci, |scope| scope.unique_states)),
        ("ci-transitions", sum(&ci, |scope| scope.local_transitions)),
        ("ci-agreeing", agreeing(&ci)),
        ("ci-turned-away", turned_away(&ci)),
        ("snapshot-bounds", snapshots::bounds(&scopes)),
        ("deep-count", deep.len().to_string()),
        ("deep-states", sum(&deep, |scope| scope.unique_states)),
        ("property-count", Property::ALL.len().to_string()),
        ("goal-count", Goal::ALL.len().to_string()),
        ("mutation-count", mutations.len().to_string()),
        (
            "mutations-seen",
            mutations.iter().filter(|row| row.seen_in.is_some()).count().to_string(),
        ),
        ("most-steps", mutations.iter().map(|row| row.steps).max().unwrap_or_default().to_string()),
        ("claim-count", claims.len().to_string()),
        ("rules", rule_table(&mutations)),
        ("ci-scopes", scope_table(&ci)),
        ("deep-scopes", scope_table(&deep)),
        ("other-scopes", scope_table(&other)),
        ("properties", property_table(&scopes)),
        ("goals", goal_table(&scopes)),
        ("mutations", mutation_table(&mutations)),
        ("claims", claim_table(&claims)),
        ("exact-count", reductions.exact.len().to_string()),
        ("exact-scopes", scope_list(&reductions.exact)),
        ("larger-scopes", scope_list(&reductions.larger)),
        ("mutated-count", reductions.mutated.len().to_string()),
        ("mutated-scopes", scope_list(&reductions.mutated)),
        ("simulated", simulated()),
        ("simulations", simulation_table()?),
    ];
    let mut text = TEMPLATE.to_string();
    for (word, content) in fill {
        text = text.replace(&format!("{{{word}}}"), &content);
    }
    Ok(text)
}

fn sum(scopes: &[&Scope], pinned: fn(&Scope) -> Option<u64>) -> String {
    grouped(scopes.iter().filter_map(|scope| pinned(scope)).sum())
}

/// How many transitions the implementation makes as the model does, as far as that is pinned.
fn agreeing(scopes: &[&Scope]) -> String {
    let agree = |scope: &&Scope| Some(scope.local_transitions?.saturating_sub(scope.turned_away?));
    let all = scopes.iter().map(agree).sum::<Option<u64>>();
    all.map_or("most".to_string(), grouped)
}

/// How many it turns away, as far as that is pinned.
fn turned_away(scopes: &[&Scope]) -> String {
    let all = scopes.iter().map(|scope| scope.turned_away).sum::<Option<u64>>();
    all.map_or("the others".to_string(), |count| format!("the other {}", grouped(count)))
}

fn rule_table(mutations: &[MutationRow]) -> String {
    let mut shown = Table::new(&["rule", "title", "mutations"]);
    for (number, title) in rule_titles() {
        let names = mutations.iter().filter(|row| row.rule == number).map(|row| code(&row.name));
        shown.add_row([number, title, &or_dash(names.collect::<Vec<_>>().join(", "))]);
    }
    shown.0
}

fn scope_table(scopes: &[&Scope]) -> String {
    let mut shown = Table::new(&[
        "scope",
        "bounds and features",
        "goals reached",
        "cluster states",
        "transitions",
    ]);
    for scope in scopes {
        let goals = scope.sometimes.iter().map(|goal| goal.name()).collect::<Vec<_>>().join(", ");
        let pinned = |count: Option<u64>| or_dash(count.map(grouped).unwrap_or_default());
        shown.add_row([
            code(&scope.name),
            bounds(scope),
            or_dash(goals),
            pinned(scope.unique_states),
            pinned(scope.local_transitions),
        ]);
    }
    shown.0
}

fn scope_list(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| format!("* {}", bounds(scope))).collect::<Vec<_>>().join("\n")
}

/// A scope's bounds and features, as far as they are not those of a scope file that is silent.
fn bounds(scope: &Scope) -> String {
    let several = |count: u64, what: &str| {
        if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
    };
    let mut parts = vec![several(scope.servers, "server")];
    let mut say = |given: bool, what: String| {
        if given {
            parts.push(what);
        }
    };
    say(scope.voters < scope.servers, format!("{} of them voters at first", scope.voters));
    say(true, several(scope.terms, "term"));
    say(true, format!("log {}", scope.log));
    for change in &scope.changes {
        say(true, code(&change.to_string()));
    }
    let rounds = several(scope.catch_up_rounds, "catch-up round");
    say(scope.catch_up_rounds > 0, rounds);
    say(scope.transfers > 0, several(scope.transfers, "transfer"));
    say(scope.snapshots > 0, several(scope.snapshots, "snapshot"));
    say(scope.chunks > 1, several(scope.chunks, "chunk"));
    say(scope.kept_entries > 0, format!("{} kept", scope.kept_entries));
    if let Some(bytes) = scope.snapshot_bytes {
        say(true, format!("a snapshot due after {bytes} bytes"));
    }
    say(scope.snapshot_failures, "snapshots that fail".to_string());
    if scope.sessions > 0 {
        let (sessions, open) = (several(scope.sessions, "session"), scope.most_sessions);
        let numbers = several(scope.session_commands, "sequence number");
        let answers = several(scope.most_answers, "answer");
        say(true, format!("{sessions} of {numbers}, at most {open} open with {answers}"));
        say(scope.session_ends, "clients that end sessions".to_string());
    }
    say(scope.pre_vote, "pre-vote".to_string());
    say(scope.leader_contact, "leader contact".to_string());
    say(scope.leases, "leases".to_string());
    say(scope.check_quorum, "check-quorum".to_string());
    say(scope.disk == Disk::Asynchronous, "slow disks".to_string());
    say(scope.disk_stalls, "disks that stall".to_string());
    say(
        scope.restarts > 0,
        if scope.restarts == 1 {
            "1 crash".to_string()
        } else {
            format!("{} crashes", scope.restarts)
        },
    );
    if let Some(commands) = scope.commands {
        say(
            true,
            if commands == 0 { "no commands".to_string() } else { several(commands, "command") },
        );
    }
    say(scope.batch > 1, format!("{} entries a message", scope.batch));
    say(scope.window < 65_536, format!("window {}", scope.window));
    if let Some(bytes) = scope.batch_bytes {
        say(true, format!("{bytes} bytes of entries a message"));
    }
    if let Some(bytes) = scope.window_bytes {
        say(true, format!("window {bytes} bytes"));
    }
    if let Some(bytes) = scope.apply_bytes {
        say(true, format!("{bytes} bytes handed over"));
    }
    say(!scope.heartbeats, "no heartbeats".to_string());
    parts.join(", ")
}

fn property_table(scopes: &[Scope]) -> String {
    let mut shown = Table::new(&["property", "what must hold", "scopes of `ci`", "of `deep`"]);
    for property in Property::ALL {
        let checked = |suite| {
            let of_suite = scopes.iter().filter(|scope| scope.suite == Some(suite));
            of_suite.filter(|scope| scope.properties.contains(property)).count().to_string()
        };
        shown.add_row([
            code(property.name()),
            property.description().to_string(),
            checked(Suite::Ci),
            checked(Suite::Deep),
        ]);
    }
    shown.0
}

fn goal_table(scopes: &[Scope]) -> String {
    let mut shown = Table::new(&["goal", "what is reached", "in"]);
    for goal in Goal::ALL {
        let scopes = scopes.iter().filter(|scope| scope.sometimes.contains(goal));
        let names = scopes.map(|scope| code(&scope.name)).collect::<Vec<_>>().join(", ");
        shown.add_row([code(goal.name()), goal.description().to_string(), or_dash(names)]);
    }
    shown.0
}

fn mutation_table(mutations: &[MutationRow]) -> String {
    let mut shown = Table::new(&[
        "mutation",
        "rule",
        "what a server does",
        "property that falls",
        "steps",
        "in scope",
        "seen in",
    ]);
    for row in mutations {
        shown.add_row([
            code(&row.name),
            row.rule.clone(),
            row.does.clone(),
            code(row.property.name()),
            row.steps.to_string(),
            code(&row.scope),
            row.seen_in.clone().unwrap_or_default(),
        ]);
    }
    shown.0
}

fn claim_table(claims: &[Claim]) -> String {
    let mut shown = Table::new(&["", "claim", "verdict", "decided by"]);
    for claim in claims {
        let runs = claim.runs.iter().map(|run| {
            let broken = run.mutation.as_ref().map(|name| format!(" with {}", code(name)));
            format!("{}{}: {}", code(&run.scope), broken.unwrap_or_default(), run.expects)
        });
        shown.add_row([
            claim.number.to_string(),
            claim.claim.clone(),
            claim.verdict.to_string(),
            runs.collect::<Vec<_>>().join("; "),
        ]);
    }
    shown.0
}

fn simulated() -> String {
    let servers = SimulationOptions::OF_VERIFY.iter();
    let servers =
        servers.map(|run| format!("{} servers, {} steps", run.servers, grouped(run.steps)));
    let drivers = DriversOptions::OF_VERIFY.iter();
    let drivers =
        drivers.map(|run| format!("{} drivers, {} steps", run.servers, grouped(run.steps)));
    servers.chain(drivers).collect::<Vec<_>>().join("; ")
}

fn simulation_table() -> Result<String, Box<dyn Error>> {
    let mut shown = Table::new(&["servers", "seed", "steps", "commit"]);
    for row in simulation_records()? {
        let (servers, seed) = (row.servers.to_string(), row.seed.to_string());
        shown.add_row([servers, seed, grouped(row.steps), row.commit]);
    }
    Ok(shown.0)
}

/// A table in Markdown. It is not padded: one row that grows would change all of them.
struct Table(String);

impl Table {
    fn new(heads: &[&str]) -> Table {
        let rule = vec!["---"; heads.len()];
        Table(format!("| {} |\n|{}|", heads.join(" | "), rule.join("|")))
    }

    fn add_row<T: AsRef<str>, const N: usize>(&mut self, cells: [T; N]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        self.0 += &format!("\n| {} |", cells.join(" | "));
    }
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_string() } else { text }
}
