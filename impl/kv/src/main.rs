//! The program.

use anyhow::anyhow;
use clap::{Args, Parser, Subcommand};
use kontiki_kv::admin;
use kontiki_kv::config::{Config, FirstStart};
use kontiki_kv::demo::{self, DemoOptions};
use kontiki_kv::http::{Http, Metrics};
use kontiki_kv::machine::Replicated;
use kontiki_kv::open_files;
use kontiki_kv::server::{Server, ServerError};
use kontiki_node::{Handle, Standing, StartError, recovery};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
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
    /// Runs a server that forms a new cluster together with the others of its config file.
    ///
    /// If its disk says that it is in its cluster already, it goes on there.
    Init {
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Runs a server that is taken into the cluster of the others in its config file.
    ///
    /// If its disk says that it is in its cluster already, it goes on there.
    Join {
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Runs a server that has been in its cluster before. It does not start with an empty disk.
    Server {
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Makes a new cluster of what one server has, after a majority was lost for good. THIS MAY LOSE WRITES
    /// that were acknowledged.
    ///
    /// The server must not run. Without the options, this says what the server has and what may be lost, and
    /// what to confirm.
    Recover {
        /// Its config file.
        #[arg(long)]
        config: PathBuf,
        /// The number of the new cluster, drawn at random: up to 32 hexadecimal digits.
        #[arg(long, requires_all = ["into", "confirm"])]
        cluster: Option<String>,
        /// The directory of the new disk, which does not exist yet.
        #[arg(long, requires_all = ["cluster", "confirm"])]
        into: Option<PathBuf>,
        /// The words that this command says without it.
        #[arg(long, requires_all = ["cluster", "into"])]
        confirm: Option<String>,
    },
}

/// A server that is to run.
#[derive(Args)]
struct ServerArguments {
    /// Its config file.
    #[arg(long)]
    config: PathBuf,
    /// End when the standard input ends.
    #[arg(long, hide = true)]
    end_with_stdin: bool,
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
            eprintln!("error: {error}");
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
        Subcommands::Recover { config, cluster, into, confirm } => {
            let given = cluster.as_deref().zip(into.as_deref()).zip(confirm.as_deref());
            recover(&Config::read(config)?, given)?
        }
        Subcommands::Demo { .. }
        | Subcommands::Init { .. }
        | Subcommands::Join { .. }
        | Subcommands::Server { .. } => return run_servers(command),
    };
    println!("{text}");
    Ok(())
}

fn run_servers(command: Subcommands) -> anyhow::Result<()> {
    // One thread serves all connections: what arrives together is executed together.
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| anyhow!("cannot start: {error}"))?;
    match command {
        Subcommands::Demo { port, leases } => {
            runtime.block_on(demo::run(DemoOptions { port, leases }))
        }
        Subcommands::Init { server } => runtime.block_on(serve(&server, FirstStart::Init)),
        Subcommands::Join { server } => runtime.block_on(serve(&server, FirstStart::Join)),
        Subcommands::Server { server } => runtime.block_on(serve(&server, FirstStart::Existing)),
        _ => Ok(()), // They run no server.
    }
}

/// Says what a server has, or makes a new cluster of it: its number, its directory, and what is confirmed.
fn recover(config: &Config, given: Option<((&str, &Path), &str)>) -> anyhow::Result<String> {
    let Some(((cluster, into), confirmed)) = given else {
        return Ok(recovery::examine(&config.directory)?.to_string());
    };
    let number = u128::from_str_radix(cluster, 16).map_err(|_| {
        anyhow!("--cluster is `{cluster}`: draw up to 32 hexadecimal digits at random")
    })?;
    recovery::recover(&config.directory, into, number, confirmed)?;
    let into = into.display();
    Ok(format!(
        "{into} is the disk of a new cluster. Set `cluster = \"{cluster}\"` and that directory in the config \
         file, and run `server` with it. Others join with empty disks."
    ))
}

async fn serve(arguments: &ServerArguments, start: FirstStart) -> anyhow::Result<()> {
    let ServerArguments { config, end_with_stdin } = arguments;
    let config = Config::read(config)?;
    let id = config.id;
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    // From now on SIGHUP does not end the process, however long the server takes to start.
    #[cfg(unix)]
    let told = signal(SignalKind::hangup())?;
    let metrics = Metrics::install()?;
    tokio::spawn(metrics.clone().sum_up());
    let listening = config.listen(start)?;
    open_files::allow(listening.open_files())
        .map_err(|error| anyhow!("server {id} does not start: {error}"))?;
    let server = Server::start(listening).await;
    let server = server.map_err(|error| {
        let new = match error {
            ServerError::Node(StartError::MissingDisk { .. }) => ": see `init` and `join`",
            _ => "",
        };
        anyhow!("server {id} does not start: {error}{new}")
    })?;
    tracing::info!(server = id, address = %server.address(), "serves clients");
    let http =
        match config.http()? {
            Some(address) => Some(Http::start(address, &server, metrics).map_err(|error| {
                anyhow!("server {id} cannot serve its page at {address}: {error}")
            })?),
            None => None,
        };
    if let Some(http) = &http {
        tracing::info!(server = id, address = %http.address(), "has a page");
    }
    #[cfg(unix)]
    tokio::spawn(reload_certificates(server.node().handle(), told));
    let (closed, closes) = oneshot::channel();
    let stdin = (*end_with_stdin).then(|| {
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
    server.shutdown().await;
    drop(http);
    stopped.map_err(|error| anyhow!("server {id} has stopped: {error}"))
}

/// Reads the files with certificates again whenever the process is told to (SIGHUP).
#[cfg(unix)]
async fn reload_certificates(handle: Handle<Replicated>, mut told: Signal) {
    while told.recv().await.is_some() {
        let handle = handle.clone();
        match tokio::task::spawn_blocking(move || handle.reload_certificates()).await {
            Ok(Ok(())) => tracing::info!("certificates reloaded"),
            Ok(Err(error)) => tracing::error!(%error, "certificates are not reloaded"),
            // The process ends.
            Err(_) => return,
        }
    }
}

/// Waits until the server has stopped by itself: its disk has failed, for example.
async fn stops(server: &Server) -> anyhow::Error {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        match server.node().handle().status().await {
            Ok(status) => {
                if let Standing::Refused(error) = status.standing {
                    return error.into();
                }
                if let Some(cause) = status.stopped {
                    return cause.into();
                }
            }
            Err(error) => return error.into(),
        }
    }
}
