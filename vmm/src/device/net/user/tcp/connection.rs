//! One TCP connection: the host's socket and the stack's.

use crate::device::net::user::classify::Ends;
use crate::device::net::user::frame::Frame;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::Socket;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::Waker;
use tokio::net::TcpStream;

/// A connection to the host that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

/// How far a connection is.
pub enum Stage {
    /// The guest asked for it by this frame; the host has not answered yet. The guest is told
    /// only then, so that it sees a refusal as one.
    Asked { connecting: Connecting, syn: Frame },
    /// Both sides are there, though the guest may still have to accept a forwarded one.
    Open { host: Host, socket: SocketHandle },
    /// The guest's side is over, but the host has not taken all of it yet.
    Draining {
        host: Host,
        socket: Box<Socket<'static>>,
    },
    /// The guest is to be told of a reset.
    Resetting { socket: SocketHandle },
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked { .. } => "Asked",
            Self::Open { .. } => "Open",
            Self::Draining { .. } => "Draining",
            Self::Resetting { .. } => "Resetting",
        })
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    pub ends: Ends,
    pub stage: Stage,
    pub waker: Waker,
    /// It came by a forwarded port.
    pub is_forwarded: bool,
}

impl Connection {
    /// Whether only the host's side of it is left.
    pub fn is_draining(&self) -> bool {
        matches!(self.stage, Stage::Draining { .. })
    }
}

/// The host's side of an open connection.
#[derive(Debug)]
pub struct Host {
    pub stream: TcpStream,
    /// The host has said all; so has the guest's side been told.
    pub has_ended: bool,
    /// The guest has said all, and the host has got it.
    pub guest_has_ended: bool,
}

impl Host {
    /// A connection of which nothing has been said yet.
    pub fn new(stream: TcpStream) -> Self {
        // Whoever sends has decided when to.
        let _slower = stream.set_nodelay(true);
        Self {
            stream,
            has_ended: false,
            guest_has_ended: false,
        }
    }

    /// Closes it in such a way that the other side sees a reset.
    pub fn reset(self) {
        let _closed_quietly = self.stream.set_zero_linger();
    }
}

/// What came of moving bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// There may be more.
    Open,
    /// Both sides have said all, and have got all.
    Finished,
    /// The guest has reset it.
    GuestReset,
    /// The host has reset it.
    HostReset,
}
