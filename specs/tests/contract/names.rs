//! The names of properties, goals and the choices of a scope are those that serde reads and writes.

use kontiki_specs::scope::{Disk, Suite};
use kontiki_specs::{Goal, Property, mutation_rows};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeSet;
use std::fmt::{Debug, Display};

fn round_trip<T>(all: &[T], name: fn(T) -> &'static str) -> serde_json::Result<()>
where
    T: Copy + Ord + Debug + Display + Serialize + DeserializeOwned,
{
    assert!(!all.is_empty());
    for value in all {
        let json = serde_json::to_string(value)?;
        assert_eq!(json, format!("\"{}\"", name(*value)));
        assert_eq!(serde_json::from_str::<T>(&json)?, *value);
        assert_eq!(value.to_string(), name(*value));
        let kebab = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(name(*value).chars().all(kebab), "{value:?} has a name that is not kebab-case");
    }
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "one is listed twice");
    Ok(())
}

#[test]
fn names_round_trip() -> serde_json::Result<()> {
    round_trip(Property::ALL, Property::name)?;
    round_trip(Goal::ALL, Goal::name)?;
    round_trip(Suite::ALL, Suite::name)?;
    round_trip(Disk::ALL, Disk::name)
}

#[test]
fn every_name_is_described_in_a_sentence() {
    let properties = Property::ALL.iter().map(|property| property.description());
    let goals = Goal::ALL.iter().map(|goal| goal.description());
    for description in properties.chain(goals) {
        assert!(description.ends_with('.') && !description.starts_with(' '), "{description:?}");
    }
}

#[test]
fn the_table_of_mutations_parses() {
    mutation_rows().unwrap();
}
