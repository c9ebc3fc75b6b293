//! The program.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use kontiki_kv::admin;
use kontiki_kv::config::Config;
use kontiki_kv::demo::{self, DemoOptions};
use kontiki_kv::http::Http;
use kontiki_kv::server::Server;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime;
use tokio::sync::oneshot;

/// A replicated key-value server that speaks RESP, the protocol of Redis.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Runs three servers on this machine, and says what to type next.
    Demo {
        /// Clients connect to this port and the two after it. 0 for any that are free.
        #[arg(long, default_value_t = 7001)]
        port: u16,
        /// The leader reads without asking the others, by its lease. This relies on clocks of even pace.
        #[arg(long)]
        leases: bool,
    },
    /// Shows how all servers of a running cluster are.
    Status {
        #[command(flatten)]
        at: Address,
    },
    /// Shows the members of a running cluster, or changes them.
    Members {
        #[command(flatten)]
        at: Address,
        /// `add-learner 4`, `add-voter 4`, `demote 4`, `remove 4`, or `replace 1 2 3 learners 4`.
        change: Vec<String>,
    },
    /// Has another server lead.
    Transfer {
        #[command(flatten)]
        at: Address,
        /// The server that is to lead.
        to: u64,
    },
    /// Has a server take a snapshot, after which it needs less of its log.
    Snapshot {
        #[command(flatten)]
        at: Address,
    },
    /// Runs a server.
    Server {
        /// Its config file.
        #[arg(long)]
        config: PathBuf,
        /// End when the standard input ends.
        #[arg(long, hide = true)]
        end_with_stdin: bool,
    },
}

/// A server that is asked.
#[derive(Args)]
struct Address {
    /// Where clients connect to a server of the cluster.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7001")]
    server: String,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Subcommands) -> anyhow::Result<()> {
    let text = match &command {
        Subcommands::Status { at } => admin::status(&at.server)?,
        Subcommands::Members { at, change } if change.is_empty() => admin::members(&at.server)?,
        Subcommands::Members { at, change } => admin::change_members(&at.server, change)?,
        Subcommands::Transfer { at, to } => admin::transfer(&at.server, *to)?,
        Subcommands::Snapshot { at } => admin::snapshot(&at.server)?,
        Subcommands::Demo { .. } | Subcommands::Server { .. } => return run_servers(command),
    };
    println!("{text}");
    Ok(())
}

fn run_servers(command: Subcommands) -> anyhow::Result<()> {
    // One thread serves all connections: what arrives together is executed together.
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start")?;
    match command {
        Subcommands::Demo { port, leases } => {
            runtime.block_on(demo::run(DemoOptions { port, leases }))
        }
        Subcommands::Server { config, end_with_stdin } => {
            let config = Config::read(&config)?;
            runtime.block_on(serve(config, end_with_stdin))
        }
        _ => Ok(()), // They run no server.
    }
}

async fn serve(config: Config, end_with_stdin: bool) -> anyhow::Result<()> {
    let id = config.id;
    let server = Server::start(config.listen()?).await;
    let server = server.with_context(|| format!("server {id} does not start"))?;
    if let Some(torn) = server.node().torn() {
        let (file, offset, bytes) = (&torn.file, torn.offset, torn.bytes);
        eprintln!("server {id}: a crash has cut off a write in {file}: {bytes} bytes at {offset}");
    }
    println!("server {id} serves clients at {}", server.address());
    let http = match config.http()? {
        Some(address) => Some(
            Http::start(address, &server)
                .with_context(|| format!("server {id} cannot serve its page at {address}"))?,
        ),
        None => None,
    };
    if let Some(http) = &http {
        println!("server {id} has a page at http://{}", http.address());
    }
    let (closed, closes) = oneshot::channel();
    let stdin = end_with_stdin.then(|| {
        std::thread::spawn(move || {
            drop(std::io::stdin().read_to_end(&mut Vec::new()));
            let _ = closed.send(()); // Nobody waits if the server has ended by itself.
        })
    });
    let stopped = tokio::select! {
        () = kontiki_kv::ending() => Ok(()),
        _ = closes, if stdin.is_some() => Ok(()),
        stopped = stops(&server) => Err(stopped),
    };
    drop(http);
    server.shutdown().await;
    stopped.with_context(|| format!("server {id} has stopped"))
}

/// Waits until the server has stopped by itself: its disk has failed, for example.
async fn stops(server: &Server) -> anyhow::Error {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        match server.node().handle().status().await {
            Ok(status) => {
                if let Some(cause) = status.stopped {
                    return cause.into();
                }
            }
            Err(error) => return error.into(),
        }
    }
}
