//! `explore`.

use super::{find_mutation, find_scope};
use anyhow::Context;
use clap::Args;
use kontiki_model::cluster::{Cluster, Reductions};
use kontiki_model::explore::ReadableCluster;
use stateright::Model;
use std::net::{TcpListener, ToSocketAddrs};

/// What to explore.
#[derive(Args)]
pub struct Options {
    /// A scope: a name as in `list`, or the path of a scope file.
    scope: String,
    /// Break a rule, to look at its counterexample.
    #[arg(long, value_name = "MUTATION")]
    mutation: Option<String>,
    /// Where to serve.
    #[arg(long, default_value = "127.0.0.1:3000")]
    address: String,
}

/// Serves the Explorer until interrupted.
pub fn run(options: &Options) -> anyhow::Result<bool> {
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
    println!("Exploring {} on http://{address}/ (Ctrl-C to stop)", scope.name);
    ReadableCluster(cluster).checker().serve(address);
    Ok(true)
}
