//! A real daemon in a folder of its own, as a service manager starts it: it says itself when it
//! takes requests.

use crate::program::paravane;
use paravane_client::Client;
use paravane_control::folder::NO_VM;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a daemon may take to begin or to end. Only a defect takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether a daemon that is to begin has failed instead.
const LOOK: Duration = Duration::from_millis(50);

/// A folder for daemons, one after the other. The processes of its VMs are killed in the end.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
}

/// The process of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmProcess {
    /// Its number.
    pub pid: u32,
    /// The VM's id.
    pub vm: String,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// A new folder.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn new() -> Self {
        Self {
            folder: TempDir::new().expect("a folder can be made"),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.path().join("api.sock")
    }

    /// The daemon's state folder.
    pub fn state_dir(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The folder of a VM.
    pub fn vm_folder(&self, vm: &str) -> PathBuf {
        self.state_dir().join("vms").join(vm)
    }

    /// A client at the daemon's socket.
    pub fn client(&self) -> Client {
        Client::unix(self.socket()).with_patience(PATIENCE)
    }

    /// Writes a file, and says where it is.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, contents).expect("a file can be written");
        path
    }

    /// The command that starts a daemon here, for more arguments.
    pub fn command(&self) -> Command {
        let mut command = paravane(["daemon"]);
        command
            .arg("--socket")
            .arg(self.socket())
            .arg("--state-dir")
            .arg(self.state_dir());
        command
    }

    /// Starts a daemon.
    ///
    /// # Panics
    ///
    /// When it does not begin.
    pub fn daemon(&self) -> Daemon {
        self.start(&mut self.command()).expect("a daemon begins")
    }

    /// Starts a daemon by a command; it takes requests when this returns.
    ///
    /// # Errors
    ///
    /// What it said when it ended instead.
    ///
    /// # Panics
    ///
    /// When it neither begins nor ends.
    pub fn start(&self, command: &mut Command) -> Result<Daemon, String> {
        let notices = self.path().join("notify.sock");
        // One that a daemon before it had.
        let _ = fs::remove_file(&notices);
        let socket = UnixDatagram::bind(&notices).expect("a socket can be bound");
        let said = self.path().join("said");
        let stderr = File::options().append(true).create(true).open(&said);
        let process = command
            .env("NOTIFY_SOCKET", &notices)
            .stderr(stderr.expect("a file can be opened"))
            .spawn()
            .expect("paravane starts");
        let mut daemon = Daemon {
            process: Some(process),
            notices: socket,
            said,
        };
        let begun = Instant::now();
        loop {
            match daemon.notice(LOOK) {
                Some(notice) => {
                    assert_eq!(notice, "READY=1");
                    return Ok(daemon);
                }
                None if daemon.has_ended() => return Err(daemon.said()),
                None => assert!(begun.elapsed() < PATIENCE, "it does not begin"),
            }
        }
    }

    /// The processes of VMs of this folder, whichever daemon has started them.
    pub fn vm_processes(&self) -> Vec<VmProcess> {
        let mut processes = self.processes();
        processes.retain(|process| process.vm != NO_VM);
        processes
    }

    /// The processes of this folder that wait for a VM.
    pub fn spare_processes(&self) -> Vec<u32> {
        let mut processes = self.processes();
        processes.retain(|process| process.vm == NO_VM);
        processes.into_iter().map(|process| process.pid).collect()
    }

    fn processes(&self) -> Vec<VmProcess> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let vms = self.state_dir().join("vms");
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid: u32| {
            // One that has ended has no command line.
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let mut words = line.split(|&byte| byte == 0);
            words.find(|word| *word == b"--dir")?;
            let folder = Path::new(std::str::from_utf8(words.next()?).ok()?);
            let vm = folder.strip_prefix(&vms).ok()?.to_str()?.to_string();
            Some(VmProcess { pid, vm })
        })
        .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for process in self.vm_processes() {
            // It may just have ended.
            let _ = signal(process.pid, Signal::KILL);
        }
    }
}

/// A daemon. It is killed if it is dropped; its VMs go on.
#[derive(Debug)]
pub struct Daemon {
    process: Option<Child>,
    notices: UnixDatagram,
    said: PathBuf,
}

impl Daemon {
    /// Its process.
    ///
    /// # Panics
    ///
    /// Never: there is one until this is taken by [`Daemon::end`] or [`Daemon::kill`].
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// What all daemons of the folder wrote to standard error.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// What it tells its service manager next, if that comes within `limit`.
    ///
    /// # Panics
    ///
    /// When it is no text.
    pub fn notice(&self, limit: Duration) -> Option<String> {
        let mut text = [0; 256];
        let received = self
            .notices
            .set_read_timeout(Some(limit))
            .and_then(|()| self.notices.recv(&mut text));
        match received {
            Ok(size) => Some(String::from_utf8_lossy(&text[..size]).trim().to_string()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("no notice can be received: {error}"),
        }
    }

    fn has_ended(&mut self) -> bool {
        let process = self.process.as_mut().expect("it was started");
        process.try_wait().expect("it can be waited for").is_some()
    }

    /// Asks it to end by SIGTERM.
    ///
    /// # Panics
    ///
    /// When the host refuses.
    pub fn ask_to_end(&self) {
        signal(self.pid(), Signal::TERM).expect("it can be told");
    }

    /// Has it end by SIGTERM, and waits until it has.
    ///
    /// # Panics
    ///
    /// When it has ended before.
    pub fn end(mut self) -> ExitStatus {
        self.ask_to_end();
        let mut process = self.process.take().expect("it runs");
        process.wait().expect("it can be waited for")
    }

    /// Ends it by SIGKILL.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // One that has ended already is as good.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Sends a signal to a process.
///
/// # Errors
///
/// There is no such process.
pub fn signal(pid: u32, signal: Signal) -> rustix::io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.ok_or(rustix::io::Errno::SRCH)?, signal)
}
