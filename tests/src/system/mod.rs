//! A system of its own: this machine's files below an overlay, and namespaces in which systemd is
//! the first process. A package is installed in it as a user does, and nothing here changes.

mod leftovers;

use paravane_daemon::cgroup::{Cgroup, Hierarchy, Limits};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

use crate::workspace;
pub use leftovers::Files;

/// How long systemd may take to be up. It takes a second; only a defect takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is looked whether it has come to nothing.
const LOOK: Duration = Duration::from_secs(1);

/// The file with what boot.sh says.
const SAID: &str = "said";

/// The programs that it takes, and Debian's packages that have them.
const PROGRAMS: [(&str, &str); 4] = [
    ("/lib/systemd/systemd", "systemd"),
    ("/usr/bin/unshare", "util-linux"),
    ("/usr/bin/dpkg", "dpkg"),
    ("/usr/bin/deb-systemd-helper", "init-system-helpers"),
];

/// A system that runs. It ends when this is dropped.
#[derive(Debug)]
pub struct System {
    unshare: Child,
    /// The number of its first process.
    first: u32,
    group: Cgroup,
    folder: TempDir,
}

/// What a command wrote, and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// Whether it ended with code 0.
    pub succeeded: bool,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// What is missing here for such a system, in a sentence with what to do.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("a system of its own takes root; run the tests as root".to_string());
    }
    for (program, package) in PROGRAMS {
        if !Path::new(program).exists() {
            return Some(format!(
                "there is no {program}; install the package {package}, or run .ci/setup"
            ));
        }
    }
    if let Err(error) = Hierarchy::find() {
        return Some(error.to_string());
    }
    let apart = [
        "--mount", "--pid", "--fork", "--cgroup", "--uts", "--ipc", "true",
    ];
    let tried = Command::new("unshare").args(apart).output();
    let may = tried.is_ok_and(|output| output.status.success());
    (!may).then(|| "this root may make no namespaces (CAP_SYS_ADMIN)".to_string())
}

impl System {
    /// Boots one, and waits until it is up.
    ///
    /// # Errors
    ///
    /// What it lacks, or did not do in time.
    pub fn boot() -> Result<Self, String> {
        let id = std::process::id();
        let told = format!("paravane-tests-{id}");
        let address = SocketAddr::from_abstract_name(&told).map_err(text)?;
        let notices = UnixDatagram::bind_addr(&address).map_err(text)?;
        let group = Hierarchy::find()
            .and_then(|found| found.create(&told, &Limits::default()))
            .map_err(text)?;
        let folder = TempDir::new().map_err(text)?;
        let mut unshare = Command::new(workspace::root().join("tests/src/system/boot.sh"))
            .arg(folder.path())
            .arg(group.path())
            .arg(format!("@{told}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join(SAID)).map_err(text)?)
            .spawn()
            .map_err(text)?;
        let stdout = unshare.stdout.take().ok_or("stdout is no pipe")?;
        let mut system = Self {
            unshare,
            first: 0,
            group,
            folder,
        };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(text)?;
        let first = line.trim().parse();
        system.first = first.map_err(|_| system.not_booted())?;
        system.wait_until_up(&notices)?;
        Ok(system)
    }

    /// Waits until systemd says that it has started what it was to start (sd_notify(3)).
    fn wait_until_up(&mut self, notices: &UnixDatagram) -> Result<(), String> {
        notices.set_read_timeout(Some(LOOK)).map_err(text)?;
        let end = Instant::now() + PATIENCE;
        let mut notice = [0; 4096];
        while Instant::now() < end {
            let size = match notices.recv(&mut notice) {
                Ok(size) => size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => return Err(text(error)),
            };
            let notice = String::from_utf8_lossy(&notice[..size]);
            if notice.lines().any(|line| line == "READY=1") {
                return Ok(());
            }
            if self.unshare.try_wait().map_err(text)?.is_some() {
                return Err(self.not_booted());
            }
        }
        Err("systemd does not say that it is up".to_string())
    }

    fn not_booted(&self) -> String {
        // The system has something else there; this is what was there before.
        let said = std::fs::read_to_string(self.folder.path().join(SAID));
        format!("no system is booted: {}", said.unwrap_or_default())
    }

    /// A command in the system, as root.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.first.to_string()])
            .args(["--mount", "--pid", "--cgroup", "--uts", "--ipc", "--"])
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn try_run(&self, words: &[&str]) -> Result<Ran, String> {
        let output = self.command(words).output().map_err(text)?;
        Ok(Ran::of(&output))
    }

    /// Runs a command, which is to succeed: what it wrote to standard output.
    ///
    /// # Errors
    ///
    /// It does not, with what it said and what the system's journal says last.
    pub fn run(&self, words: &[&str]) -> Result<String, String> {
        let ran = self.try_run(words)?;
        if ran.succeeded {
            return Ok(ran.stdout);
        }
        let journal = self.try_run(&["journalctl", "--no-pager", "--lines=40"])?;
        Err(format!(
            "{words:?} failed:\n{}{}\nthe journal:\n{}",
            ran.stdout, ran.stderr, journal.stdout
        ))
    }

    /// Has the system have a file.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<(), String> {
        let mut command = self.command(&["tee", path]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(text)?;
        let mut stdin = child.stdin.take().ok_or("stdin is no pipe")?;
        stdin.write_all(bytes).map_err(text)?;
        drop(stdin);
        match child.wait().map_err(text)?.success() {
            true => Ok(()),
            false => Err(format!("{path} is not written")),
        }
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // The first process ends, and with it all others, before it is waited for.
        if self.first == 0 || self.group.kill().is_err() {
            // It is not in its group, or the kernel has no cgroup.kill. It ends with this one.
            let _ = self.unshare.kill();
        }
        let _ = self.unshare.wait();
        if let Err(error) = remove_groups(self.group.path()) {
            let group = self.group.path().display();
            eprintln!("the control group {group} is left: {error}");
        }
    }
}

impl Ran {
    fn of(output: &Output) -> Self {
        Self {
            succeeded: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Removes a group with all that are in it.
fn remove_groups(group: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(group)?.flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    std::fs::remove_dir(group)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
