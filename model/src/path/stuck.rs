//! Why servers that are left to themselves do not recover: the benign schedule that fails, told
//! without its repetitions.

use super::Moment;
use super::story::write_moment;
use crate::properties::{Account, AccountTurn, Attempt, failing_schedule, sets_to_recover};
use crate::server::{RaftServer, ServerState};
use kontiki_specs::ServerId;
use kontiki_specs::scope::Scope;
use std::collections::BTreeSet;
use std::fmt;

/// Servers that should recover and do not, and what was tried.
pub(super) struct Stuck {
    servers: Vec<ServerId>,
    account: Account,
}

impl Stuck {
    /// A smallest set of servers that should recover from these states and does not.
    pub(super) fn find(
        scope: &Scope,
        servers: &[RaftServer],
        states: &[ServerState],
    ) -> Option<Stuck> {
        sets_to_recover(scope).into_iter().find_map(|places| {
            let up: Option<Vec<_>> = places.iter().map(|place| servers.get(*place)).collect();
            let up_states: Option<Vec<_>> = places.iter().map(|place| states.get(*place)).collect();
            let account = failing_schedule(&up?, &up_states?, scope.transfers > 0)?;
            Some(Stuck { servers: places.iter().map(|place| states[*place].id).collect(), account })
        })
    }
}

/// Tells what was tried, its steps numbered on from `number`.
pub(super) fn tell(f: &mut fmt::Formatter<'_>, stuck: &Stuck, number: usize) -> fmt::Result {
    let names: Vec<String> = stuck.servers.iter().map(ServerId::to_string).collect();
    let (names, verb) = (names.join(" and "), if names.len() == 1 { "does" } else { "do" });
    writeln!(
        f,
        "From here on {names} {verb} not recover, with all other servers down, nothing under way, \
         and every message between them arriving:"
    )?;
    let worth_a_word = |attempt: &&Attempt| !attempt.prepares || !attempt.turns.is_empty();
    let attempts: Vec<&Attempt> = stuck.account.attempts.iter().filter(worth_a_word).collect();
    let mut seen = BTreeSet::new();
    let shapes = (1..).zip(&attempts).filter(|(_, attempt)| seen.insert(shape(attempt)));
    let kept = shapes.map(|(place, _)| place).last().unwrap_or(0);
    let mut number = number;
    for attempt in &attempts[..kept] {
        writeln!(f, "   * {}:", attempt.what)?;
        number = tell_turns(f, &attempt.turns, number)?;
        if let Some(missing) = &attempt.missing {
            writeln!(f, "     Still {missing}.")?;
        }
    }
    if attempts.len() > kept {
        writeln!(
            f,
            "   * And so on: all else that is tried goes as before, but for terms and indexes."
        )?;
        if let Some(missing) = attempts.iter().rev().find_map(|attempt| attempt.missing.as_ref()) {
            writeln!(f, "     In the end still {missing}.")?;
        }
    }
    Ok(())
}

/// Tells turns up to the last that is unlike all before it. Returns the next number.
fn tell_turns(
    f: &mut fmt::Formatter<'_>,
    turns: &[AccountTurn],
    number: usize,
) -> Result<usize, fmt::Error> {
    if turns.is_empty() {
        writeln!(f, "       nothing comes of it")?;
    }
    let moments: Vec<Moment> = turns.iter().map(moment).collect();
    let mut seen = BTreeSet::new();
    let mut kept = 0;
    for (place, moment) in (1..).zip(&moments) {
        if seen.insert((moment.headline(), moment.changes())) {
            kept = place;
        }
    }
    for (number, moment) in (number..).zip(&moments[..kept]) {
        write_moment(f, number, moment)?;
    }
    match moments.len() - kept {
        0 => {}
        1 => writeln!(f, "       and so on: the next step is one of those above again")?,
        more => writeln!(f, "       and so on: the next {more} steps are all among those above")?,
    }
    Ok(number + moments.len())
}

fn moment(turn: &AccountTurn) -> Moment {
    let AccountTurn { server, before, steps } = turn.clone();
    Moment { server, from: None, before, steps }
}

/// An attempt without its numbers: two of the same shape differ in terms, indexes and counts.
fn shape(attempt: &Attempt) -> Vec<String> {
    let mut parts: Vec<String> = attempt.turns.iter().map(|turn| moment(turn).headline()).collect();
    parts.push(attempt.what.clone());
    parts.extend(attempt.missing.clone());
    parts.iter().map(|part| without_numbers(part)).collect()
}

/// A text with every number but those in the names of servers taken out.
fn without_numbers(text: &str) -> String {
    let mut in_name = false;
    let kept = text.chars().map(|letter| {
        in_name = letter == 'S' || (in_name && letter.is_ascii_digit());
        if letter.is_ascii_digit() && !in_name { '#' } else { letter }
    });
    kept.collect()
}
