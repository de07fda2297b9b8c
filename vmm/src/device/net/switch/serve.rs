//! The learning switch.

use super::socket::enlarge;
use super::table::{Address, StationTable, is_group};
use crate::device::net::header::HEADER_SIZE;
use crate::device::watched::Watched;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

/// How many guests there may be. More are disconnected at once.
pub const PORTS_MAX: usize = 256;

/// The longest message: the longest frame, with a VLAN's tag, and its header.
const MESSAGE_MAX: usize = HEADER_SIZE + 65536 + 18;

/// How many messages of a guest are handled in one turn.
const TURN: usize = 32;

/// When accepting fails, for example because there are no file descriptors left, it is tried
/// again after so long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct Switch {
    ports: HashMap<u64, Rc<Watched>>,
    stations: StationTable,
    next_port: u64,
    message: Vec<u8>,
}

type Shared = Rc<RefCell<Switch>>;

/// Serves the guests that connect to `listener`, for ever. It needs tokio's I/O and time, on one
/// thread.
///
/// A frame to a station that is known goes there; any other goes to all guests but the one that
/// sent it. A guest that does not take its frames loses them, and no other guest waits for it.
///
/// # Errors
///
/// The host failed.
pub async fn serve(listener: OwnedFd) -> io::Result<()> {
    let listener = Watched::new(listener, Interest::READABLE)?;
    let switch = Rc::new(RefCell::new(Switch {
        ports: HashMap::new(),
        stations: StationTable::default(),
        next_port: 0,
        message: vec![0; MESSAGE_MAX],
    }));
    // The guests' tasks end with this one.
    let tasks = LocalSet::new();
    tasks.run_until(accept(listener, switch)).await
}

async fn accept(listener: Watched, switch: Shared) -> io::Result<()> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    loop {
        let mut guard = listener.readable().await?;
        let accepted = guard.try_io(|fd| Ok(accept_with(fd.get_ref(), flags)?));
        let guest = match accepted {
            Ok(Ok(guest)) => guest,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a guest is not connected");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
            Err(_would_block) => continue,
        };
        if switch.borrow().ports.len() >= PORTS_MAX {
            tracing::warn!("a guest is not connected: {PORTS_MAX} are");
            continue;
        }
        enlarge(&guest);
        let port = Rc::new(Watched::new(guest, Interest::READABLE)?);
        let number = switch.borrow_mut().add(Rc::clone(&port));
        let switch = Rc::clone(&switch);
        tokio::task::spawn_local(async move {
            // However it ends, the guest is gone.
            let _gone = forward(&switch, number, &port).await;
            switch.borrow_mut().remove(number);
        });
    }
}

/// Forwards what comes from a guest, until it is gone.
async fn forward(switch: &Shared, number: u64, port: &Watched) -> io::Result<()> {
    loop {
        let mut guard = port.readable().await?;
        for _ in 0..TURN {
            match guard.try_io(|fd| switch.borrow_mut().forward_one(number, fd.get_ref())) {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => break,
            }
        }
        tokio::task::yield_now().await;
    }
}

impl Switch {
    fn add(&mut self, port: Rc<Watched>) -> u64 {
        let number = self.next_port;
        self.next_port += 1;
        self.ports.insert(number, port);
        number
    }

    fn remove(&mut self, number: u64) {
        self.ports.remove(&number);
        self.stations.forget(number);
    }

    /// Forwards one message. `false`: there will be none.
    fn forward_one(&mut self, from: u64, guest: &OwnedFd) -> io::Result<bool> {
        let (_, size) = recv(guest, &mut self.message[..], RecvFlags::TRUNC)?;
        if size == 0 {
            return Ok(false);
        }
        // One that is too long, or too short for a frame, is none.
        let Some(message) = self.message.get(..size) else {
            return Ok(true);
        };
        let Some((to, source)) = addresses(message) else {
            return Ok(true);
        };
        let now = Instant::now();
        self.stations.learn(source, from, now);
        let known = if is_group(to) {
            None
        } else {
            self.stations.find(to, now)
        };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // Who has no room loses it.
        match known {
            Some(port) if port == from => {}
            Some(port) => {
                if let Some(port) = self.ports.get(&port) {
                    let _lost = send(&**port, message, flags);
                }
            }
            None => {
                for (_, port) in self.ports.iter().filter(|(number, _)| **number != from) {
                    let _lost = send(&**port, message, flags);
                }
            }
        }
        Ok(true)
    }
}

/// To whom a message's frame goes, and from whom it comes.
fn addresses(message: &[u8]) -> Option<(Address, Address)> {
    let (_, frame) = message.split_at_checked(HEADER_SIZE)?;
    let (to, rest) = frame.split_first_chunk::<6>()?;
    let (source, rest) = rest.split_first_chunk::<6>()?;
    // The type is there too.
    (rest.len() >= 2).then_some((*to, *source))
}
