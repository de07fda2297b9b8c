//! The verbs that speak to a daemon, with a server that answers as one. No guest runs.

mod apply;
mod fake;
mod terminal;

use fake::Fake;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

const NO_DAEMON: i32 = 200;
const NOT_FOUND: i32 = 201;
const CONFLICT: i32 = 202;
const TIMED_OUT: i32 = 124;
const BAD_CONFIGURATION: i32 = 122;

/// What a command said.
#[derive(Debug, PartialEq)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn command(fake: &Fake, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paravane"));
    command
        .args(line.split(' '))
        .env("PARAVANE_SOCKET", fake.socket())
        .env_remove("PARAVANE_LOG");
    command
}

/// Runs a command with this input.
fn say_with(fake: &Fake, line: &str, input: &str) -> Said {
    let mut child = command(fake, line)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn say(fake: &Fake, line: &str) -> Said {
    say_with(fake, line, "")
}

/// Runs a command that succeeds and prints this.
#[track_caller]
fn prints(fake: &Fake, line: &str, expected: &str) {
    let expected = Said {
        code: Some(0),
        stdout: expected.to_string(),
        stderr: String::new(),
    };
    assert_eq!(say(fake, line), expected);
}

/// Runs a command that fails with this code and sentence.
#[track_caller]
fn fails(fake: &Fake, line: &str, code: i32, sentence: &str) {
    let expected = Said {
        code: Some(code),
        stdout: String::new(),
        stderr: format!("paravane: {sentence}\n"),
    };
    assert_eq!(say(fake, line), expected);
}

#[test]
fn a_vm_lives() {
    let fake = Fake::start();
    prints(
        &fake,
        "vm create --name web --mem 64M -l app=shop -- a b",
        "web\n",
    );
    let spec = &fake.vm("web")["spec"];
    assert_eq!(spec["command_line"], "a b");
    assert_eq!(spec["resources"]["memory"], 64 << 20);
    prints(&fake, "vm create --name idle --no-start", "idle\n");
    prints(&fake, "vm ls -q", "id-web\nid-idle\n");
    let listed = say(&fake, "vm ls");
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_string)
            .collect::<Vec<_>>()
    };
    let lines: Vec<_> = listed.stdout.lines().map(words).collect();
    assert_eq!(
        lines[0],
        [
            "NAME", "STATE", "SINCE", "VCPUS", "MEMORY", "IMAGE", "LABELS"
        ]
    );
    assert_eq!(lines[1][..2], ["web", "running"]);
    assert_eq!(
        lines[1][lines[1].len() - 4..],
        ["64", "MiB", "builtin", "app=shop"]
    );
    assert_eq!(lines[2][..2], ["idle", "stopped"]);
    for (verb, state) in [
        ("pause", "paused"),
        ("resume", "running"),
        ("stop", "stopped"),
        ("start", "running"),
        ("reset", "running"),
    ] {
        prints(&fake, &format!("vm {verb} web"), "web\n");
        assert_eq!(fake.states()[0].1, state);
    }
    assert_eq!(say(&fake, "vm show web --json").json(), fake.vm("web"));
    assert_eq!(
        say(&fake, "vm ls --json").json().as_array().unwrap().len(),
        2
    );
    prints(&fake, "vm rm web idle", "web\nidle\n");
    assert_eq!(say(&fake, "vm ls --json").json(), json!([]));
}

#[test]
fn each_of_several_is_done_though_one_fails() {
    let fake = Fake::start();
    fake.add("a", "running");
    fake.add("b", "running");
    let said = say(&fake, "vm stop a nope b");
    assert_eq!(said.code, Some(NOT_FOUND));
    assert_eq!(said.stdout, "a\nb\n");
    assert_eq!(said.stderr, "paravane: nope: there is no VM nope\n");
    assert!(fake.states().iter().all(|(_, state)| state == "stopped"));
    let said = say(&fake, "vm stop nope neither");
    let sentences =
        "paravane: nope: there is no VM nope\nparavane: neither: there is no VM neither\n";
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (Some(NOT_FOUND), sentences)
    );
    let said = say(&fake, "vm start --json a nope b");
    let names: Vec<_> = said
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|vm| vm["name"].clone())
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn each_failure_has_its_code() {
    let fake = Fake::start();
    fake.add("a", "running");
    fails(&fake, "vm show nope", NOT_FOUND, "there is no VM nope");
    fails(&fake, "vm create --name a", CONFLICT, "there is a VM a");
    let none = fake.folder().join("none");
    fails(
        &fake,
        &format!("vm ls --socket {}", none.display()),
        NO_DAEMON,
        &format!(
            "no daemon answers at the socket {} (No such file or directory (os error 2)); start \
             one with `paravane daemon`, or say where it is",
            none.display()
        ),
    );
    fails(
        &fake,
        "vm ls --url https://host",
        BAD_CONFIGURATION,
        "https:// needs --ca, a file of who has to have signed the daemon's certificate",
    );
    fails(
        &fake,
        "vm create --disk ro",
        BAD_CONFIGURATION,
        "--disk ro: a disk needs an image: path=FILE",
    );
}

#[test]
fn waiting_gives_the_guests_code() {
    let fake = Fake::start();
    fake.add("a", "running");
    let said = say(&fake, "vm wait a --timeout 50ms");
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (Some(TIMED_OUT), "a: running\n")
    );
    fake.set("a", "state", json!("failed"));
    let ended = json!({"at": "2026-01-01T00:00:00Z", "kind": "shutdown", "exit_code": 7});
    fake.set("a", "ended", ended);
    prints(&fake, "vm wait a", "a: failed (7)\n");
    assert_eq!(say(&fake, "vm wait --exit-code a").code, Some(7));
    prints(&fake, "vm wait a --state failed", "a: failed (7)\n");
}

#[test]
fn a_log_cannot_steer_the_terminal() {
    let fake = Fake::start();
    prints(
        &fake,
        "vm logs a",
        "T console one\nT console two\\u{1b}[2J\n",
    );
    let said = say(&fake, "vm logs --json a");
    let lines = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let messages: Vec<_> = lines.map(|line| line["message"].clone()).collect();
    assert_eq!(messages, ["one", "two\u{1b}[2J"]);
}

#[test]
fn a_stream_is_typed_at_a_console() {
    let fake = Fake::start();
    let said = say_with(&fake, "vm console a", "hello");
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (Some(0), "replay\n<hello>")
    );
    // The VM ends first.
    let said = say_with(&fake, "vm console a", "\u{4}");
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "replay\n"));
    assert_eq!(said.stderr, "paravane: the VM has ended\n");
    // Who only reads has no end of the input.
    let said = say_with(&fake, "vm console --read-only slow", "");
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (Some(0), "replay\nlater\n")
    );
    fails(&fake, "vm console busy", CONFLICT, "somebody types");
    let said = say_with(&fake, "vm console busy --steal", "");
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "replay\n"));
}

#[test]
fn top_looks_once() {
    let fake = Fake::start();
    fake.add("a", "running");
    let said = say(&fake, "vm top --once --interval 10ms");
    assert!(said.stdout.contains("\na     running    0.0"), "{said:?}");
    let said = say(&fake, "vm top --once --interval 10ms --json").json();
    assert_eq!(said[0]["name"], "a");
}
