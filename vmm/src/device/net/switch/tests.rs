use super::socket::SwitchError;
use super::{connect, listen, serve};
use crate::device::net::header::HEADER_SIZE;
use crate::device::watched::Watched;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::Interest;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const ALL: u8 = 0xff;

/// A switch with guests, and a folder for its socket.
struct Lan {
    path: PathBuf,
    _folder: TempDir,
}

impl Lan {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("switch");
        let listener = listen(&path).expect("the path is free");
        tokio::task::spawn_local(serve(listener));
        Self {
            path,
            _folder: folder,
        }
    }

    fn guest(&self, number: u8) -> Guest {
        let fd = connect(&self.path).expect("the switch is there");
        let interest = Interest::READABLE | Interest::WRITABLE;
        Guest {
            fd: Watched::new(fd, interest).expect("it can be watched"),
            number,
        }
    }
}

struct Guest {
    fd: Watched,
    number: u8,
}

fn address(number: u8) -> [u8; 6] {
    if number == ALL {
        [0xff; 6]
    } else {
        [2, 0, 0, 0, 0, number]
    }
}

impl Guest {
    fn message(&self, to: u8, text: &[u8]) -> Vec<u8> {
        let mut message = vec![0; HEADER_SIZE];
        message.extend(address(to));
        message.extend(address(self.number));
        message.extend([8, 0]);
        message.extend(text);
        message
    }

    fn send(&self, to: u8, text: &[u8]) {
        let message = self.message(to, text);
        send(&self.fd, &message, SendFlags::NOSIGNAL).expect("there is room");
    }

    /// The next message's text, and who sent it.
    async fn receive(&self) -> (u8, Vec<u8>) {
        let received = timeout(PATIENCE, async {
            loop {
                let mut guard = self.fd.readable().await.expect("the runtime lives");
                let mut bytes = vec![0; 70_000];
                let result =
                    guard.try_io(|fd| Ok(recv(fd.as_fd(), &mut bytes[..], RecvFlags::empty())?.0));
                if let Ok(result) = result {
                    bytes.truncate(result.expect("the switch is there"));
                    return bytes;
                }
            }
        });
        let message = received.await.expect("a message comes");
        (
            message[HEADER_SIZE + 11],
            message[HEADER_SIZE + 14..].to_vec(),
        )
    }
}

/// Runs a test in the runtime that the switch needs.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("there are file descriptors");
    runtime.block_on(tokio::task::LocalSet::new().run_until(test));
}

#[test]
fn frames_to_all_and_to_the_unknown_go_to_all_and_others_to_one() {
    run(async {
        let lan = Lan::new();
        let [a, b, c] = [1, 2, 3].map(|number| lan.guest(number));
        a.send(ALL, b"who is there?");
        assert_eq!(b.receive().await, (1, b"who is there?".to_vec()));
        assert_eq!(c.receive().await, (1, b"who is there?".to_vec()));
        // Nobody knows 3 yet.
        a.send(3, b"are you?");
        assert_eq!(b.receive().await.1, b"are you?");
        assert_eq!(c.receive().await.1, b"are you?");
        c.send(1, b"yes");
        assert_eq!(a.receive().await, (3, b"yes".to_vec()));
        // Now it is known: the next message of 2 is another one.
        a.send(3, b"for you only");
        assert_eq!(c.receive().await.1, b"for you only");
        a.send(ALL, b"for all");
        assert_eq!(b.receive().await.1, b"for all");
        // Nothing came back to its sender.
        b.send(1, b"last");
        assert_eq!(a.receive().await, (2, b"last".to_vec()));
    });
}

#[test]
fn a_guest_that_takes_nothing_stalls_nobody_and_loses_only_its_own() {
    run(async {
        let lan = Lan::new();
        let [a, b, lazy] = [1, 2, 3].map(|number| lan.guest(number));
        let text = vec![7; 60_000];
        for count in 0..200_u8 {
            a.send(ALL, &[&[count], &text[..]].concat());
            let (_, text) = b.receive().await;
            assert_eq!((text[0], text.len()), (count, 60_001));
        }
        // What it has got is in order, from the first on.
        assert_eq!(lazy.receive().await.1[0], 0);
        assert_eq!(lazy.receive().await.1[0], 1);
    });
}

#[test]
fn what_is_no_frame_goes_nowhere_and_a_guest_that_leaves_is_forgotten() {
    run(async {
        let lan = Lan::new();
        let [a, b] = [1, 2].map(|number| lan.guest(number));
        let message = a.message(2, b"");
        for length in [1, HEADER_SIZE, HEADER_SIZE + 13] {
            send(&a.fd, &message[..length], SendFlags::NOSIGNAL).expect("there is room");
        }
        let long = a.message(2, &vec![0; 65_600]);
        send(&a.fd, &long, SendFlags::NOSIGNAL).expect("there is room");
        a.send(2, b"right");
        assert_eq!(b.receive().await.1, b"right");
        // Its address moves with it.
        b.send(1, b"here");
        assert_eq!(a.receive().await.1, b"here");
        drop(b);
        let b = lan.guest(2);
        loop {
            // Until it is known that the old one is gone, frames go there.
            a.send(2, b"again");
            let came = timeout(Duration::from_millis(10), b.receive()).await;
            if let Ok((from, text)) = came {
                assert_eq!((from, text), (1, b"again".to_vec()));
                break;
            }
        }
    });
}

#[test]
fn what_is_wrong_with_a_path_is_told() {
    run(async {
        let lan = Lan::new();
        let owned = |path: &Path| path.to_path_buf();
        let connect_error = |path: &Path| connect(path).expect_err("there is no switch");
        let listen_error = |path: &Path| listen(path).expect_err("it cannot be there");
        let path = &lan.path;
        assert_eq!(listen_error(path), SwitchError::InUse(owned(path)));
        let long = path.with_file_name("x".repeat(108));
        assert_eq!(connect_error(&long), SwitchError::LongPath(owned(&long)));
        assert_eq!(listen_error(&long), SwitchError::LongPath(owned(&long)));
        let missing = path.with_file_name("missing");
        assert_eq!(
            connect_error(&missing),
            SwitchError::Missing(owned(&missing))
        );
        let file = path.with_file_name("file");
        std::fs::write(&file, b"important").expect("there is room");
        assert_eq!(connect_error(&file), SwitchError::Kind(owned(&file)));
        assert_eq!(listen_error(&file), SwitchError::Kind(owned(&file)));
        assert!(file.exists());
        let stream = path.with_file_name("stream");
        let _listener = std::os::unix::net::UnixListener::bind(&stream).expect("it is free");
        assert_eq!(connect_error(&stream), SwitchError::Kind(owned(&stream)));

        // One that was left there is replaced.
        let left = path.with_file_name("left");
        drop(listen(&left).expect("it is free"));
        assert_eq!(connect_error(&left), SwitchError::Refused(owned(&left)));
        let _listener = listen(&left).expect("nobody is there any more");
        connect(&left).expect("somebody is there");
    });
}
