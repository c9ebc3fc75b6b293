//! The processes of a cluster, and the links between them.

use crate::certificates;
use crate::disk::{Disk, Loss, Trouble};
use crate::history::{Did, Operation};
use crate::machine::Mistake;
use crate::proxy::{Link, Mode};
use crate::run::name;
use crate::server::DRIFT_PPM;
use anyhow::Context;
use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A server of the cluster.
struct Process {
    child: Option<Child>,
    port: u16,
    client_port: u16,
    /// The disk that it has its directory on, if that one can fail.
    disk: Option<Disk>,
    /// How fast its clock runs, in millionths of the machine's.
    clock: u32,
}

/// Where the certificates of a run are.
fn certificates_in(directory: &Path) -> PathBuf {
    directory.join("certificates")
}

/// All servers, those that are no members included.
pub struct Cluster {
    processes: BTreeMap<u64, Process>,
    links: BTreeMap<(u64, u64), Link>,
    voters: u64,
    directory: PathBuf,
    mistake: Option<Mistake>,
    /// Whether servers have leases.
    leases: bool,
    /// When the run began.
    begun: Instant,
    /// The last number that was written here.
    number: u64,
    /// What was written here, and not by clients.
    written: Vec<Operation>,
}

/// A server that has stopped by itself, or does not say how it is.
#[derive(Debug)]
pub struct Unwell(String);

impl fmt::Display for Unwell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unwell {}

/// How long a server that runs may take to say how it is. It may just have been started.
const SAYS_HOW_IT_IS: Duration = Duration::from_secs(60);

/// How long a server may take to shut down. It waits for requests, which have a deadline of two seconds.
const SHUTS_DOWN: Duration = Duration::from_secs(60);

/// Who has written what no client has. So its numbers are none of theirs.
const NO_CLIENT: u64 = 0;

const MILLION: u32 = 1_000_000;

/// The clock of server 1 is as slow, and that of server 2 as fast as the timings of the cluster allow for. The
/// others are between them.
fn clock_rate(id: u64, random: &mut StdRng, mistake: Option<Mistake>) -> u32 {
    match id {
        1 if mistake == Some(Mistake::SlowClock) => MILLION / 4,
        1 => MILLION,
        2 => MILLION + DRIFT_PPM,
        _ => MILLION + random.random_range(0..=DRIFT_PPM),
    }
}

/// Ports that the system gives to nobody by itself: neither a link nor a connection takes one of them before the
/// server listens there.
const PORTS: Range<u16> = 10_000..32_000;

