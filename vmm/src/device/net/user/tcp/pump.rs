//! Moves bytes between the stack's socket and the host's, without a buffer between.

use super::connection::{Host, Pumped};
use smoltcp::socket::tcp::{RecvError, Socket, State};
use std::io::{self, ErrorKind};
use std::task::{Context, Waker};
use tokio::net::TcpStream;

/// Moves what can be moved now, both ways. `waker` is woken when there may be more.
pub fn pump(host: &mut Host, socket: &mut Socket<'_>, waker: &Waker) -> Pumped {
    socket.register_recv_waker(waker);
    socket.register_send_waker(waker);
    if matches!(socket.state(), State::SynSent | State::SynReceived) {
        return Pumped::Open;
    }
    let mut context = Context::from_waker(waker);
    if to_host(host, socket, &mut context).is_err() {
        return Pumped::HostReset;
    }
    if socket.state() == State::Closed && !(host.has_ended && host.guest_has_ended) {
        // It had said all, and its last segment was the answer to our FIN: what it said may
        // still be on its way to the host.
        let is_over = host.has_ended && socket.can_recv();
        return if is_over {
            Pumped::Open
        } else {
            Pumped::GuestReset
        };
    }
    if from_host(host, socket, &mut context).is_err() {
        return Pumped::HostReset;
    }
    if host.has_ended && host.guest_has_ended && is_over(socket.state()) {
        return Pumped::Finished;
    }
    Pumped::Open
}

/// Whether the stack has nothing more to do for a socket.
pub fn is_over(state: State) -> bool {
    matches!(state, State::Closed | State::TimeWait)
}

fn to_host(host: &mut Host, socket: &mut Socket<'_>, context: &mut Context<'_>) -> io::Result<()> {
    while !host.guest_has_ended {
        if socket.can_recv() {
            if host.stream.poll_write_ready(context)?.is_pending() {
                return Ok(());
            }
            let moved = socket.recv(|bytes| match host.stream.try_write(bytes) {
                Ok(count) => (count, Ok(())),
                Err(error) => (0, Err(error)),
            });
            match moved {
                Ok(result) => again(result)?,
                Err(_) => return Ok(()),
            }
        } else if matches!(socket.recv(|_| (0, ())), Err(RecvError::Finished)) {
            rustix::net::shutdown(&host.stream, rustix::net::Shutdown::Write)?;
            host.guest_has_ended = true;
        } else {
            return Ok(());
        }
    }
    Ok(())
}

fn from_host(
    host: &mut Host,
    socket: &mut Socket<'_>,
    context: &mut Context<'_>,
) -> io::Result<()> {
    while !host.has_ended && socket.can_send() {
        if host.stream.poll_read_ready(context)?.is_pending() {
            return Ok(());
        }
        match socket.send(|bytes| read(&host.stream, bytes)) {
            Ok(Ok(0)) => {
                host.has_ended = true;
                socket.close();
            }
            Ok(result) => again(result.map(|_| ()))?,
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

fn read(stream: &TcpStream, bytes: &mut [u8]) -> (usize, io::Result<usize>) {
    match stream.try_read(bytes) {
        Ok(count) => (count, Ok(count)),
        Err(error) => (0, Err(error)),
    }
}

/// Whether to try again: the readiness that was known was an old one.
fn again(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        result => result,
    }
}
