//! Ports of the host that lead to ports of the guest.

use super::ready::{ReadyList, Token};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as HostListener};
use std::str::FromStr;
use std::task::{Context, Poll, Waker};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

/// What a forward is written like.
const FORM: &str = "a forward is tcp:[ADDRESS:]HOSTPORT-GUESTPORT, as in tcp:127.0.0.1:8080-80";

/// A port to forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Where the host listens. Port 0: any that is free.
    pub host: SocketAddr,
    /// The guest's port.
    pub guest_port: u16,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no port to forward: {FORM}");
        let (host, guest) = text
            .strip_prefix("tcp:")
            .and_then(|rest| rest.rsplit_once('-'))
            .ok_or_else(wrong)?;
        let guest_port = guest.parse().ok().filter(|port| *port != 0);
        let host = match host.parse() {
            Ok(port) => (Ipv4Addr::LOCALHOST, port).into(),
            Err(_) => host.parse().map_err(|_| wrong())?,
        };
        Ok(Self {
            host,
            guest_port: guest_port.ok_or_else(wrong)?,
        })
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp:{}-{}", self.host, self.guest_port)
    }
}

/// A port cannot be listened on.
#[derive(Debug, Error)]
#[error("{address} cannot be listened on: {}", reason(error))]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub error: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use; choose another, or 0 for any".to_string(),
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege; choose a higher one".to_string()
        }
        io::ErrorKind::AddrNotAvailable => "this host does not have the address".to_string(),
        _ => error.to_string(),
    }
}

/// A forwarded port on which the host listens. It does from its opening on, so that a port in
/// use is told before there is a VM.
#[derive(Debug)]
pub struct ForwardListener {
    listener: HostListener,
    /// The forward, with the port that was taken.
    pub forward: Forward,
}

impl ForwardListener {
    /// Listens.
    pub fn open(forward: Forward) -> Result<Self, ListenError> {
        let open = || {
            let listener = HostListener::bind(forward.host)?;
            listener.set_nonblocking(true)?;
            let host = listener.local_addr()?;
            let forward = Forward { host, ..forward };
            Ok(Self { listener, forward })
        };
        open().map_err(|error| ListenError {
            address: forward.host,
            error,
        })
    }

    /// A listener for the engine number `index` of its list.
    pub fn start(&self, ready: &ReadyList, index: usize) -> io::Result<Acceptor> {
        let waker = ready.waker(Token::Listener(index));
        // The first look has the listener tell of what comes.
        waker.wake_by_ref();
        Ok(Acceptor {
            listener: TcpListener::from_std(self.listener.try_clone()?)?,
            guest_port: self.forward.guest_port,
            waker,
        })
    }
}

/// Takes the connections of a forwarded port.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    /// The guest's port.
    pub guest_port: u16,
    waker: Waker,
}

impl Acceptor {
    /// Takes the next connection, if there is one; else the listener's token becomes ready when
    /// one comes.
    pub fn accept(&self) -> Poll<io::Result<TcpStream>> {
        let mut context = Context::from_waker(&self.waker);
        let accepted = self.listener.poll_accept(&mut context);
        accepted.map_ok(|(stream, _)| stream)
    }

    /// Has its token become ready.
    pub fn wake(&self) {
        self.waker.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_are_parsed() {
        let parse = |text: &str| text.parse::<Forward>().map(|forward| forward.to_string());
        let ok = |text: &str| Ok(text.to_string());
        assert_eq!(parse("tcp:8080-80"), ok("tcp:127.0.0.1:8080-80"));
        assert_eq!(parse("tcp:0-80"), ok("tcp:127.0.0.1:0-80"));
        assert_eq!(parse("tcp:0.0.0.0:1-2"), ok("tcp:0.0.0.0:1-2"));
        assert_eq!(parse("tcp:[::1]:1-2"), ok("tcp:[::1]:1-2"));
        for wrong in [
            "",
            "8080-80",
            "udp:1-2",
            "tcp:1",
            "tcp:1-0",
            "tcp:-2",
            "tcp:x:1-2",
            "tcp:1-65536",
        ] {
            let told = format!("\"{wrong}\" is no port to forward: {FORM}");
            assert_eq!(parse(wrong), Err(told));
        }
    }

    #[test]
    fn a_port_in_use_is_told() {
        let any = "tcp:0-80".parse().expect("it is a forward");
        let first = ForwardListener::open(any).expect("some port is free");
        let address = first.forward.host;
        assert_ne!(address.port(), 0);
        let error = ForwardListener::open(first.forward).expect_err("the port is in use");
        let told = format!(
            "{address} cannot be listened on: the port is in use; choose another, or 0 for any"
        );
        assert_eq!(error.to_string(), told);
    }
}
