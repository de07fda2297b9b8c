//! The verbs that speak to a daemon, with a daemon and guests that run.

use super::Once;
use crate::program::{Ended, end_with_input, exit_code, has_local_kvm, paravane, try_end};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(super) const ONCE: &[Once] = &[
    ("the_client_leads_a_vm_through_its_life", a_vm_lives),
    ("a_file_of_vms_is_applied_twice", applied_twice),
];

const NOT_FOUND: i32 = 201;
const CONFLICT: i32 = 202;

/// How long the daemon may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon with a folder of its own. What it runs is stopped with it.
struct Daemon {
    process: Child,
    folder: TempDir,
}

impl Daemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let mut command = paravane(["daemon", "--stop-vms", "--state-dir"]);
        command.arg(folder.path().join("state"));
        command.arg("--socket").arg(folder.path().join("socket"));
        let process = command.spawn().expect("paravane starts");
        let daemon = Self { process, folder };
        let start = Instant::now();
        while daemon.say("vm ls").code != 0 {
            assert!(start.elapsed() < PATIENCE, "the daemon does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        daemon
    }

    fn command(&self, line: &str) -> Command {
        let mut command = paravane(line.split(' '));
        command.env("PARAVANE_SOCKET", self.folder.path().join("socket"));
        command
    }

    fn say(&self, line: &str) -> Ended {
        try_end(&mut self.command(line)).expect("paravane starts")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.process);
        // Ended already, it was not as it should be, which the test has told.
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.process.wait();
    }
}

fn a_vm_lives() {
    if !has_local_kvm("the client") {
        return;
    }
    let daemon = Daemon::start();
    let created = daemon.say("vm create --name echo -- echo").exits(0);
    assert_eq!(created.stdout, "echo\n");
    daemon.say("vm create --name echo").exits(CONFLICT);
    daemon.say("vm ls").exits(0).prints("echo  running");
    daemon.say("vm show echo").exits(0).prints("runs by");

    let mut console = daemon
        .command("vm console echo")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("paravane starts");
    let mut typed = console.stdin.take().expect("it is a pipe");
    typed.write_all(b"what was typed\n").expect("it reads");
    let mut seen = BufReader::new(console.stdout.take().expect("it is a pipe")).lines();
    let is_typed = |line: &str| line.contains("what was typed");
    assert!(seen.any(|line| is_typed(&line.unwrap_or_default())));
    drop(typed);
    assert!(console.wait().expect("it ends").success());
    // The guest's echo is in the log once it was on the console.
    let mut logs = daemon.command("vm logs -f --source console echo");
    let mut logs = logs
        .stdout(Stdio::piped())
        .spawn()
        .expect("paravane starts");
    let lines = logs.stdout.take().expect("it is a pipe");
    let mut lines = BufReader::new(lines).lines().map_while(Result::ok);
    assert!(lines.any(|line| is_typed(&line)), "the log ends without it");
    let _ = logs.kill();
    let _ = logs.wait();

    daemon.say("vm stats echo").exits(0).prints("HYPERCALL");
    daemon
        .say("vm top --once --interval 50ms")
        .exits(0)
        .prints("echo");
    daemon.say("vm pause echo").exits(0);
    daemon.say("vm wait --state paused echo").exits(0);
    daemon.say("vm resume echo").exits(0);
    daemon
        .say("vm wait --timeout 10ms echo")
        .exits(exit_code::TIMED_OUT);
    daemon.say("vm rm echo").exits(CONFLICT);
    daemon.say("vm stop --force echo").exits(0);
    daemon.say("vm rm echo").exits(0);
    daemon.say("vm show echo").exits(NOT_FOUND);

    daemon.say("vm create --name shell -- shell").exits(0);
    let mut console = daemon.command("vm console shell");
    end_with_input(&mut console, b"exit 42\n").exits(0);
    daemon.say("vm wait --exit-code shell").exits(42);
}

fn applied_twice() {
    if !has_local_kvm("the client") {
        return;
    }
    let daemon = Daemon::start();
    let path = daemon.folder.path().join("vms.toml");
    let file = "labels = {app = \"test\"}\n[[vm]]\nname = \"one\"\ncommand_line = \"echo\"\n[[vm]]\nname = \"two\"\ncommand_line = \"echo\"\n";
    fs::write(&path, file).expect("there is room for it");
    let apply = format!("vm apply -f {}", path.display());
    let first = daemon.say(&apply).exits(0);
    assert_eq!(
        first.stdout,
        "one: created, started\ntwo: created, started\n"
    );
    let second = daemon.say(&apply).exits(0);
    assert_eq!(second.stdout, "one: unchanged\ntwo: unchanged\n");
    fs::write(&path, file.replace("\"two\"", "\"three\"")).expect("there is room for it");
    let third = daemon.say(&format!("{apply} --prune")).exits(0);
    assert_eq!(
        third.stdout,
        "one: unchanged\nthree: created, started\ntwo: removed\n"
    );
}
