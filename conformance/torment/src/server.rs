//! One server: a process with a node, and a port for clients that speak lines of text.

use crate::certificates::{self, CLUSTER};
use crate::machine::{Machine, Mistake, Query, SOMETIMES};
use anyhow::Context;
use kontiki_node::kontiki::driver::{Consistency, Timings};
use kontiki_node::kontiki::sessions::{Outcome, SessionClient};
use kontiki_node::kontiki::{
    LogIndex, LogPosition, MembershipChange, RoleKind, ServerId, SessionCommand, SessionId,
};
use kontiki_node::{Handle, Node, NodeConfig, RecordTo, RequestError, Security, Start};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};

/// How many entries that a snapshot covers stay in the log.
pub const KEPT_ENTRIES: u64 = 30;

/// By how much clocks may differ: almost the most that a driver takes.
pub const DRIFT_PPM: u32 = 90_000;

/// A server process.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerOptions {
    /// The server's id.
    #[arg(long)]
    pub id: u64,
    /// How many servers the cluster is started with. One beyond that waits to be taken in.
    #[arg(long)]
    pub voters: u64,
    /// The directory of its disk.
    #[arg(long)]
    pub disk: PathBuf,
    /// Where it records what it does.
    #[arg(long)]
    pub record: PathBuf,
    /// Where its certificate and the authority's are.
    #[arg(long)]
    pub certificates: PathBuf,
    /// The port that servers connect to.
    #[arg(long)]
    pub port: u16,
    /// The port that clients connect to.
    #[arg(long)]
    pub client_port: u16,
    /// How fast its clock runs, in millionths of the machine's.
    #[arg(long)]
    pub clock: u32,
    /// The port at which each other server is reached, as `2=4001`.
    #[arg(long)]
    pub peer: Vec<String>,
    /// A mistake to make.
    #[arg(long)]
    pub mistake: Option<Mistake>,
    /// It has leases.
    #[arg(long)]
    pub leases: bool,
}

/// Runs the server until the process is killed, or told to end.
pub fn run(options: &ServerOptions) -> anyhow::Result<()> {
    // Whoever ends the run ends its servers.
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot end with the run")?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().worker_threads(2).build().context("cannot start threads")?;
    runtime.block_on(serve(options.clone()))
}

fn config(options: &ServerOptions) -> anyhow::Result<NodeConfig> {
    let mut addresses = BTreeMap::new();
    for peer in &options.peer {
        let (id, port) = peer.split_once('=').context("--peer takes ID=PORT")?;
        addresses.insert(ServerId(id.parse()?), format!("127.0.0.1:{}", port.parse::<u16>()?));
    }
    let listener = TcpListener::bind(("127.0.0.1", options.port)).context("cannot listen")?;
    let id = ServerId(options.id);
    let security = Security::Tls(certificates::of(&options.certificates, id));
    let mut config = NodeConfig::new(CLUSTER, id, addresses, &options.disk, listener, security);
    config.start = match options.id <= options.voters {
        true => Start::Bootstrap { voters: (1..=options.voters).map(ServerId).collect() },
        false => Start::Join,
    };
    // Each link goes through a proxy of its own.
    config.fixed_addresses = true;
    let raft = &mut config.driver.raft;
    raft.leases = options.leases;
    raft.kept_entries = KEPT_ENTRIES;
    raft.snapshot_bytes = 16 << 10;
    // So small that some are finished, and others begun, while things go wrong.
    config.store.segment_bytes = 64 << 10;
    config.driver.timings = Timings::for_election_timeout(Duration::from_millis(600));
    config.driver.timings.drift_ppm = DRIFT_PPM;
    config.clock_rate_ppm = options.clock;
    config.driver.timings.request_timeout = Duration::from_secs(2);
    config.limits.chunk_bytes = 2 << 10;
    let record = RecordTo::directory(&options.record);
    config.record = Some(RecordTo { most_bytes: 4 << 20, files: usize::MAX, ..record });
    Ok(config)
}

