//! `simulate`.

use anyhow::Context;
use clap::Args;
use kontiki_conformance::simulate::{
    DriversOptions, SimulationOptions, simulate, simulate_drivers,
};
use kontiki_model::console::{grouped, progress_bar, say};
use kontiki_model::outcome::Outcome;
use kontiki_specs::trace::Trace;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What to simulate.
#[derive(Args)]
pub struct Options {
    /// All randomness comes from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many servers a cluster has, 1 to 7.
    #[arg(long, default_value_t = 5)]
    servers: u64,
    /// How many steps servers take in all, each compared with the model.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Simulate clusters of the library's drivers: they decide what servers are told, over clocks, disks and
    /// processes that do as they like.
    #[arg(long)]
    drivers: bool,
    /// The folder for the trace of a finding.
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    traces: PathBuf,
}

/// Simulates and prints.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    match options.drivers {
        true => run_drivers(options),
        false => run_servers(options),
    }
}

fn run_drivers(options: &Options) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let bar = progress_bar("simulating", Some(options.steps));
    let Options { seed, servers, steps, .. } = *options;
    let report = simulate_drivers(&DriversOptions { seed, servers, steps }, |report| {
        bar.set_position(report.steps.min(steps));
        bar.set_message(format!("steps in {} clusters", grouped(report.runs)));
    })?;
    bar.finish_and_clear();
    let rate = report.steps as f64 / started.elapsed().as_secs_f64().max(0.001);
    say(format_args!(
        "{} steps of servers in {} clusters of drivers and {} seconds of theirs, {} steps a second",
        grouped(report.steps),
        grouped(report.runs),
        grouped(report.seconds),
        grouped(rate as u64)
    ))?;
    let counts = report.told.counts().map(|(what, count)| format!("{} {what}", grouped(count)));
    say(format_args!("Among them: {}.", counts.collect::<Vec<_>>().join(", ")))?;
    let Some(finding) = report.finding else {
        say(
            "Clients were told the truth, every step was the model's, and every cluster recovered.",
        )?;
        return Ok(Outcome::AllIsWell);
    };
    say(format_args!("\nFOUND: {finding}\n"))?;
    let name = format!("drivers-{servers}-seed-{}.trace.jsonl", finding.seed);
    save(&finding.trace(), &options.traces, &name)?;
    let again = format!("simulate --drivers --servers {servers} --seed {}", finding.seed);
    say(format_args!("Again: {again} --steps 1"))?;
    Ok(Outcome::Broken)
}

fn run_servers(options: &Options) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let bar = progress_bar("simulating", Some(options.steps));
    let Options { seed, servers, steps, .. } = *options;
    let what = SimulationOptions { seed, servers, steps, ..SimulationOptions::default() };
    let report = simulate(&what, |report| {
        bar.set_position(report.steps.min(steps));
        bar.set_message(format!("steps in {} clusters", grouped(report.runs)));
    })?;
    bar.finish_and_clear();
    let rate = report.steps as f64 / started.elapsed().as_secs_f64().max(0.001);
    say(format_args!(
        "{} steps of servers in {} clusters, {} steps a second",
        grouped(report.steps),
        grouped(report.runs),
        grouped(rate as u64)
    ))?;
    let counts = report.exercised.counts().into_iter();
    let counts = counts.map(|(what, count)| format!("{} {what}", grouped(count)));
    say(format_args!("Among them: {}.", counts.collect::<Vec<_>>().join(", ")))?;
    let Some(finding) = report.finding else {
        say("Everything that must hold held after every step, and every cluster recovered.")?;
        return Ok(Outcome::AllIsWell);
    };
    say(format_args!("\nFOUND: {finding}\n"))?;
    let name = format!("simulate-{servers}-seed-{}.trace.jsonl", finding.seed);
    save(&finding.trace(), &options.traces, &name)?;
    say(format_args!("Again: simulate --servers {servers} --seed {} --steps 1", finding.seed))?;
    Ok(Outcome::Broken)
}

fn save(trace: &Trace, folder: &Path, name: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join(name);
    trace.save(&file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(say(format_args!("The same as a trace: {}", file.display()))?)
}
