//! A run: a cluster, its clients, what goes wrong, and the judges.

use crate::clients::{Clients, Done, Tries};
use crate::cluster::{Cluster, Unwell};
use crate::disk;
use crate::history::{Did, Operation, ReadMode, Wrong, as_seen, judge};
use crate::linearizable::{self, Verdict};
use crate::machine::{self, Mistake};
use crate::nemesis::{self, Fault, inflict};
use crate::tell;
use anyhow::Context;
use clap::ValueEnum;
use kontiki_conformance::real_runs::{Agreement, Followed, find_files, follow};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// What to run.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Decides what goes wrong, in what order, and what clients ask for.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For how long things go wrong, in seconds. To start, to end and to judge comes on top.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many servers the cluster is started with. One more is taken in and out.
    #[arg(long, default_value_t = 3)]
    servers: u64,
    /// How many clients there are.
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// Where the directory of the run is made.
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// A mistake that the servers make, to see that it is found.
    #[arg(long)]
    mistake: Option<Mistake>,
    /// What goes wrong: all of it unless some is named.
    #[arg(long, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// Servers have plain directories, and their disks do not fail. For machines where this process may mount
    /// nothing.
    #[arg(long, conflicts_with = "lying_disks")]
    without_disk_faults: bool,
    /// Disks say that they have synced, and have not: a mistake, to see that it is found.
    #[arg(long)]
    lying_disks: bool,
    /// Keep the directory of a run in which nothing is wrong.
    #[arg(long)]
    keep: bool,
}

impl Options {
    /// What goes wrong.
    fn faults(&self) -> Vec<Fault> {
        let mut faults = match self.faults.is_empty() {
            true => Fault::ALL.to_vec(),
            false => self.faults.clone(),
        };
        faults.retain(|fault| !(self.without_disk_faults && fault.is_of_disks()));
        faults
    }

    /// Whether servers have leases. They have in two of three runs, and where it takes a lease for a mistake to show.
    fn leases(&self) -> bool {
        self.seed % 3 != 1 || self.mistake == Some(Mistake::SlowClock)
    }

    /// The command that makes as nearly the same run again as possible.
    fn again(&self) -> String {
        let Options { seed, seconds, servers, clients, .. } = self;
        let mut again = format!(
            "run --seed {seed} --seconds {seconds} --servers {servers} --clients {clients}"
        );
        if !self.faults.is_empty() {
            let faults: Vec<String> = self.faults.iter().map(name).collect();
            again += &format!(" --faults {}", faults.join(","));
        }
        if self.without_disk_faults {
            again += " --without-disk-faults";
        }
        if self.lying_disks {
            again += " --lying-disks";
        }
        if let Some(mistake) = self.mistake {
            again += &format!(" --mistake {}", name(&mistake));
        }
        again
    }
}

/// What is wrong in a run, by who has found it.
#[derive(Default)]
struct Findings {
    found: Vec<(&'static str, String)>,
    /// The run has ended before its time. That it shows little then says nothing.
    is_cut_short: bool,
}

impl Findings {
    fn add(&mut self, judge: &'static str, how: impl Into<String>) {
        self.found.push((judge, how.into()));
    }

    /// What makes a run of no use if nothing else is wrong with it.
    fn shows_too_little(&mut self, how: &str) {
        if !self.is_cut_short {
            self.add("the suite", how);
        }
    }

