//! `list`.

use kontiki_model::console::table;
use kontiki_model::outcome::Outcome;
use kontiki_specs::scope::Scope;
use kontiki_specs::{Goal, Property, mutation_rows};

/// The rules, with their numbers and titles, are the headings of this document.
const RULES: &str = include_str!("../../../specs/rules.md");

/// Prints what there is.
pub fn run() -> anyhow::Result<Outcome> {
    let mut scopes = table(&["scope", "suite", "states", "what for"]);
    for scope in Scope::builtin()? {
        scopes.add_row([
            scope.name,
            scope.suite.map_or("-".to_string(), |suite| suite.to_string()),
            scope.unique_states.map_or("-".to_string(), kontiki_model::console::grouped),
            scope.description,
        ]);
    }
    let mut properties = table(&["property", "meaning"]);
    for property in Property::ALL {
        properties.add_row([property.name(), property.description()]);
    }
    let mut goals = table(&["goal", "meaning"]);
    for goal in Goal::ALL {
        goals.add_row([goal.name(), goal.description()]);
    }
    let mut mutations = table(&["mutation", "rule", "breaks", "in scope"]);
    for row in mutation_rows()? {
        mutations.add_row([row.name, row.rule, row.property.to_string(), row.scope]);
    }
    println!("{scopes}\n\n{properties}\n\n{goals}\n\n{mutations}\n");
    println!("Rules (specs/rules.md):");
    for heading in RULES.lines().filter_map(|line| line.strip_prefix("## ")) {
        if heading.chars().nth(1).is_some_and(|second| second.is_ascii_digit()) {
            println!("  {heading}");
        }
    }
    Ok(Outcome::AllIsWell)
}