async fn serve(options: ServerOptions) -> anyhow::Result<()> {
    let clients = tokio::net::TcpListener::bind(("127.0.0.1", options.client_port)).await?;
    let node = Node::start(config(&options)?, Machine::new(options.mistake)).await?;
    let mut told = signal(SignalKind::terminate())?;
    let requests: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(1)));
    loop {
        let (stream, _) = tokio::select! {
            accepted = clients.accept() => accepted?,
            _ = told.recv() => {
                node.shutdown().await;
                return Ok(());
            }
        };
        let (handle, mistake) = (node.handle(), options.mistake);
        tokio::spawn(async move {
            // Whoever goes away is answered nothing.
            drop(converse(stream, handle, mistake, requests).await);
        });
    }
}

async fn converse(
    stream: TcpStream,
    handle: Handle<Machine>,
    mistake: Option<Mistake>,
    requests: &AtomicU64,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = answer(&line, &handle, mistake, requests).await;
        write.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

/// How many sessions may be open. The clients of a run never come near.
const MOST_SESSIONS: NonZeroU64 = NonZeroU64::new(10_000).unwrap();
/// How many answers of a session are remembered.
pub const MOST_ANSWERS: NonZeroU64 = NonZeroU64::new(64).unwrap();

/// What a line is answered: `ok ...`, `leader ID` (or 0 if nobody is known), `no WHY`, `unknown WHY`, or
/// `gone WHY` if a session is not what its client takes it for.
async fn answer(
    line: &str,
    handle: &Handle<Machine>,
    mistake: Option<Mistake>,
    requests: &AtomicU64,
) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let answered = match words.as_slice() {
        ["append" | "open" | "in", ..] => {
            let Some(command) = command(&words) else { return "no such request".to_string() };
            let lost = mistake == Some(Mistake::LostWrite)
                && !matches!(command, SessionCommand::Open { .. })
                && requests.fetch_add(1, Ordering::Relaxed).is_multiple_of(SOMETIMES);
            if lost {
                return "ok 0".to_string();
            }
            match handle.write(command.encode()).await {
                Ok(Outcome::Executed(index) | Outcome::Repeated(index)) => Ok(index.to_string()),
                Ok(Outcome::Opened(session)) => Ok(session.0.to_string()),
                Ok(other) => return format!("gone {other:?}"),
                Err(error) => Err(error),
            }
        }
        ["read", mode, key] => {
            let consistency = match (*mode, mode.parse()) {
                ("linearizable", _)
                    if mistake == Some(Mistake::StaleRead)
                        && requests.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) =>
                {
                    Consistency::Stale
                }
                ("linearizable", _) => Consistency::Linearizable,
                (_, Ok(index)) => Consistency::AtLeast(LogIndex(index)),
                _ => Consistency::Stale,
            };
            let read = handle.read_seen(consistency, Query::List((*key).to_string())).await;
            read.map(|seen| format!("{} {}", seen.index, seen.value))
        }
        ["digest"] => handle.read(Consistency::Stale, Query::Digest).await,
        ["transfer", to] => match to.parse() {
            Ok(to) => handle.transfer(ServerId(to)).await.map(|()| String::new()),
            Err(_) => return "no such server".to_string(),
        },
        ["add", id] => match id.parse() {
            Ok(id) => change(handle, MembershipChange::AddVoter(ServerId(id))).await,
            Err(_) => return "no such server".to_string(),
        },
        ["learn", id] => match id.parse() {
            Ok(id) => change(handle, MembershipChange::AddLearner(ServerId(id))).await,
            Err(_) => return "no such server".to_string(),
        },
        ["remove", id] => match id.parse() {
            Ok(id) => change(handle, MembershipChange::Remove(ServerId(id))).await,
            Err(_) => return "no such server".to_string(),
        },
        ["replace", old, new] => match (old.parse(), new.parse()) {
            (Ok(old), Ok(new)) => match replacement(handle, ServerId(old), ServerId(new)).await {
                Ok(Some((change, expected))) => {
                    let done = handle.change_membership(change, Some(expected)).await;
                    done.map(|position| position.to_string())
                }
                Ok(None) => return "no such change".to_string(),
                Err(error) => Err(error),
            },
            _ => return "no such server".to_string(),
        },
        ["status"] => return status(handle).await,
        _ => return "no such request".to_string(),
    };
    match answered {
        Ok(answer) => format!("ok {answer}"),
        Err(RequestError::NotLeader { leader }) => {
            format!("leader {}", leader.map_or(0, |leader| leader.0))
        }
        Err(error) if error.is_certainly_not_done() => format!("no {error}"),
        Err(error) => format!("unknown {error}"),
    }
}

