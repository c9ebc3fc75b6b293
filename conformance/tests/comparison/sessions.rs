//! The comparison of sessions can fail: beside a model that keeps them wrongly, the implementation
//! differs. What it does beside the model as it is, atlases show (`specs/scopes/session-*.toml`).

#![allow(clippy::unwrap_used, reason = "what a test unwraps fails the test")]

use kontiki_conformance::implementation::{Implementation, Memory, config};
use kontiki_conformance::shadow::Shadow;
use kontiki_model::actor::servers;
use kontiki_model::environment::Environment;
use kontiki_model::server::Mutation;
use kontiki_specs::scope::Scope;
use kontiki_specs::{Input, mutation_rows};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Everything that may become of sessions at a single server: limits, crashes, snapshots, time.
const SCOPE: &str = "servers = 1\nterms = 9\nlog = 15\nrestarts = 1\ndisk = \"asynchronous\"\n\
    snapshots = 7\nsessions = 3\nsession-commands = 3\nmost-sessions = 2\nmost-answers = 2\n\
    session-ends = true\n";

/// Walks of so many steps. A shadow forgets what became of commands after more than twice as many.
const STEPS: usize = 100;
const WALKS: u64 = 2000;

/// Whether in a random walk the implementation differs from the model, which may break a rule.
fn differs(mutation: Option<Mutation>, seed: u64) -> bool {
    let scope = Scope::parse("sessions", "test", SCOPE).unwrap();
    let environment = Environment::of(&scope);
    let server = servers(&scope, mutation).remove(0);
    let implementation = Implementation::boot(config(&scope, server.id, Memory::Warm)).unwrap();
    let mut implementation = implementation.with_sessions_of(&scope);
    let mut shadow = Shadow::boot(server.clone());
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..STEPS {
        let mut events = environment.events(&server, shadow.state());
        if random.random_ratio(7, 8) {
            events.retain(|event| !matches!(event, Input::Restart { .. }));
        }
        let Some(place) = events.len().checked_sub(1) else { continue };
        let input = events.swap_remove(random.random_range(0..=place));
        let reaction = implementation.step(&input);
        let followed = shadow.follow(&input, &reaction, implementation.raft());
        if followed.is_err() || implementation.difference_in_sessions(shadow.state()).is_some() {
            return true;
        }
    }
    false
}

#[test]
fn the_model_as_it_is_is_followed() {
    assert_eq!((0..WALKS / 10).find(|seed| differs(None, *seed)), None);
}

#[test]
fn a_model_that_keeps_sessions_wrongly_is_not_followed() {
    let rows = mutation_rows().unwrap().into_iter().filter(|row| row.rule == "C2");
    let mutations: Vec<Mutation> =
        rows.map(|row| Mutation::from_name(&row.name).unwrap()).collect();
    assert!(mutations.len() >= 8);
    for mutation in mutations {
        let found = (0..WALKS).any(|seed| differs(Some(mutation), seed));
        assert!(found, "{mutation} is followed");
    }
}
