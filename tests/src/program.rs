//! Running the `paravane` program as a user does.

use crate::workspace;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Output, Stdio};

/// The exit codes that are the VMM's own, as `paravane --help` lists them.
pub mod exit_code {
    /// The image cannot be run.
    pub const BAD_IMAGE: i32 = 120;
    /// The command line asks for what is not possible.
    pub const BAD_CONFIGURATION: i32 = 122;
    /// The guest crashed.
    pub const GUEST_CRASH: i32 = 123;
    /// The guest ran longer than it may.
    pub const TIMED_OUT: i32 = 124;
    /// SIGINT ended it.
    pub const INTERRUPTED: i32 = 130;
    /// SIGTERM ended it.
    pub const TERMINATED: i32 = 143;
}

/// How long a guest may run in a test that does not say otherwise. Only a defect ends by it.
const TIMEOUT: &str = "120s";

/// The `paravane` program: `PARAVANE_BIN`, or the one built together with these tests.
///
/// # Panics
///
/// When it is not there.
pub fn path() -> PathBuf {
    let path = match std::env::var_os("PARAVANE_BIN") {
        Some(path) => PathBuf::from(path),
        None => workspace::programs().join("paravane"),
    };
    assert!(
        path.is_file(),
        "{} is not there: build the whole workspace, or name the program in PARAVANE_BIN",
        path.display()
    );
    path
}

/// A search path in which the name `paravane` means the program under test, as long as the folder
/// is there.
///
/// # Panics
///
/// When there is no temporary folder to be had.
pub fn search_path() -> (tempfile::TempDir, OsString) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::os::unix::fs::symlink(path(), directory.path().join("paravane"))
        .expect("a link to the program");
    let old = std::env::var_os("PATH").unwrap_or_default();
    let mut paths: Vec<PathBuf> = vec![directory.path().into()];
    paths.extend(std::env::split_paths(&old));
    let path = std::env::join_paths(paths).expect("a search path");
    (directory, path)
}

/// Whether this machine has a KVM for a test that boots a guest on it. If not, says so, or
/// fails where lanes are required.
///
/// # Panics
///
/// When there is no KVM and lanes are required.
pub fn has_local_kvm(test: &str) -> bool {
    match std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
    {
        Ok(_) => true,
        Err(error) => {
            assert!(
                !crate::lanes::required(),
                "{test}: /dev/kvm cannot be opened: {error}"
            );
            eprintln!("lane local: {test} SKIPPED: /dev/kvm cannot be opened: {error}");
            false
        }
    }
}

/// How a run of the program ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it wrote to standard output: what the guest wrote to its console.
    pub stdout: String,
    /// What it wrote to standard error: what the VMM said.
    pub stderr: String,
}

impl Ended {
    fn new(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "\nstdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Asserts that the guest printed a text.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "no {text:?} in stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that the VMM said a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "no {text:?} in stderr:\n{}\nstdout:\n{}",
            self.stderr,
            self.stdout
        );
        self
    }
}

/// The program with any arguments.
pub fn paravane<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(path());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("PARAVANE_LOG");
    command
}

/// Runs a command to its end.
///
/// # Panics
///
/// When it cannot be started.
pub fn end(command: &mut Command) -> Ended {
    try_end(command).expect("paravane starts")
}

/// Runs a command to its end, if the host lets it start as it is to be started.
///
/// # Errors
///
/// Those of starting it.
pub fn try_end(command: &mut Command) -> io::Result<Ended> {
    command.output().map(|output| Ended::new(&output))
}

/// Runs the bundled guest kernel with a command line and further options.
pub fn guest(command_line: &str, options: &[&str]) -> Ended {
    end(&mut guest_command(command_line, options))
}

/// The command that [`guest`] runs.
pub fn guest_command(command_line: &str, options: &[&str]) -> Command {
    let mut command = paravane(["run", "--cmdline", command_line]);
    if !options.contains(&"--timeout") {
        command.args(["--timeout", TIMEOUT]);
    }
    command.args(options);
    command
}

/// Asserts that the VMM cannot give a guest these devices: it says so in one sentence, and there is
/// no guest.
#[track_caller]
pub fn refused(devices: &[&str]) -> Ended {
    let ended = guest("hello", devices).exits(exit_code::BAD_CONFIGURATION);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    ended
}

/// A program that runs, and is talked to.
pub struct Running {
    child: Child,
    /// Its standard input, which ends when this is taken and dropped.
    pub stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Its standard error, where the command has a pipe for it.
    pub stderr: Option<ChildStderr>,
}

impl Running {
    /// Starts a command.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("paravane starts");
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().expect("stdout is a pipe")),
            stderr: child.stderr.take(),
            child,
        }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it SIGINT, as Ctrl-C does.
    ///
    /// # Panics
    ///
    /// When the host refuses.
    pub fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it can be told");
    }

    /// Sends it SIGTERM, by which the guest is asked to shut down.
    ///
    /// # Panics
    ///
    /// When the host refuses.
    pub fn ask_to_end(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it can be told");
    }

    /// The next line that it prints, with its end.
    ///
    /// # Panics
    ///
    /// When that is no text.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it is text");
        line
    }

    /// Writes to its standard input.
    ///
    /// # Panics
    ///
    /// When nobody reads it.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes).expect("it is read");
    }

    /// Ends it by SIGKILL: what it had printed and nobody has read.
    ///
    /// # Panics
    ///
    /// When that is no text.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("it can be killed");
        self.end().1
    }

    /// Waits for its end, with its input open if it was: the exit code, and what it printed
    /// meanwhile.
    ///
    /// # Panics
    ///
    /// When that is no text.
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("it is text");
        let status = self.child.wait().expect("paravane ends");
        (status.code(), rest)
    }
}

/// Runs a command to its end with this on its standard input, which then ends.
///
/// # Panics
///
/// When it cannot be started.
pub fn end_with_input(command: &mut Command, input: &[u8]) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("paravane starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let input = input.to_vec();
    // Beside reading the output: the guest may fill both pipes.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("paravane ends");
    // A guest that does not read all of its input closes the pipe.
    let _ = writer.join();
    Ended::new(&output)
}
