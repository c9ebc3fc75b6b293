//! Three server processes of one kind, on three ports, with disks in a directory of their own.

use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What the servers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Etcd,
    /// Kontiki's key-value server, and where its program is.
    Kontiki(PathBuf),
}

impl System {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            System::Etcd => "etcd",
            System::Kontiki(_) => "Kontiki",
        }
    }
}

/// The servers of a cluster. They are killed when this is dropped.
pub(crate) struct Servers {
    system: System,
    directory: PathBuf,
    children: Vec<Child>,
    /// Where the kernel tells what was written to the device.
    statistics: PathBuf,
}

/// Where clients connect to, and where servers do.
pub(crate) const CLIENT_PORTS: [u16; 3] = [23791, 23792, 23793];
const PEER_PORTS: [u16; 3] = [23801, 23802, 23803];

/// What servers have used since they were started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Of the processor, in seconds.
    pub(crate) processor: f64,
    /// What was written to the device of their disks, by whomever, in bytes. What the kernel says of a process
    /// (`/proc/PID/io`) would be far more: it counts all of a large page of which a part has changed.
    pub(crate) written: u64,
}

impl Servers {
    pub(crate) fn start(system: &System, directory: &Path) -> Result<Servers> {
        let mut servers = Servers {
            system: system.clone(),
            directory: directory.to_owned(),
            children: Vec::new(),
            statistics: statistics_of(directory)?,
        };
        for server in 0..3 {
            let child = servers.start_one(server)?;
            servers.children.push(child);
        }
        Ok(servers)
    }

    fn start_one(&self, server: usize) -> Result<Child> {
        let mut command = match &self.system {
            System::Etcd => etcd(server, &self.directory),
            System::Kontiki(program) => kontiki(program, server, &self.directory)?,
        };
        let log = self.directory.join(format!("{server}.log"));
        let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| format!("start {command:?}"))
    }

    /// Kills the server that serves clients at this port, as `kill -9` does.
    pub(crate) fn kill(&mut self, port: u16) -> Result<()> {
        let child = &mut self.children[place(port)?];
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Starts it again.
    pub(crate) fn restart(&mut self, port: u16) -> Result<()> {
        let server = place(port)?;
        self.children[server] = self.start_one(server)?;
        Ok(())
    }

    /// What all of them have used so far.
    pub(crate) fn usage(&mut self) -> Result<Usage> {
        let statistics = fs::read_to_string(&self.statistics)?;
        let sectors = statistics.split_whitespace().nth(6).context("a device has statistics")?;
        let mut sum = Usage { processor: 0.0, written: sectors.parse::<u64>()? * SECTOR };
        for child in &mut self.children {
            if let Some(status) = child.try_wait()? {
                bail!("a server has ended: {status}");
            }
            sum.processor += processor_time(child.id())?;
        }
        Ok(sum)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            // If it has ended already, there is nothing to kill.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn place(port: u16) -> Result<usize> {
    CLIENT_PORTS.iter().position(|of| *of == port).context("no server has this port")
}

fn etcd(server: usize, directory: &Path) -> Command {
    let peer = |server: usize| format!("http://127.0.0.1:{}", PEER_PORTS[server]);
    let client = format!("http://127.0.0.1:{}", CLIENT_PORTS[server]);
    let all = [0, 1, 2].map(|server| format!("s{server}={}", peer(server))).join(",");
    let mut command = Command::new("etcd");
    command
        .arg("--name")
        .arg(format!("s{server}"))
        .arg("--data-dir")
        .arg(directory.join(format!("etcd-{server}")))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer(server)])
        .args(["--initial-advertise-peer-urls", &peer(server)])
        .args(["--initial-cluster", &all, "--log-level", "error"]);
    command
}

fn kontiki(program: &Path, server: usize, directory: &Path) -> Result<Command> {
    let mut config = format!(
        "cluster = \"62656e6368\"\nid = {}\ndirectory = \"kontiki-{server}\"\n",
        server + 1
    );
    for (place, (client, peer)) in CLIENT_PORTS.iter().zip(PEER_PORTS).enumerate() {
        let id = place + 1;
        config += &format!(
            "\n[[servers]]\nid = {id}\npeers = \"127.0.0.1:{peer}\"\nclients = \"127.0.0.1:{client}\"\n"
        );
    }
    let file = directory.join(format!("kontiki-{server}.toml"));
    fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.arg("init").arg("--config").arg(file);
    Ok(command)
}

/// In seconds.
fn processor_time(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has a name")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    // A tick is a hundredth of a second wherever Linux shows it.
    Ok(ticks as f64 / 100.0)
}

/// Linux counts in sectors of this size, whatever the device has.
const SECTOR: u64 = 512;

fn statistics_of(directory: &Path) -> Result<PathBuf> {
    let device = fs::metadata(directory)?.dev();
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
    let statistics = PathBuf::from(format!("/sys/dev/block/{major}:{minor}/stat"));
    if !statistics.exists() {
        bail!("{} is on no disk: choose another folder with --directory", directory.display());
    }
    Ok(statistics)
}
