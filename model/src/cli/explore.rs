//! `explore`.

use super::{find_mutation, find_scope};
use anyhow::Context;
use clap::Args;
use kontiki_model::cluster::{Cluster, Reductions};
use kontiki_model::console::say;
use kontiki_model::explore::{About, Explorer};
use kontiki_model::outcome::Outcome;
use kontiki_specs::mutation_rows;
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
    // Before the search for a counterexample, which may take a while.
    drop(TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?);
    let cluster = Cluster::new(&scope, mutation, Reductions::ALL);
    let row = mutation.map(|mutation| {
        say("Looking for the shortest counterexample ...")?;
        let mut rows = mutation_rows()?.into_iter();
        let row = rows.find(|row| row.name == mutation.name());
        row.with_context(|| format!("specs/mutations.toml lacks {}", mutation.name()))
    });
    let about = About::of(&cluster, row.transpose()?);
    let explorer = Explorer::bind(address, cluster, &about)
        .with_context(|| format!("cannot listen on {address}"))?;
    let address = explorer.address();
    match about.counterexample() {
        Some(path) => {
            say(format_args!("The shortest counterexample: http://{address}/#/steps{path}"))?;
        }
        None if mutation.is_some() => say("The mutation breaks nothing in this scope.")?,
        None => {}
    }
    say(format_args!("Exploring {} on http://{address}/ (Ctrl-C to stop)", scope.name))?;
    explorer.run()?;
    Ok(Outcome::AllIsWell)
}
