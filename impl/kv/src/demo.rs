//! Three servers on this machine, each a process of its own.

use crate::client;
use crate::config::Config;
use crate::server::ServerReport;
use anyhow::{Context, bail};
use std::fs;
use std::io::{self, BufRead};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How many servers.
const SERVERS: u16 = 3;
/// How long servers may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

const PORTS: &str = "If its ports are in use, choose others with --port.";

/// How the demo is to be.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// Clients connect to this port and the two after it, servers to those ten above, browsers to those
    /// twenty above. 0 for any that are free.
    pub port: u16,
    /// Whether the leader reads by its lease.
    pub leases: bool,
}

/// A server of the demo.
struct Process {
    id: u16,
    file: PathBuf,
    clients: String,
    http: String,
    /// `None` if it has ended.
    child: Option<Child>,
}

/// Runs servers until this process is told to end. Their disks are removed then.
///
/// # Errors
/// If they cannot be started.
pub async fn run(options: DemoOptions) -> anyhow::Result<()> {
    let directory = tempfile::Builder::new().prefix("kontiki-kv-").tempdir()?;
    let mut servers = prepare(directory.path(), options)?;
    for server in &mut servers {
        server.start()?;
    }
    let leader = wait_for_leader(&mut servers).await?;
    print_welcome(directory.path(), &servers, leader);

    let (line, lines) = mpsc::channel();
    // The thread ends with the process.
    thread::spawn(move || io::stdin().lock().lines().try_for_each(|_| line.send(())));
    let mut ending = std::pin::pin!(crate::ending());
    loop {
        tokio::select! {
            () = &mut ending => break,
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        for server in &mut servers {
            if let Some(how) = server.has_ended()? {
                println!("server {} has ended ({how}): Enter starts it again", server.id);
            }
        }
        if lines.try_recv().is_ok() {
            for server in servers.iter_mut().filter(|server| server.child.is_none()) {
                server.start()?;
                println!("server {} is process {}", server.id, server.process());
            }
        }
    }
    println!("ending the servers");
    servers.iter_mut().for_each(Process::ask_to_end);
    let deadline = Instant::now() + PATIENCE;
    for server in &mut servers {
        server.end(deadline)?;
    }
    directory.close().context("cannot remove the servers' disks")
}

/// Writes the config files.
fn prepare(directory: &Path, options: DemoOptions) -> anyhow::Result<Vec<Process>> {
    let ports = match options.port {
        0 => free_ports()?,
        first => {
            let all = (0..3).flat_map(|kind| (0..SERVERS).map(move |server| 10 * kind + server));
            let all: Option<Vec<u16>> = all.map(|offset| first.checked_add(offset)).collect();
            all.context("--port is too high: ports end at 65535")?
        }
    };
    let address = |kind: u16, id: u16| {
        let port = ports.get(usize::from(kind * SERVERS + id - 1)).copied().unwrap_or_default();
        format!("127.0.0.1:{port}")
    };
    let mut all = String::new();
    for id in 1..=SERVERS {
        let (clients, peers, http) = (address(0, id), address(1, id), address(2, id));
        all.push_str(&format!(
            "\n[[servers]]\nid = {id}\npeers = \"{peers}\"\nclients = \"{clients}\"\n\
             http = \"{http}\"\n"
        ));
    }
    let cluster: u128 = u128::from(std::process::id()) << 64 | u128::from(crate::random());
    let write = |id: u16| {
        let file = directory.join(format!("{id}.toml"));
        let text = format!(
            "cluster = \"{cluster:x}\"\nid = {id}\ndirectory = \"disk-{id}\"\nleases = {}\n{all}",
            options.leases
        );
        fs::write(&file, text)?;
        Config::read(&file)?;
        let (clients, http) = (address(0, id), address(2, id));
        Ok(Process { id, file, clients, http, child: None })
    };
    (1..=SERVERS).map(write).collect()
}

/// Ports that nobody else listens at now.
fn free_ports() -> io::Result<Vec<u16>> {
    let listeners: Vec<_> =
        (0..3 * SERVERS).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

impl Process {
    fn start(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("init").arg("--config").arg(&self.file).arg("--end-with-stdin");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.context("cannot start a server")?);
        Ok(())
    }

    /// What the server says, for people.
    fn log(&self) -> PathBuf {
        self.file.with_extension("log")
    }

    fn process(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// How it has ended, if it has since it was asked last.
    fn has_ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let how = child.try_wait()?;
        if how.is_some() {
            self.child = None;
        }
        Ok(how)
    }

    fn ask_to_end(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.stdin.take());
        }
    }

    fn end(&mut self, deadline: Instant) -> io::Result<()> {
        while Instant::now() < deadline {
            if self.child.is_none() || self.has_ended()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        child.wait().map(drop)
    }
}

impl Drop for Process {
    /// After an error nobody has ended them.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

async fn wait_for_leader(servers: &mut [Process]) -> anyhow::Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        for server in &mut *servers {
            if let Some(how) = server.has_ended()? {
                let log = fs::read_to_string(server.log()).unwrap_or_default();
                let said = log.lines().last().unwrap_or_default();
                bail!("server {} has not started ({how}): {said}\n{PORTS}", server.id);
            }
            let report =
                client::ask_there(&server.clients, &["KONTIKI.STATUS"], Duration::from_secs(1));
            let report = report.ok().and_then(|text| serde_json::from_str(&text).ok());
            if let Some(leader) = report.and_then(|report: ServerReport| report.leader) {
                return Ok(leader);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("no server leads after {PATIENCE:?}")
}

fn print_welcome(directory: &Path, servers: &[Process], leader: u64) {
    println!("Three servers run here. Their disks and logs are in {}:\n", directory.display());
    println!("  server   clients           page                       process");
    for server in servers {
        let Process { id, clients, http, .. } = server;
        let leads = if u64::from(*id) == leader { "   leads" } else { "" };
        let (page, process) = (format!("http://{http}"), server.process());
        println!("  {id:<8} {clients:<17} {page:<26} {process}{leads}");
    }
    let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
    let ports: Vec<String> = servers.iter().map(|server| port(&server.clients)).collect();
    let leading = servers.iter().find(|server| u64::from(server.id) == leader);
    println!("\nIn another terminal, for example:\n");
    for (port, command) in ports.iter().zip(["set greeting hello", "get greeting", "info"]) {
        println!("  redis-cli -c -p {port} {command}");
    }
    let leading_port = leading.map_or_else(String::new, |server| port(&server.clients));
    println!("  redis-benchmark -p {leading_port} -t set,get -d 256 -c 64 -n 100000");
    println!("  kill -9 {}", leading.map_or(0, Process::process));
    println!(
        "\nEnter starts those again that have ended. Ctrl-C ends all and removes their disks."
    );
}