/// A port that is free, and is none of these.
fn free_port(taken: &mut BTreeSet<u16>) -> anyhow::Result<u16> {
    for _ in 0..1000 {
        let port = rand::random_range(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && taken.insert(port) {
            return Ok(port);
        }
    }
    anyhow::bail!("no port is free from {} to {}", PORTS.start, PORTS.end)
}

impl Cluster {
    /// Starts so many servers, which form the cluster, and one more, which joins it. Their disks can fail, in ways that
    /// a seed decides, if there is one. The run has begun at a moment before.
    pub fn start(
        voters: u64,
        directory: &Path,
        mistake: Option<Mistake>,
        leases: bool,
        disks: Option<u64>,
        begun: Instant,
        random: &mut StdRng,
    ) -> anyhow::Result<Cluster> {
        let (mut processes, mut taken) = (BTreeMap::new(), BTreeSet::new());
        for id in 1..=voters + 1 {
            let (port, client_port) = (free_port(&mut taken)?, free_port(&mut taken)?);
            let mount = |seed: u64| {
                let path = directory.join(format!("mounted-{id}"));
                Disk::mount(path, directory.join(format!("disk-{id}")), seed ^ (id << 48))
            };
            let disk = disks.map(mount).transpose()?;
            let clock = clock_rate(id, random, mistake);
            processes.insert(id, Process { child: None, port, client_port, disk, clock });
        }
        let mut links = BTreeMap::new();
        for (to, process) in &processes {
            for from in processes.keys().filter(|from| *from != to) {
                links.insert((*from, *to), Link::open(process.port)?);
            }
        }
        certificates::make(&certificates_in(directory), processes.keys().copied())
            .context("cannot make certificates")?;
        let directory = directory.to_path_buf();
        let (number, written) = (0, Vec::new());
        let mut cluster = Cluster {
            processes,
            links,
            voters,
            directory,
            mistake,
            leases,
            begun,
            number,
            written,
        };
        for id in cluster.ids() {
            cluster.spawn(id)?;
        }
        Ok(cluster)
    }

    /// All servers.
    pub fn ids(&self) -> Vec<u64> {
        self.processes.keys().copied().collect()
    }

    /// The ports for clients.
    pub fn client_ports(&self) -> BTreeMap<u64, u16> {
        self.processes.iter().map(|(id, process)| (*id, process.client_port)).collect()
    }

    /// Where the servers record what they do.
    pub fn recordings(&self) -> PathBuf {
        self.directory.join("recordings")
    }

    /// Starts the process of a server, unless it runs.
    pub fn spawn(&mut self, id: u64) -> anyhow::Result<()> {
        let peers: Vec<String> = self
            .links
            .iter()
            .filter(|((from, _), _)| *from == id)
            .map(|((_, to), link)| format!("--peer={to}={}", link.port))
            .collect();
        let log = self.directory.join(format!("server-{id}.log"));
        let log: File = OpenOptions::new().create(true).append(true).open(log)?;
        // The state machine of one server only is to differ.
        let mistake = self.mistake.filter(|one| *one != Mistake::DifferentMachine || id == 2);
        let recordings = self.recordings();
        let process = self.processes.get_mut(&id).context("no such server")?;
        if process.child.is_some() {
            return Ok(());
        }
        let path = match &process.disk {
            Some(disk) => {
                disk.set(Trouble::Nothing);
                disk.path().to_path_buf()
            }
            None => self.directory.join(format!("disk-{id}")),
        };
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("server")
            .arg(format!("--id={id}"))
            .arg(format!("--voters={}", self.voters))
            .arg(format!("--port={}", process.port))
            .arg(format!("--client-port={}", process.client_port))
            .arg(format!("--clock={}", process.clock))
            .arg("--disk")
            .arg(path)
            .arg("--record")
            .arg(recordings)
            .arg("--certificates")
            .arg(certificates_in(&self.directory))
            .args(peers);
        if let Some(mistake) = mistake {
            command.arg(format!("--mistake={}", name(&mistake)));
        }
        if self.leases {
            command.arg("--leases");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        process.child = Some(command.spawn().context("cannot start a process")?);
        Ok(())
    }

    /// The server whose clock is slower than it may be, if one is. It has to lead for that to show.
    pub fn slow(&self) -> Option<u64> {
        (self.mistake == Some(Mistake::SlowClock)).then_some(1)
    }

    /// All servers that run say that they have not stopped for good.
    ///
    /// # Errors
    /// [`Unwell`], if one has, or says nothing.
    pub fn are_well(&mut self) -> anyhow::Result<()> {
        self.ids().into_iter().try_for_each(|id| self.is_well(id))
    }

    /// A server says that it has not stopped for good, if it is to run.
    ///
    /// # Errors
    /// [`Unwell`], if it has, or says nothing.
    pub fn is_well(&mut self, id: u64) -> anyhow::Result<()> {
        if self.processes.get(&id).is_none_or(|process| process.child.is_none()) {
            return Ok(());
        }
        let begun = Instant::now();
        let how = loop {
            if !self.runs(id) {
                break "has ended by itself".to_string();
            }
            match self.status(id, "failed") {
                Some(failed) if failed == "-" => return Ok(()),
                Some(failed) => break format!("has stopped by itself: {failed}"),
                None if begun.elapsed() >= SAYS_HOW_IT_IS => {
                    break "runs, and does not say how it is".to_string();
                }
                None => thread::sleep(Duration::from_millis(50)),
            }
        };
        Err(Unwell(format!("server {id} {how}")).into())
    }

    /// Kills processes and waits until they are gone. A new start would hide that a server had stopped before, so
    /// each has to be well.
    ///
    /// # Errors
    /// [`Unwell`], and if one was gone before: then something else ended it.
    pub fn kill(&mut self, which: &[u64]) -> anyhow::Result<()> {
        which.iter().try_for_each(|id| self.is_well(*id))?;
        which.iter().try_for_each(|id| self.kill_as_it_is(*id))
    }

    /// Kills a process, whether its server has stopped for good or not, and waits until it is gone.
    ///
    /// # Errors
    /// If it was gone before: then something else ended it.
    pub fn kill_as_it_is(&mut self, id: u64) -> anyhow::Result<()> {
        let process = self.processes.get_mut(&id).context("no such server")?;
        let Some(mut child) = process.child.take() else { return Ok(()) };
        child.kill().with_context(|| format!("server {id} cannot be killed"))?;
        if let Some(disk) = &process.disk {
            // It does not end before its disk has answered.
            disk.turn_off();
        }
        let status = child.wait()?;
        anyhow::ensure!(status.signal() == Some(9), "server {id} ended by itself: {status}");
        Ok(())
    }

    /// Has a server shut down, and waits until its process has ended.
    ///
    /// # Errors
    /// [`Unwell`], if it had stopped before; and if it does not end as one that shuts down does.
    pub fn shut_down(&mut self, id: u64) -> anyhow::Result<()> {
        self.is_well(id)?;
        self.signal(id, Signal::TERM)?;
        let begun = Instant::now();
        while self.runs(id) {
            anyhow::ensure!(begun.elapsed() < SHUTS_DOWN, "server {id} does not shut down");
            thread::sleep(Duration::from_millis(20));
        }
        let child = self.processes.get_mut(&id).and_then(|process| process.child.take());
        let status = child.context("no such server")?.wait()?;
        anyhow::ensure!(status.success(), "server {id} was to shut down, and ended so: {status}");
        Ok(())
    }

    /// The disk of a server.
    ///
    /// # Errors
    /// If it is none that can fail.
    pub fn disk(&self, id: u64) -> anyhow::Result<&Disk> {
        let process = self.processes.get(&id).context("no such server")?;
        process.disk.as_ref().context("this run has no disks that fail")
    }

    /// Kills processes; then their disks lose what was not synced, `everything` or as luck has it.
    ///
    /// # Errors
    /// As [`Cluster::kill`].
    pub fn lose_power(&mut self, which: &[u64], everything: bool) -> anyhow::Result<Loss> {
        self.kill(which)?;
        let mut lost = Loss::default();
        for id in which {
            let Loss { sectors, kept, names } = self.disk(*id)?.lose_power(everything)?;
            lost.sectors += sectors;
            lost.kept += kept;
            lost.names += names;
        }
        Ok(lost)
    }

    /// Whether the process of a server runs, or is stopped by a signal.
    pub fn runs(&mut self, id: u64) -> bool {
        let child = self.processes.get_mut(&id).and_then(|process| process.child.as_mut());
        child.is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Has a process stand still.
    pub fn stop(&mut self, id: u64) -> anyhow::Result<()> {
        let pid = self.signal(id, Signal::STOP)?;
        for _ in 0..100 {
            if is_stopped(pid) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        anyhow::bail!("server {id} was to stand still, and does not")
    }

    /// Has it go on.
    pub fn go_on(&mut self, id: u64) -> anyhow::Result<()> {
        self.signal(id, Signal::CONT).map(drop)
    }

    fn signal(&mut self, id: u64, signal: Signal) -> anyhow::Result<Pid> {
        let child = self.processes.get(&id).and_then(|process| process.child.as_ref());
        let pid = Pid::from_child(child.with_context(|| format!("server {id} does not run"))?);
        kill_process(pid, signal)?;
        Ok(pid)
    }

    /// What links do from now on: those for which this says something.
    pub fn set_links(&self, mode: impl Fn(u64, u64) -> Option<Mode>) {
        for ((from, to), link) in &self.links {
            if let Some(mode) = mode(*from, *to) {
                link.set(mode);
            }
        }
    }

    /// How often links between these have held up, delayed or lost something so far.
    pub fn affected(&self, of: impl Fn(u64, u64) -> bool) -> u64 {
        let links = self.links.iter().filter(|((from, to), _)| of(*from, *to));
        links.map(|(_, link)| link.affected()).sum()
    }

    /// How many connections between servers did not begin as TLS does.
    pub fn without_tls(&self) -> u64 {
        self.links.values().map(Link::without_tls).sum()
    }

    /// How many requests to disks the suite has had fail.
    pub fn failures_of_disks(&self) -> u64 {
        let disks = self.processes.values().filter_map(|process| process.disk.as_ref());
        // A torn write fails, too, if its server is not killed.
        disks.map(Disk::counts).map(|counts| counts.failed + counts.torn).sum()
    }

    /// Everything runs and passes again.
    pub fn heal(&mut self) -> anyhow::Result<()> {
        self.set_links(|_, _| Some(Mode::Pass));
        for id in self.ids() {
            if let Ok(disk) = self.disk(id) {
                disk.set(Trouble::Nothing);
            }
            self.spawn(id)?;
        }
        Ok(())
    }

    /// Asks a server, once. Nothing if it does not answer in time.
    pub fn ask(&self, id: u64, line: &str, patience: Duration) -> Option<String> {
        Connection::open(self.processes.get(&id)?.client_port, patience)?.ask(line)
    }

    /// Who leads, once somebody does: the one with the highest term.
    pub fn leader(&self, patience: Duration) -> Option<u64> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            let mut leaders = Vec::new();
            for id in self.ids() {
                let status = self.ask(id, "status", Duration::from_millis(500));
                let Some(status) = status.filter(|status| status.contains("leads=1")) else {
                    continue;
                };
                leaders.push((field(&status, "term")?.parse::<u64>().ok()?, id));
            }
            if let Some((_, id)) = leaders.into_iter().max() {
                return Some(id);
            }
            thread::sleep(Duration::from_millis(50));
        }
        None
    }

    /// The fields of a server's status.
    pub fn status(&self, id: u64, name: &str) -> Option<String> {
        field(&self.ask(id, "status", Duration::from_secs(1))?, name)
    }

    /// Asks whoever leads until the answer is `ok`, or for so long.
    pub fn ask_leader(&self, line: &str, patience: Duration) -> Option<String> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            let leader = self.leader(patience)?;
            let answer = self.ask(leader, line, Duration::from_secs(5));
            if let Some(done) =
                answer.and_then(|answer| Some(answer.strip_prefix("ok")?.to_string()))
            {
                return Some(done.trim().to_string());
            }
            thread::sleep(Duration::from_millis(100));
        }
        None
    }

    /// Appends a number to a list at whoever leads, until that is done, or for so long. Each try has a number of its
    /// own: one without an answer may have been done. All of it is in the history of the run.
    pub fn append(&mut self, key: &str, patience: Duration) -> Option<()> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            let leader = self.leader(patience)?;
            self.number += 1;
            let (number, start) = (self.number, self.now());
            let line = format!("append {key} {number}");
            let answer = self.ask(leader, &line, Duration::from_secs(5));
            let end = self.now();
            let words: Vec<&str> = answer.iter().flat_map(|answer| answer.split(' ')).collect();
            let index = match words.as_slice() {
                ["ok", index] => index.parse().ok(),
                _ => None,
            };
            if !matches!(words.as_slice(), ["leader" | "no", ..]) {
                let (key, end) = (key.to_string(), index.map(|_| end));
                let did = Did::Append { number, index, session: None };
                self.written.push(Operation { client: NO_CLIENT, key, start, end, did });
            }
            if index.is_some() {
                return Some(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        None
    }

    /// What [`Cluster::append`] has appended so far, and is not asked for again.
    pub fn take_written(&mut self) -> Vec<Operation> {
        std::mem::take(&mut self.written)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.processes.values_mut() {
            if let Some(child) = &mut process.child {
                // One that is gone needs no end.
                drop(child.kill());
                if let Some(disk) = &process.disk {
                    disk.turn_off();
                }
                drop(child.wait());
            }
        }
    }
}

/// A field of a status line.
pub fn field(status: &str, name: &str) -> Option<String> {
    status.split(' ').find_map(|word| Some(word.strip_prefix(name)?.strip_prefix('=')?.to_string()))
}

fn is_stopped(pid: Pid) -> bool {
    let stat =
        fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}

/// A client's connection to a server.
pub struct Connection {
    read: BufReader<TcpStream>,
    write: TcpStream,
}

impl Connection {
    /// Connects; nothing if nobody is there.
    pub fn open(port: u16, patience: Duration) -> Option<Connection> {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, patience).ok()?;
        stream.set_read_timeout(Some(patience)).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Connection { read: BufReader::new(stream.try_clone().ok()?), write: stream })
    }

    /// Asks, and waits for no answer.
    pub fn send(&mut self, line: &str) -> Option<()> {
        self.write.write_all(format!("{line}\n").as_bytes()).ok()
    }

    /// Asks, and waits for the answer. Nothing if none comes: then the connection is of no use any more.
    pub fn ask(&mut self, line: &str) -> Option<String> {
        self.send(line)?;
        let mut answer = String::new();
        self.read.read_line(&mut answer).ok()?;
        answer.strip_suffix('\n').map(str::to_string)
    }
}
