//! `list`.

use anyhow::bail;
use clap::Args;
use kontiki_model::console::{grouped, say, table};
use kontiki_model::outcome::Outcome;
use kontiki_specs::spelling::suggestion;
use kontiki_specs::{Goal, Property, claims, mutation_rows, rule_titles};
use std::collections::BTreeSet;

/// What to list.
#[derive(Args)]
pub struct Options {
    /// `scopes`, `properties`, `goals`, `mutations`, `claims` or `rules`; or a name, for all that has
    /// to do with it: a rule's number, a suite, a scope, a property and so on. Without any, all.
    only: Option<String>,
}

/// Things of one kind.
struct Section {
    kind: &'static str,
    heads: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

/// Prints what there is.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut sections = sections()?;
    if let Some(only) = &options.only {
        let known: BTreeSet<String> = sections.iter().flat_map(Section::names).collect();
        for section in sections.iter_mut().filter(|section| section.kind != only) {
            section.rows.retain(|row| row.contains(only));
        }
        sections.retain(|section| !section.rows.is_empty());
        if sections.is_empty() {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            bail!("nothing is called `{only}`{}", suggestion(only, &known));
        }
    }
    let shown = sections.into_iter().map(|Section { heads, rows, .. }| {
        let mut shown = table(heads);
        shown.add_rows(rows);
        shown.to_string()
    });
    say(shown.collect::<Vec<_>>().join("\n\n"))?;
    Ok(Outcome::AllIsWell)
}

impl Section {
    /// What it can be asked for by: its kind, and all in it but sentences and numbers.
    fn names(&self) -> Vec<String> {
        let cells = self.rows.iter().flatten().filter(|cell| !cell.contains(' '));
        [self.kind.to_string()].into_iter().chain(cells.cloned()).collect()
    }
}

fn sections() -> anyhow::Result<Vec<Section>> {
    let scopes = kontiki_model::scopes::builtin()?.into_iter().map(|scope| {
        let suite = scope.suite.map_or("-".to_string(), |suite| suite.to_string());
        let states = scope.unique_states.map_or("-".to_string(), grouped);
        vec![scope.name, suite, states, scope.description]
    });
    let described = |(name, meaning): (&str, &str)| vec![name.to_string(), meaning.to_string()];
    let properties = Property::ALL.iter().map(|one| described((one.name(), one.description())));
    let goals = Goal::ALL.iter().map(|one| described((one.name(), one.description())));
    let mutations = mutation_rows()?.into_iter().map(|row| {
        let steps = format!("{} steps", row.steps);
        vec![row.name, row.rule, row.property.to_string(), steps, row.scope, row.does]
    });
    let claims = claims()?.into_iter();
    let claims = claims.map(|claim| vec![claim.number.to_string(), claim.name, claim.claim]);
    let rules = rule_titles().map(|(number, title)| vec![number.to_string(), title.to_string()]);
    let section = |kind, heads, rows| Section { kind, heads, rows };
    Ok(vec![
        section("scopes", &["scope", "suite", "states", "what for"], scopes.collect()),
        section("properties", &["property", "meaning"], properties.collect()),
        section("goals", &["goal", "meaning"], goals.collect()),
        section(
            "mutations",
            &["mutation", "rule", "breaks", "shortest story", "in scope", "what a server does"],
            mutations.collect(),
        ),
        section("claims", &["", "claim", "what people say"], claims.collect()),
        section("rules", &["rule", "title (specs/rules.md)"], rules.collect()),
    ])
}
