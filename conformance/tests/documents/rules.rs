//! `specs/rules.md` keeps up with the code: every rule is there, is found in both sides by its
//! number, and names the mutations that break it, with the properties that fall.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

use kontiki_model::server::Mutation;
use kontiki_specs::scope::Scope;
use kontiki_specs::{Goal, Property, RULES, claims, mutation_rows, rule_titles};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Each rule's section, by its number: what stands between its heading and the next.
fn sections() -> BTreeMap<&'static str, String> {
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    let mut current = None;
    for line in RULES.lines() {
        if line.starts_with('#') {
            let heading = line.strip_prefix("## ").and_then(|title| title.split_once(' '));
            let number = heading.map(|(number, _)| number);
            current = number.filter(|number| rule_titles().any(|(known, _)| known == *number));
            if let Some(number) = current {
                let earlier = sections.insert(number, String::new());
                assert!(earlier.is_none(), "{number} has two headings");
            }
        } else if let Some(section) = current.and_then(|number| sections.get_mut(number)) {
            section.push_str(line);
            section.push(' ');
        }
    }
    sections
}

/// What stands in backquotes, in the order of the text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The files under a directory of the repository.
fn files_under(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for item in fs::read_dir(directory)? {
        let path = item?.path();
        if path.is_dir() {
            files.extend(files_under(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The source of the model's server, without the list of mutations, which repeats the numbers.
fn model_source() -> io::Result<String> {
    let files = files_under(&repository().join("model/src/server"))?;
    let rules = files.iter().filter(|file| !file.ends_with("mutation.rs"));
    rules.map(fs::read_to_string).collect()
}

/// The source of the implementation's core, and of its sessions, which are no part of the core.
fn core_source() -> io::Result<String> {
    let mut files = files_under(&repository().join("impl/src/core"))?;
    files.push(repository().join("impl/src/sessions.rs"));
    files.iter().map(fs::read_to_string).collect()
}

#[test]
fn every_rule_has_a_heading_and_text() {
    let sections = sections();
    let elections = (1..=10).chain([12]).map(|number| format!("E{number}"));
    let snapshots = (1..=3).map(|number| format!("S{number}"));
    let membership = (1..=8).chain([10]).map(|number| format!("M{number}"));
    let log = (1..=12).map(|number| format!("L{number}"));
    let clients = (2..=5).map(|number| format!("C{number}"));
    for number in elections.chain(log).chain(snapshots).chain(membership).chain(clients) {
        assert!(sections.contains_key(number.as_str()), "rules.md has no heading for {number}");
    }
    for (number, section) in &sections {
        for part in ["In the model: ", "In the implementation: ", "Source: "] {
            assert!(section.contains(part), "{number} lacks a line `{part}...`");
        }
        let broken = section.contains("Broken by: ");
        let guarded = section.contains("Guarded by: ");
        assert!(broken != guarded, "{number} needs one line `Broken by` or `Guarded by`");
    }
}

/// A rule of the driver or the node alone is no rule of the model, and says where it is kept and what
/// guards it.
#[test]
fn the_rules_of_driver_and_node_alone_have_a_heading_and_text() {
    for number in ["C6", "C7", "C8", "S6", "M9"] {
        let (_, section) = RULES.split_once(&format!("\n### {number} ")).unwrap();
        let (section, _) = section.split_once("\n#").unwrap();
        for part in ["In the implementation: ", "Source: ", "Guarded by: "] {
            assert!(section.contains(part), "{number} lacks a line `{part}...`");
        }
        let (_, guards) = section.split_once("Guarded by: ").unwrap();
        let guards: Vec<&str> = quoted(guards).collect();
        assert!(!guards.is_empty() && guards.iter().all(|path| repository().join(path).is_file()));
        assert!(rule_titles().all(|(modelled, _)| modelled != number), "{number} is not modelled");
    }
}

#[test]
fn every_rule_is_cited_in_comments_of_both_sides() {
    for (side, source) in [("model/src/server", model_source()), ("impl/src", core_source())] {
        let source = source.unwrap();
        let comments = source.lines().filter_map(|line| line.split_once("//"));
        let words = comments.flat_map(|(_, text)| text.split(|c: char| !c.is_ascii_alphanumeric()));
        let cited: BTreeSet<&str> = words.collect();
        let missing: Vec<&str> =
            sections().into_keys().filter(|number| !cited.contains(number)).collect();
        assert!(missing.is_empty(), "no comment in {side} cites {missing:?}");
    }
}

#[test]
fn every_rule_names_its_mutations_and_their_properties() {
    let sections = sections();
    let mut expected: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let rows = mutation_rows().unwrap();
    for row in &rows {
        assert!(sections.contains_key(row.rule.as_str()), "{} breaks no rule there is", row.name);
        let named = format!("`{}` ({})", row.name, row.property.name());
        expected.entry(row.rule.as_str()).or_default().insert(named);
    }
    for (number, section) in &sections {
        let broken_by = list_after(section, "Broken by: ");
        let named = broken_by.split(',').map(|item| item.trim().to_string());
        let named: BTreeSet<String> = named.filter(|item| !item.is_empty()).collect();
        let expected = expected.remove(number).unwrap_or_default();
        assert_eq!(named, expected, "{number} in rules.md and in mutations.toml (right)");
    }
}

/// A rule that no mutation breaks says what guards it, and that is there.
#[test]
fn every_rule_is_guarded_by_what_there_is() {
    let rows = mutation_rows().unwrap();
    let is_there = |name: &str| {
        let property = || Property::ALL.iter().any(|property| property.name() == name);
        let goal = || Goal::ALL.iter().any(|goal| goal.name() == name);
        let row = || rows.iter().any(|row| row.name == name);
        property() || goal() || row() || Scope::find(name).is_ok() || is_test(name)
    };
    for (number, section) in &sections() {
        let guards: Vec<&str> = quoted(list_after(section, "Guarded by: ")).collect();
        let broken = rows.iter().any(|row| row.rule == *number);
        assert!(broken || !guards.is_empty(), "{number} is neither broken nor guarded by anything");
        let missing: Vec<_> = guards.into_iter().filter(|name| !is_there(name)).collect();
        assert!(missing.is_empty(), "{number}: nothing is called {missing:?}");
    }
}

/// Whether it is the path of tests, or of what the comparison does.
fn is_test(path: &str) -> bool {
    let of_tests = ["impl/tests/", "model/tests/", "conformance/"];
    of_tests.iter().any(|folder| path.starts_with(folder)) && repository().join(path).is_file()
}

/// Tests name servers S1, S2 and S3, so where they name a rule of that number they say so.
#[test]
fn rules_on_snapshots_are_cited_in_tests() {
    let files = files_under(&repository().join("impl/tests")).unwrap();
    let tests: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let numbers = sections().into_keys().filter(|number| number.starts_with('S'));
    for number in numbers {
        let citation = [format!("ule {number}"), format!("ules {number}"), format!("and {number}")];
        let cites = |line: &str| {
            line.trim_start().starts_with("//") && citation.iter().any(|text| line.contains(text))
        };
        let cited = tests.iter().any(|test| test.lines().any(cites));
        assert!(cited, "no test in impl/tests cites rule {number}");
    }
}

/// What a line of a rule lists, up to the next empty line: [`sections`] joins lines by spaces.
fn list_after<'a>(section: &'a str, line: &str) -> &'a str {
    let list = section.split_once(line).map_or("", |(_, list)| list);
    list.split_once("  ").map_or(list, |(list, _)| list)
}

#[test]
fn every_claim_is_named_under_a_rule_and_can_be_decided() {
    let sections = sections();
    let named = sections.values().flat_map(|section| list_after(section, "Claims: ").split(','));
    let named: BTreeSet<&str> = named.map(|name| name.trim().trim_matches('`')).collect();
    let named: BTreeSet<&str> = named.into_iter().filter(|name| !name.is_empty()).collect();
    let claims = claims().unwrap();
    let known: BTreeSet<&str> = claims.iter().map(|claim| claim.name.as_str()).collect();
    assert_eq!(named, known, "rules.md (left) and specs/claims (right)");
    let numbers: BTreeSet<u64> = claims.iter().map(|claim| claim.number).collect();
    assert_eq!(numbers.len(), claims.len(), "two claims have one number");
    for claim in &claims {
        assert!(!claim.runs.is_empty() && claim.truth.len() > 200, "{}", claim.name);
        for run in &claim.runs {
            let scope = Scope::find(&run.scope).unwrap();
            // What is to hold must be small enough to be checked with every change or on request.
            let checked = scope.suite.is_some() || run.mutation.is_some();
            assert!(checked, "{}: nothing else checks {}", claim.name, run.scope);
            let known = |name: &String| Mutation::from_name(name).is_some();
            assert!(run.mutation.as_ref().is_none_or(known), "{}", claim.name);
            assert!(run.shows.ends_with('.'), "{}", claim.name);
        }
    }
}

#[test]
fn every_mutation_has_one_row_and_every_row_a_mutation() {
    let rows = mutation_rows().unwrap();
    let mut named: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let mut known: Vec<&str> = Mutation::ALL.iter().map(|mutation| mutation.name()).collect();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known, "specs/mutations.toml (left) and Mutation of the model (right)");
}

#[test]
fn every_mutation_has_a_scope_that_checks_its_property() {
    for row in mutation_rows().unwrap() {
        let scope = Scope::find(&row.scope).unwrap_or_else(|error| panic!("{}: {error}", row.name));
        let (name, property) = (&row.name, row.property);
        assert!(scope.properties.contains(&property), "{name}: {property} is not in {}", row.scope);
    }
}

#[test]
fn every_property_is_in_the_table() {
    for property in Property::ALL {
        let row = format!("\n| `{property}` |");
        assert_eq!(RULES.matches(&row).count(), 1, "{property} has one row in rules.md");
    }
}

#[test]
fn every_path_and_function_named_is_there() {
    let environment = fs::read_to_string(repository().join("model/src/environment.rs")).unwrap();
    let source = model_source().unwrap() + &core_source().unwrap() + &environment;
    let is_there = |name: &&str| {
        if ["model/", "specs/", "impl/"].iter().any(|side| name.starts_with(side)) {
            return repository().join(name).exists();
        }
        name.split_once("::").is_none_or(|(_, function)| {
            source.contains(&format!("fn {function}("))
                || source.contains(&format!("fn {function}<"))
        })
    };
    let missing: Vec<&str> = quoted(RULES).filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "rules.md names {missing:?}");
}

#[test]
fn every_mutation_is_asked_for_in_one_place() {
    // C4: what time allows is broken where it is kept.
    let promises = fs::read_to_string(repository().join("model/src/cluster/promises.rs")).unwrap();
    let source = model_source().unwrap() + &promises;
    let asked = source.split("Mutation::").skip(1).map(|rest| {
        rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_string()
    });
    let mut asked: Vec<String> = asked.collect();
    let mut known: Vec<String> = Mutation::ALL.iter().map(|one| format!("{one:?}")).collect();
    asked.sort_unstable();
    known.sort_unstable();
    assert_eq!(asked, known, "the model (left) and Mutation (right)");
}
