//! What a connection does when it is its turn.

use super::connection::{Connecting, Connection, Host, Pumped, Stage};
use super::pump::{is_over, pump};
use crate::device::net::user::classify::Ends;
use crate::device::net::user::frame::Frame;
use crate::device::net::user::stack::Stack;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::Socket as AnySocket;
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::wire::IpEndpoint;
use std::task::{Context, Poll, Waker};

impl Connection {
    /// Does what can be done now. `None`: it is over. `new_socket` makes a socket of the stack.
    pub fn step(
        self,
        stack: &mut Stack,
        new_socket: impl FnOnce() -> Socket<'static>,
    ) -> Option<Self> {
        let waker = &self.waker;
        let stage = match self.stage {
            Stage::Asked { connecting, syn } => {
                ask(stack, &self.ends, waker, (connecting, syn), new_socket)
            }
            Stage::Open { host, socket } => move_on(stack, waker, host, socket),
            Stage::Draining { host, socket } => drain(waker, host, socket),
            Stage::Resetting { socket } => reset(stack, waker, socket),
        }?;
        Some(Self { stage, ..self })
    }
}

/// Looks whether the host has answered.
fn ask(
    stack: &mut Stack,
    ends: &Ends,
    waker: &Waker,
    (mut connecting, syn): (Connecting, Frame),
    new_socket: impl FnOnce() -> Socket<'static>,
) -> Option<Stage> {
    let stream = match connecting.as_mut().poll(&mut Context::from_waker(waker)) {
        Poll::Pending => return Some(Stage::Asked { connecting, syn }),
        Poll::Ready(Ok(stream)) => stream,
        Poll::Ready(Err(error)) => {
            tracing::debug!(to = %ends.remote, %error, "the guest's connection is refused");
            refuse(stack, syn);
            return None;
        }
    };
    let host = Host::new(stream);
    let mut socket = new_socket();
    let listens = socket.listen(ends.remote);
    let socket = stack.sockets.add(socket);
    // The frame finds this socket, since no other one listens: it is taken at once.
    stack.link.from_guest.push_front(syn);
    stack.poll_first();
    let guest = IpEndpoint::from(ends.guest);
    let accepted = stack.sockets.get::<Socket<'_>>(socket).remote_endpoint();
    if listens.is_err() || accepted != Some(guest) {
        stack.sockets.remove(socket);
        host.reset();
        return None;
    }
    move_on(stack, waker, host, socket)
}

/// Answers a request for a connection by a reset: what the stack does when nobody listens.
pub fn refuse(stack: &mut Stack, syn: Frame) {
    stack.link.from_guest.push_front(syn);
    stack.poll_first();
}

/// Moves bytes.
fn move_on(
    stack: &mut Stack,
    waker: &Waker,
    mut host: Host,
    handle: SocketHandle,
) -> Option<Stage> {
    let socket = stack.sockets.get_mut::<Socket<'_>>(handle);
    if socket.state() != State::SynSent {
        socket.set_timeout(None);
    }
    match pump(&mut host, socket, waker) {
        Pumped::Open if is_over(socket.state()) => {
            // The stack would drop what the host has not taken when its own time is over.
            // With more of its features the stack has other kinds of sockets too.
            #[allow(irrefutable_let_patterns)]
            let AnySocket::Tcp(socket) = stack.sockets.remove(handle) else {
                return None;
            };
            let socket = Box::new(socket);
            Some(Stage::Draining { host, socket })
        }
        Pumped::Open => Some(Stage::Open {
            host,
            socket: handle,
        }),
        Pumped::Finished => {
            stack.sockets.remove(handle);
            None
        }
        Pumped::GuestReset => {
            stack.sockets.remove(handle);
            host.reset();
            None
        }
        Pumped::HostReset => {
            socket.abort();
            reset(stack, waker, handle)
        }
    }
}

fn drain(waker: &Waker, mut host: Host, mut socket: Box<Socket<'static>>) -> Option<Stage> {
    match pump(&mut host, &mut socket, waker) {
        Pumped::Open => Some(Stage::Draining { host, socket }),
        Pumped::Finished | Pumped::HostReset => None,
        Pumped::GuestReset => {
            host.reset();
            None
        }
    }
}

/// Waits until the stack has sent the reset.
fn reset(stack: &mut Stack, waker: &Waker, handle: SocketHandle) -> Option<Stage> {
    let socket = stack.sockets.get_mut::<Socket<'_>>(handle);
    if socket.remote_endpoint().is_some() {
        socket.register_send_waker(waker);
        return Some(Stage::Resetting { socket: handle });
    }
    stack.sockets.remove(handle);
    None
}
