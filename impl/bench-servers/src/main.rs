//! Kontiki's key-value server and etcd side by side: three processes on this machine, the same ports, the same
//! disk, the same client program. `README.md` says what is measured and how.

mod etcd;
mod failover;
mod load;
mod measure;
mod plot;
mod processes;
mod resp;

use anyhow::{Context, Result};
use clap::Parser;
use load::{Clients, Operation, leader};
use measure::Figures;
use plot::Line;
use processes::{Servers, System};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Measures Kontiki's key-value server and etcd, one after the other, several times.
#[derive(Parser)]
struct Arguments {
    /// Kontiki's program.
    #[arg(long, default_value = "target/release/kontiki-kv")]
    kontiki: PathBuf,
    /// The folder for the servers' disks. It has to be on the disk that is meant, and not in memory.
    #[arg(long, default_value = ".")]
    directory: PathBuf,
    /// How many clients ask at the same time.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256,1000")]
    clients: Vec<usize>,
    /// How many seconds each measurement takes.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many times each system is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The folder for pictures.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// Instead of all that, kills the leader so many times, and measures how long it takes until a put is
    /// accepted again.
    #[arg(long)]
    kill: Option<usize>,
}

const OPERATIONS: [(Operation, &str); 2] =
    [(Operation::Put, "put"), (Operation::Get, "linearizable get")];

/// All that was measured of one system: by operation and number of clients.
type Results = BTreeMap<(usize, usize), Vec<Figures>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let systems = [System::Etcd, System::Kontiki(arguments.kontiki.clone())];
    if let Some(times) = arguments.kill {
        for system in &systems {
            failover::measure(system, &arguments.directory, times).await?;
        }
        return Ok(());
    }
    let mut results = [Results::new(), Results::new()];
    for round in 1..=arguments.rounds {
        for (system, results) in systems.iter().zip(&mut results) {
            let version = measure(system, &arguments, results)
                .await
                .with_context(|| format!("{}, round {round}", system.name()))?;
            eprintln!("round {round}: {} {version} is measured", system.name());
        }
    }
    print(&results);
    if let Some(folder) = &arguments.plots {
        std::fs::create_dir_all(folder)?;
        draw(folder, &systems, &results)?;
    }
    Ok(())
}

/// Starts a cluster, measures everything once, and ends it. Gives its version.
async fn measure(system: &System, arguments: &Arguments, results: &mut Results) -> Result<String> {
    let directory = tempfile::tempdir_in(&arguments.directory)?;
    let mut servers = Servers::start(system, directory.path())?;
    let (port, version) = leader(system).await?;
    Clients::connect(system, port, 64).await?.fill().await?;
    let time = Duration::from_secs(arguments.seconds);
    for (number, (operation, _)) in OPERATIONS.iter().enumerate() {
        for clients in &arguments.clients {
            let what = (*operation, *clients);
            let figures = Figures::of(system, &mut servers, port, what, time).await?;
            results.entry((number, *clients)).or_default().push(figures);
        }
    }
    Ok(version)
}

/// Prints the medians.
fn print([etcd, kontiki]: &[Results; 2]) {
    println!(
        "| operation | clients | system | a second | factor | p50 ms | p99 ms | processor µs | bytes written |"
    );
    println!("|---|--:|---|--:|--:|--:|--:|--:|--:|");
    for (key, theirs) in etcd {
        let ours = kontiki.get(key).and_then(|ours| Figures::median(ours));
        let (Some(theirs), Some(ours)) = (Figures::median(theirs), ours) else { continue };
        let (number, clients) = key;
        let operation = OPERATIONS[*number].1;
        for (name, figures) in [("etcd", theirs), ("Kontiki", ours)] {
            let Figures { rate, p50, p99, processor, written } = figures;
            let factor = rate / theirs.rate;
            println!(
                "| {operation} | {clients} | {name} | {rate:.0} | {factor:.1} | {p50:.2} | {p99:.2} | {processor:.1} | {written:.0} |"
            );
        }
    }
}

/// Draws a picture for each operation.
fn draw(folder: &Path, systems: &[System; 2], results: &[Results; 2]) -> Result<()> {
    for (number, (operation, name)) in OPERATIONS.iter().enumerate() {
        let lines = systems.iter().zip(results).map(|(system, results)| {
            let points = results.iter().filter(|((of, _), _)| *of == number);
            let points =
                points.filter_map(|((_, clients), all)| Some((*clients, Figures::median(all)?)));
            Line { name: system.name(), points: points.collect() }
        });
        let file = match operation {
            Operation::Put => "puts.svg",
            Operation::Get => "gets.svg",
        };
        plot::draw(&folder.join(file), &format!("{name}, 256 bytes"), &lines.collect::<Vec<_>>())?;
    }
    Ok(())
}
