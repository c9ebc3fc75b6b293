//! The program.

use anyhow::Context;
use clap::{Parser, Subcommand};
use kontiki_kv::config::Config;
use kontiki_kv::demo::{self, DemoOptions};
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
    let (closed, closes) = oneshot::channel();
    let stdin = end_with_stdin.then(|| {
        std::thread::spawn(move || {
            drop(std::io::stdin().read_to_end(&mut Vec::new()));
            drop(closed.send(()));
        })
    });
    let stopped = tokio::select! {
        () = kontiki_kv::ending() => Ok(()),
        _ = closes, if stdin.is_some() => Ok(()),
        stopped = stops(&server) => Err(stopped),
    };
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
