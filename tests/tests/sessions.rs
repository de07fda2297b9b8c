//! Sessions with a daemon that the documents show: each command prints what is shown behind it.

use paravane_tests::document::{blocks, commands, fits};
use paravane_tests::{program, workspace};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long a daemon may take to begin. Only a defect takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever tries a document: in a folder of his own, with a daemon of his own.
struct Reader {
    folder: TempDir,
    _link: TempDir,
    search_path: OsString,
    /// A daemon, and the socket by which it tells what it does.
    daemon: Option<(Child, UnixDatagram)>,
}

impl Reader {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        // VMs' processes reach their folders through it, as users of their own.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711))
            .expect("it is this user's");
        let (link, search_path) = program::search_path();
        Self {
            folder,
            _link: link,
            search_path,
            daemon: None,
        }
    }

    fn command(&self, command: &str) -> Command {
        let mut bash = Command::new("bash");
        bash.args(["-e", "-c", &format!("exec 2>&1; {command}")])
            .current_dir(self.folder.path())
            .env("PATH", &self.search_path)
            .env("PARAVANE_SOCKET", self.folder.path().join("api.sock"))
            .env("PARAVANE_STATE_DIR", self.folder.path().join("state"))
            .stdin(Stdio::null());
        bash
    }

    /// Carries out a command. One that ends in `&` is a daemon, which goes on.
    fn carry_out(&mut self, command: &str) -> String {
        match command.strip_suffix(" &") {
            Some(daemon) => {
                self.start(daemon);
                String::new()
            }
            None => {
                let output = self.command(command).output().expect("bash starts");
                let printed = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(output.status.success(), "{command}\n{printed}");
                printed
            }
        }
    }

    /// Starts a daemon, and waits until it says that it is ready (sd_notify(3)).
    fn start(&mut self, command: &str) {
        let socket = self.folder.path().join("notify");
        let notices = UnixDatagram::bind(&socket).expect("a socket");
        notices
            .set_read_timeout(Some(PATIENCE))
            .expect("a time that is not 0");
        let mut daemon = self.command(&format!("exec {command}"));
        let daemon = daemon.env("NOTIFY_SOCKET", &socket).spawn();
        let (_, notices) = self.daemon.insert((daemon.expect("bash starts"), notices));
        let mut notice = [0; 64];
        let size = notices.recv(&mut notice).expect("the daemon is ready");
        assert_eq!(notice[..size].trim_ascii(), b"READY=1");
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // After a failure there may be VMs, which would outlive their daemon.
        let remove = "paravane vm ls --quiet | xargs --no-run-if-empty paravane vm rm --force";
        let _ = self.command(remove).output();
        if let Some((daemon, _)) = &mut self.daemon {
            let _ = kill_process(Pid::from_child(daemon), Signal::TERM);
            let _ = daemon.wait();
        }
    }
}

fn document(name: &str) {
    let text = std::fs::read_to_string(workspace::root().join(name)).expect(name);
    let mut reader = Reader::new();
    let mut tried = 0;
    for block in blocks(&text) {
        if block.language != "console" {
            continue;
        }
        for (command, shown) in commands(&block.text) {
            let printed = reader.carry_out(command);
            assert!(
                fits(&shown, &printed),
                "{name}: {command}\nshown:\n{shown}\nprinted:\n{printed}"
            );
            tried += 1;
        }
    }
    assert!(tried > 3, "{name}: only {tried} commands");
    assert_eq!(reader.carry_out("paravane vm ls --quiet"), "", "{name}");
}

#[test]
fn the_configuration_in_the_daemons_document_can_be_used() {
    let text =
        std::fs::read_to_string(workspace::root().join("docs/daemon.md")).expect("docs/daemon.md");
    let blocks = blocks(&text);
    let mut files = blocks.iter().filter(|block| block.language == "toml");
    let file = files.next().expect("there is one");
    let mut reader = Reader::new();
    std::fs::write(reader.folder.path().join("daemon.toml"), &file.text).expect("it is written");
    reader.carry_out("paravane daemon --config daemon.toml --check-config");
    assert!(files.next().is_none());
}

#[test]
fn the_readmes_session_is_as_shown() {
    if program::has_local_kvm("the_readmes_session_is_as_shown") {
        document("README.md");
    }
}

#[test]
fn the_sessions_of_the_daemons_document_are_as_shown() {
    if program::has_local_kvm("the_sessions_of_the_daemons_document_are_as_shown") {
        document("docs/daemon.md");
    }
}