    /// What has kept the suite from going on.
    fn fails(&mut self, error: &anyhow::Error) {
        let judge = match error.downcast_ref::<Unwell>() {
            Some(_) => "the servers",
            None => "the suite",
        };
        self.add(judge, format!("{error:#}"));
    }
}

/// So many findings of each judge are told. A file has all of them.
const TOLD: usize = 10;

/// Runs, and judges. Whether nothing is wrong.
///
/// # Errors
/// If the run cannot be made.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    if !options.without_disk_faults {
        disk::enter().context(NO_DISKS)?;
    }
    let directory = options.out.join(format!("torment-{}-{}", options.seed, std::process::id()));
    fs::create_dir_all(&directory).context("cannot make the directory of the run")?;
    let directory = directory.canonicalize()?;
    let mut findings = Findings::default();
    let run = torment(options, &directory, &mut findings);
    if let Err(error) = &run {
        findings.fails(error);
    }
    let found = &findings.found;
    if found.is_empty() {
        tell("nothing is wrong");
        if !options.keep {
            fs::remove_dir_all(&directory)?;
        }
        return Ok(true);
    }
    let judges: BTreeSet<&str> = found.iter().map(|(judge, _)| *judge).collect();
    for judge in judges {
        let by_judge: Vec<_> = found.iter().filter(|(by, _)| *by == judge).collect();
        for (_, how) in by_judge.iter().take(TOLD) {
            tell(&format!("{judge}: {how}"));
        }
        if by_judge.len() > TOLD {
            tell(&format!("{judge}: in all {} findings; see findings.txt", by_judge.len()));
        }
    }
    let again = format!("kontiki-torment {}", options.again());
    fs::write(directory.join("command.txt"), format!("{again}\n"))?;
    let lines: Vec<String> = found.iter().map(|(judge, how)| format!("{judge}: {how}")).collect();
    fs::write(directory.join("findings.txt"), lines.join("\n"))?;
    tell(&format!("all of it is in {}", directory.display()));
    tell(&format!("as nearly the same again as possible: {again}"));
    Ok(false)
}

/// What can be done where disks that fail cannot be had.
const NO_DISKS: &str = "disks cannot be made to fail here; --without-disk-faults runs without that";

/// A value, as the command line names it.
pub fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
}

fn torment(options: &Options, directory: &Path, findings: &mut Findings) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(options.seed);
    let begun = Instant::now();
    let mut cluster = start(options, directory, begun, &mut random)?;
    let clients = Clients::start(options.clients, options.seed, &cluster.client_ports(), begun);
    let mut counts: BTreeMap<Fault, u64> = BTreeMap::new();
    let tormented = inflict_all(options, directory, begun, &mut cluster, &mut counts, &mut random);
    if let Err(error) = &tormented {
        findings.is_cut_short = true;
        findings.fails(error);
    }
    // A run that has ended before its time is judged, too. What was wrong then is over for clients that still wait.
    let healed = cluster.heal();
    let Done { mut history, tries } = clients.finish()?;
    let lists = healed.and_then(|()| conclude(&mut cluster, &mut history, findings));
    write_history(directory, &history)?;
    let without_tls = cluster.without_tls();
    if without_tls > 0 {
        findings.add("the suite", format!("{without_tls} connections did not begin as TLS does"));
    }
    let failures_of_disks = cluster.failures_of_disks();
    drop(cluster);
    let wrong: Vec<String> =
        counts.iter().map(|(fault, count)| format!("{fault:?} {count}")).collect();
    tell(&format!("went wrong: {}", wrong.join(", ")));
    let lists = lists.unwrap_or_else(|error| {
        // Why a cluster does not come back may be seen in what it has recorded.
        findings.is_cut_short = true;
        findings.fails(&error);
        tell("how lists are in the end is not known: what clients have seen is judged");
        as_seen(&history)
    });
    judge_history(&history, &lists, findings);
    judge_tries(tries, findings);
    let expected = Expected {
        servers: options.servers + 1,
        leases: options.leases(),
        is_left_behind: counts.contains_key(&Fault::LeftBehind),
        failures_of_disks,
    };
    judge_recordings(directory, &expected, findings)
}

/// What the recordings of a run must show, or may.
struct Expected {
    /// How many servers there are. Each has recorded what it did.
    servers: u64,
    leases: bool,
    is_left_behind: bool,
    /// How many requests to disks the suite has had fail.
    failures_of_disks: u64,
}