/// Whether the command that appends a number is long.
pub fn is_long(number: u64) -> bool {
    number.is_multiple_of(100)
}

/// How long, in bytes.
const LONG: usize = 100_000;

/// What is written: `append KEY NUMBER`, `open`, or `in SESSION SEQUENCE ANSWERED-BELOW KEY NUMBER`. Some commands are
/// longer than a frame, a segment of the log and the log between two snapshots.
fn command(words: &[&str]) -> Option<SessionCommand> {
    let append = |key: &str, number: &str| {
        let rest = " ".repeat(if number.parse().is_ok_and(is_long) { LONG } else { 0 });
        format!("{key} {number}{rest}").into()
    };
    match words {
        ["append", key, number] => Some(SessionCommand::Outside { command: append(key, number) }),
        ["open"] => Some(SessionClient::open(MOST_SESSIONS, MOST_ANSWERS)),
        ["in", session, sequence, answered_below, key, number] => Some(SessionCommand::InSession {
            session: SessionId(LogIndex(session.parse().ok()?)),
            sequence: sequence.parse().ok()?,
            answered_below: answered_below.parse().ok()?,
            command: append(key, number),
        }),
        _ => None,
    }
}

async fn change(
    handle: &Handle<Machine>,
    change: MembershipChange,
) -> Result<String, RequestError> {
    handle.change_membership(change, None).await.map(|position| position.to_string())
}

/// The change that takes the vote from one server and gives it to another at once, through a joint configuration, and
/// the configuration that it is meant for. Nothing if the one does not vote, or the other does.
async fn replacement(
    handle: &Handle<Machine>,
    old: ServerId,
    new: ServerId,
) -> Result<Option<(MembershipChange, LogPosition)>, RequestError> {
    let known = handle.status().await?.server;
    let (mut voters, mut learners) = (known.configuration.voters, known.configuration.learners);
    learners.remove(&new);
    let is_one = voters.remove(&old) && voters.insert(new) && old != new;
    let (voters, learners) = (voters.into_iter().collect(), learners.into_iter().collect());
    let change = MembershipChange::Replace { voters, learners };
    Ok(is_one.then_some((change, known.configuration_position)))
}

/// As `ok leads=1 term=3 executed=17 last=20 snapshot=15 voters=1,2,3 learners=4 changing=0 failed=-`.
/// While a change is under way, the voters and learners are those that it leads to.
async fn status(handle: &Handle<Machine>) -> String {
    let Ok(known) = handle.status().await else { return "no status".to_string() };
    let server = &known.server;
    let ids = |servers: &BTreeSet<ServerId>| {
        let ids: Vec<String> = servers.iter().map(|server| server.0.to_string()).collect();
        ids.join(",")
    };
    let stopped = known.stopped.map(|cause| format!("{cause:?}"));
    let failed = stopped.or(known.record_failure).unwrap_or_else(|| "-".to_string());
    format!(
        "ok leads={} term={} executed={} last={} snapshot={} voters={} learners={} changing={} failed={}",
        u64::from(server.role == RoleKind::Leader),
        server.term,
        server.executed_index,
        server.last_index,
        server.snapshot.map_or(LogIndex::ZERO, |snapshot| snapshot.last.index),
        ids(&server.configuration.voters),
        ids(&server.configuration.learners),
        u64::from(server.change_under_way),
        failed.replace(' ', "_")
    )
}
