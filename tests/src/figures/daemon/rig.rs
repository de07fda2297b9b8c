//! A daemon in a folder of its own, and its VMs.

use crate::program::paravane;
use paravane_api::vm::CreateVm;
use paravane_api::{Vm, VmSpec};
use paravane_client::{Client, ConsoleMessage, ConsoleMode};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a daemon may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it is waited until so many processes are ready for VMs.
const SPARES_COME: Duration = Duration::from_secs(1);

/// A daemon and its folder. All its VMs end with it.
pub struct Rig {
    /// A client of it.
    pub client: Client,
    daemon: Child,
    folder: TempDir,
}

impl Rig {
    /// Starts a daemon.
    pub async fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let daemon = spawn(&folder)?;
        let rig = Self {
            client: Client::unix(socket(&folder)),
            daemon,
            folder,
        };
        rig.answers().await?;
        Ok(rig)
    }

    /// The daemon's process.
    pub fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Kills the daemon and starts it again; it may not answer yet.
    pub fn restart(&mut self) -> Result<(), String> {
        self.kill();
        self.daemon = spawn(&self.folder)?;
        Ok(())
    }

    /// Waits until the daemon answers.
    pub async fn answers(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            match self.client.ready().await {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > PATIENCE => return Err(error.to_string()),
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    /// Waits until the daemon keeps so many processes ready for VMs, for a second at most: it may
    /// have been told to keep fewer, by `PARAVANE_CONFIG`.
    pub async fn spares(&self, count: usize) -> Result<(), String> {
        let line = format!("\nparavane_daemon_spare_processes {count}\n");
        let begun = Instant::now();
        while begun.elapsed() < SPARES_COME {
            let metrics = self.client.metrics().await;
            if metrics.map_err(|error| error.to_string())?.contains(&line) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Creates a VM of the bundled guest with this command line and 8 MiB, and starts it.
    pub async fn run(&self, command_line: &str) -> Result<Vm, String> {
        let mut spec = VmSpec {
            command_line: command_line.to_owned(),
            ..VmSpec::default()
        };
        spec.resources.memory = 8 << 20;
        let request = CreateVm { spec, start: true };
        let vm = self.client.create_vm(&request).await;
        vm.map_err(|error| error.to_string())
    }

    /// Waits for a VM's first bytes on its console.
    pub async fn first_output(&self, vm: &Vm) -> Result<(), String> {
        let console = self.client.console(&vm.id, ConsoleMode::Read).await;
        let (mut reader, _writer) = console.map_err(|error| error.to_string())?.split();
        match reader.next().await.map_err(|error| error.to_string())? {
            Some(ConsoleMessage::Output(bytes)) if !bytes.is_empty() => Ok(()),
            other => Err(format!("{} wrote nothing: {other:?}", vm.name)),
        }
    }

    fn kill(&mut self) {
        // One that has ended already is as good.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.kill();
        // The VMs go on without a daemon.
        for vm in processes(&self.folder) {
            let pid = i32::try_from(vm)
                .ok()
                .and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("api.sock")
}

fn spawn(folder: &TempDir) -> Result<Child, String> {
    let mut command: Command = paravane(["daemon"]);
    command
        .arg("--socket")
        .arg(socket(folder))
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("the daemon cannot be started: {error}"))
}

/// The processes whose command line names the folder: its VMs'.
fn processes(folder: &TempDir) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let name = folder.path().display().to_string();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("vm-process") && line.contains(&name)
    })
    .collect()
}