/// A cluster with a leader.
fn start(
    options: &Options,
    directory: &Path,
    begun: Instant,
    random: &mut StdRng,
) -> anyhow::Result<Cluster> {
    let disks = (!options.without_disk_faults).then_some(options.seed);
    let (servers, mistake, leases) = (options.servers, options.mistake, options.leases());
    let mut cluster = Cluster::start(servers, directory, mistake, leases, disks, begun, random)
        .context("the cluster does not start")?;
    if cluster.leader(Duration::from_secs(60)).is_none() {
        let ended: Vec<u64> = cluster.ids().into_iter().filter(|id| !cluster.runs(*id)).collect();
        anyhow::bail!("nobody leads at the beginning; these servers have ended: {ended:?}");
    }
    Ok(cluster)
}

/// One thing goes wrong after the other, until the time is over, or something went wrong otherwise. What was in
/// effect is counted.
fn inflict_all(
    options: &Options,
    directory: &Path,
    begun: Instant,
    cluster: &mut Cluster,
    counts: &mut BTreeMap<Fault, u64>,
    random: &mut StdRng,
) -> anyhow::Result<()> {
    let mut schedule = fs::File::create(directory.join("schedule.txt"))?;
    let faults = options.faults();
    anyhow::ensure!(!faults.is_empty(), "nothing is left that goes wrong");
    let (from, mut todo) = (Instant::now(), Vec::new());
    while from.elapsed() < Duration::from_secs(options.seconds) {
        let fault = todo.pop().unwrap_or_else(|| {
            todo = faults.clone();
            todo.shuffle(random);
            todo.pop().unwrap_or(Fault::KillLeader)
        });
        let at = begun.elapsed().as_millis();
        match inflict(fault, cluster, options.lying_disks, random) {
            Ok(how) => {
                writeln!(schedule, "{at} ms: {fault:?}: {how}")?;
                *counts.entry(fault).or_default() += 1;
            }
            Err(error) => {
                writeln!(schedule, "{at} ms: {fault:?}: {error:#}")?;
                return Err(error.context(format!("{fault:?}")));
            }
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn write_history(directory: &Path, history: &[Operation]) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(fs::File::create(directory.join("history.jsonl"))?);
    for operation in history {
        writeln!(file, "{}", serde_json::to_string(operation)?)?;
    }
    Ok(file.flush()?)
}

/// When nothing is wrong any more: every list as it is in the end. What the suite itself has written comes into the
/// history. All servers that are members come to the same.
fn conclude(
    cluster: &mut Cluster,
    history: &mut Vec<Operation>,
    findings: &mut Findings,
) -> anyhow::Result<BTreeMap<String, Vec<u64>>> {
    let done = cluster.append("the-end", IN_THE_END);
    history.extend(cluster.take_written());
    history.sort_by_key(|operation| operation.start);
    done.context("nothing can be written in the end")?;
    let keys: BTreeSet<&String> = history.iter().map(|operation| &operation.key).collect();
    let mut lists = BTreeMap::new();
    for key in keys {
        let answer = cluster.ask_leader(&format!("read linearizable {key}"), IN_THE_END);
        let answer = answer.with_context(|| format!("{key} cannot be read in the end"))?;
        let list = answer.split_once(' ').and_then(|(_, list)| machine::read(list));
        lists.insert(key.clone(), list.with_context(|| format!("{key} is read as {answer}"))?);
    }
    let end = come_to_the_same(cluster, findings);
    let end = end.and_then(|are_well| if are_well { all_serve(cluster, &lists) } else { Ok(()) });
    if let Err(error) = end {
        findings.fails(&error);
    }
    Ok(lists)
}

/// Every voter serves reads, those that ask the leader included, and shows what the leader has shown.
fn all_serve(cluster: &Cluster, lists: &BTreeMap<String, Vec<u64>>) -> anyhow::Result<()> {
    let (key, list) = lists.last_key_value().context("there is no list")?;
    for id in nemesis::members(cluster)?.voters {
        for mode in ["linearizable", "1", "stale"] {
            let begun = Instant::now();
            let line = format!("read {mode} {key}");
            let read = loop {
                let answer = cluster.ask(id, &line, Duration::from_secs(5)).unwrap_or_default();
                if let Some(read) = answer.strip_prefix("ok ") {
                    break read.split_once(' ').and_then(|(_, list)| machine::read(list));
                }
                anyhow::ensure!(begun.elapsed() < IN_THE_END, "server {id}: {line}: {answer}");
                thread::sleep(Duration::from_millis(100));
            };
            anyhow::ensure!(
                read.as_ref() == Some(list),
                "server {id}: {line}: {read:?}, not {list:?}"
            );
        }
    }
    Ok(())
}

/// How long something may take in the end.
const IN_THE_END: Duration = Duration::from_secs(60);

/// No server has stopped for good. Those that vote have the same state. Whether all servers run.
fn come_to_the_same(cluster: &mut Cluster, findings: &mut Findings) -> anyhow::Result<bool> {
    let mut is_well = true;
    for id in cluster.ids() {
        if let Err(error) = cluster.is_well(id) {
            findings.fails(&error);
            is_well = false;
        }
    }
    if !is_well {
        return Ok(false);
    }
    let voters = nemesis::members(cluster)?.voters;
    let begun = Instant::now();
    loop {
        let digests: Vec<Option<String>> =
            voters.iter().map(|id| cluster.ask(*id, "digest", Duration::from_secs(1))).collect();
        let executed: BTreeSet<Option<&str>> = digests
            .iter()
            .map(|digest| digest.as_deref().and_then(|digest| digest.split(' ').nth(1)))
            .collect();
        if executed.len() == 1 && !executed.contains(&None) {
            let different: BTreeSet<&Option<String>> = digests.iter().collect();
            if different.len() > 1 {
                findings.add("the oracle", format!("state machines differ: {digests:?}"));
            }
            return Ok(true);
        }
        anyhow::ensure!(
            begun.elapsed() < IN_THE_END,
            "servers do not come to the same: {digests:?}"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

fn judge_history(
    history: &[Operation],
    lists: &BTreeMap<String, Vec<u64>>,
    findings: &mut Findings,
) {
    let acknowledged =
        |operation: &&Operation| matches!(operation.did, Did::Append { index: Some(_), .. });
    let reads = |mode: ReadMode| {
        let is_one = |one: &&Operation| matches!(one.did, Did::Read { mode: of, .. } if of == mode);
        history.iter().filter(is_one).count()
    };
    let (linearizable, at_least, stale) =
        (reads(ReadMode::Linearizable), reads(ReadMode::AtLeast), reads(ReadMode::Stale));
    let unknown = history.iter().filter(|one| one.end.is_none()).count();
    let written = history.iter().filter(acknowledged).count();
    tell(&format!(
        "clients: {written} writes, {unknown} of unknown outcome; {linearizable} linearizable reads, \
         {at_least} of what was seen, {stale} stale"
    ));
    if written < 100 || linearizable < 50 || at_least < 10 || stale < 10 {
        findings.shows_too_little("hardly anything was asked for: this shows nothing");
    }
    for wrong in judge(history, lists) {
        let (judge, how) = match wrong {
            Wrong::Lost(how) | Wrong::Twice(how) => ("the oracle", how),
            Wrong::OtherAnswer(how) | Wrong::Forgotten(how) => ("the sessions", how),
            Wrong::NotAPrefix(how) | Wrong::NotLinearizable(how) | Wrong::WentBack(how) => {
                ("the history", how)
            }
        };
        findings.add(judge, how);
    }
    match linearizable::check(history, lists) {
        Ok(judged) => tell(&format!("the checker: {judged} operations are linearizable")),
        Err(Verdict::NotLinearizable(key)) => {
            findings.add("the checker", format!("what was told of {key} is not linearizable"));
        }
        Err(Verdict::Undecided(key)) => {
            findings.add("the suite", format!("the checker comes to no end with {key}"));
        }
    }
    for wrong in other_order(history, lists) {
        findings.add("the oracle", wrong);
    }
}

fn judge_tries(tries: Tries, findings: &mut Findings) {
    let Tries { without_answer, after_answer, longest, unresolved } = tries;
    tell(&format!(
        "sessions: {without_answer} writes asked for again without an answer, {after_answer} after their \
         answer, up to {} s later",
        longest / 1_000_000
    ));
    if without_answer < 10 || after_answer < 10 {
        findings.shows_too_little("hardly anything was asked for again: this shows nothing");
    }
    if unresolved > 0 {
        findings.add("the suite", format!("{unresolved} writes of sessions got no answer"));
    }
}

/// Numbers stand in a list in the order of the indices that were acknowledged for them.
fn other_order(history: &[Operation], lists: &BTreeMap<String, Vec<u64>>) -> Vec<String> {
    let mut indices: BTreeMap<u64, u64> = BTreeMap::new();
    let mut numbers: BTreeMap<u64, u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    for operation in history {
        if let Did::Append { number, index: Some(index), .. } = operation.did {
            indices.insert(number, index);
            if let Some(other) = numbers.insert(index, number) {
                wrong.push(format!("{number} and {other} were both acknowledged at index {index}"));
            }
        }
    }
    for (key, list) in lists {
        let order: Vec<u64> =
            list.iter().filter_map(|number| indices.get(number).copied()).collect();
        if !order.is_sorted() {
            wrong.push(format!("the list of {key} is not in the order of the log: {list:?}"));
        }
    }
    wrong
}

fn judge_recordings(
    directory: &Path,
    expected: &Expected,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let files = find_files(&directory.join("recordings"))?;
    match follow(&files) {
        Ok(Agreement { servers, judged }) => {
            for (server, followed) in &servers {
                tell(&format!("the model: {server}: {followed}"));
                if followed.turned_away > 0 {
                    findings.add("the model", format!("{server} was sent what makes no sense"));
                }
                if followed.store_failures > 0 && expected.failures_of_disks == 0 {
                    let how = format!("the store of {server} has failed, and no disk was to fail");
                    findings.add("the servers", how);
                }
                if !followed.is_complete {
                    findings.add("the suite", format!("the recording of {server} has gaps"));
                }
            }
            if servers.len() as u64 != expected.servers {
                let how = format!("{} servers have recorded what they did", servers.len());
                findings.add("the suite", how);
            }
            tell(&format!("the model: {judged}"));
            if judged.messages_not_looked_for > 0 {
                findings.add("the suite", "there were too many messages to judge all of them");
            }
            let sum = |count: fn(&Followed) -> u64| servers.values().map(count).sum::<u64>();
            tell(&format!(
                "snapshots: {} taken, {} installed; {} restarts after a kill",
                sum(|one| one.snapshots_taken),
                sum(|one| one.snapshots_installed),
                sum(|one| one.restarts_judged)
            ));
            let (reads, by_lease) = (sum(|one| one.reads), sum(|one| one.lease_reads));
            let otherwise = reads - by_lease;
            tell(&format!(
                "groups of linearizable reads: {by_lease} by lease, {otherwise} otherwise"
            ));
            if otherwise == 0 || expected.leases && by_lease == 0 {
                findings.shows_too_little("not every kind of linearizable read was seen");
            }
            if !expected.leases && by_lease > 0 {
                findings.add("the model", "reads were served by lease, and no server has leases");
            }
            if sum(|one| one.snapshots_taken) == 0 {
                findings.shows_too_little("no server has taken a snapshot");
            }
            if expected.is_left_behind && sum(|one| one.snapshots_installed) == 0 {
                findings.add("the suite", "a server was left behind, and was sent no snapshot");
            }
        }
        Err(fault) => findings.add("the model", fault.to_string()),
    }
    Ok(())
}
