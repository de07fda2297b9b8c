//! A daemon that a service manager starts (sd_listen_fds(3), sd_notify(3)).

use paravane_client::Client;
use paravane_tests::daemon::Place;
use paravane_tests::program;
use paravane_tests::program::exit_code;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long the daemon may take to say something. Only a defect takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command, with a socket as a service manager passes it on: descriptor 3, and two variables,
/// of which one is the number of the process.
fn activated(command: &Command, socket: impl Into<OwnedFd>) -> Command {
    let mut shell = Command::new("sh");
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 </dev/null";
    shell
        .args(["-c", script, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::from(socket.into()));
    shell
}

#[test]
fn requests_wait_in_a_socket_that_was_passed_on() {
    let place = Place::new();
    let path = place.path().join("passed.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // One comes before there is a daemon.
    let mut early = UnixStream::connect(&path).unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    early.write_all(request).unwrap();
    let daemon = place
        .start(&mut activated(&place.command(), listener))
        .unwrap();
    let mut answer = String::new();
    early.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(
        !place.socket().exists(),
        "it listens at a socket of its own"
    );
    assert!(daemon.end().success());
    // The file is the service manager's.
    assert!(path.exists());
    let gone = UnixStream::connect(&path).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_vm_has_nothing_of_the_socket_that_was_passed_on() {
    if !program::has_local_kvm("a_vm_has_nothing_of_the_socket_that_was_passed_on") {
        return;
    }
    let place = Place::new();
    let path = place.path().join("passed.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let daemon = place
        .start(&mut activated(&place.command(), listener))
        .unwrap();
    crate::vms::run(&Client::unix(&path), "web", "idle").await;
    assert!(daemon.end().success());
    assert_eq!(place.vm_processes().len(), 1);
    // With a copy of the listener the VM would keep clients waiting for ever.
    let gone = UnixStream::connect(&path).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_socket_that_is_not_a_unix_socket_is_refused() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ended = program::end(&mut activated(&place.command(), listener));
    ended
        .exits(exit_code::BAD_CONFIGURATION)
        .says("the socket that the service manager passed on cannot be used");
}

#[tokio::test]
async fn the_service_manager_is_told_of_the_begin_and_of_the_end() {
    let place = Place::new();
    // This waits for READY=1.
    let daemon = place.daemon();
    place.client().health().await.unwrap();
    daemon.ask_to_end();
    assert_eq!(daemon.notice(PATIENCE).as_deref(), Some("STOPPING=1"));
    assert!(daemon.end().success());
}
