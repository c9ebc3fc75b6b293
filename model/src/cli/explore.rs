//! `explore`.

use super::{find_mutation, find_scope};
use anyhow::Context;
use clap::Args;
use kontiki_model::cluster::{Cluster, Reductions, State};
use kontiki_model::explore::ReadableCluster;
use kontiki_model::outcome::Outcome;
use kontiki_model::walker::walk;
use kontiki_specs::{Property, mutation_rows};
use stateright::Model;
use std::fmt::Write;
use std::net::{TcpListener, ToSocketAddrs};

/// What to explore.
#[derive(Args)]
pub struct Options {
    /// A scope: a name as in `list`, or the path of a scope file.
    scope: String,
    /// Break a rule, and look at its shortest counterexample.
    #[arg(long, value_name = "MUTATION")]
    mutation: Option<String>,
    /// Where to serve.
    #[arg(long, default_value = "127.0.0.1:3000")]
    address: String,
}

/// Serves the Explorer until interrupted.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let scope = find_scope(&options.scope)?;
    let mutation = options.mutation.as_deref().map(find_mutation).transpose()?;
    let address = options
        .address
        .to_socket_addrs()
        .with_context(|| format!("`{}` is not an address, as 127.0.0.1:3000 is", options.address))?
        .next()
        .with_context(|| format!("`{}` names no address", options.address))?;
    // stateright panics where it cannot listen; this says it in words.
    drop(TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?);
    let cluster = Cluster::new(&scope, mutation, Reductions::ALL);
    if let Some(mutation) = mutation {
        println!("Looking for the shortest counterexample ...");
        let row = mutation_rows()?.into_iter().find(|row| row.name == mutation.name());
        let meant = row.map(|row| row.property).filter(|meant| scope.properties.contains(meant));
        match shortest_counterexample(&cluster, meant) {
            Some(steps) => println!("The shortest counterexample: http://{address}/#/steps{steps}"),
            None => println!("The mutation breaks nothing in this scope."),
        }
    }
    println!("Exploring {} on http://{address}/ (Ctrl-C to stop)", scope.name);
    ReadableCluster(cluster).checker().serve(address);
    Ok(Outcome::AllIsWell)
}

/// More states than a counterexample is looked for in before the Explorer is served without one.
const MOST_STATES: u64 = 5_000_000;

/// The shortest way to the property that is meant to break, or to any, as the Explorer names paths:
/// by the place of each action among those possible, from the first state on.
fn shortest_counterexample(cluster: &Cluster, meant: Option<Property>) -> Option<String> {
    let stop = |state: &State| match meant {
        Some(property) => state.broken().contains(property),
        None => !state.broken().is_empty(),
    };
    let walked = walk(cluster, MOST_STATES, stop, |_, _, _| {});
    let mut state = cluster.init_states().pop()?;
    let mut steps = String::from("/0");
    for action in walked.stopped_at? {
        let mut possible = Vec::new();
        cluster.actions(&state, &mut possible);
        let place = possible.iter().position(|other| *other == action)?;
        let _ = write!(steps, "/{place}");
        state = cluster.next_state(&state, action)?;
    }
    Some(steps)
}
