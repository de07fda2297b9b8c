//! Queues in front of a file descriptor that takes and gives packets, each by one system call
//! and with a [`NetHeader`] before it: a queue of a tap device, or a port of a switch.
#![allow(unsafe_code)]

use super::checksum;
use super::features::{GUEST_CSUM, GUEST_TSO4, GUEST_TSO6};
use super::header::{GSO_NONE, HEADER_SIZE, NEEDS_CSUM, NetHeader};
use super::receiver::{Delivery, Receiver};
use crate::device::DeviceError;
use crate::device::dma::Dma;
use crate::device::queue::DeviceQueue;
use crate::device::rate::RateLimiter;
use crate::device::stats::DeviceStats;
use crate::device::watched::Watched;
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::sleep_until;
use zerocopy::{FromBytes, IntoBytes};

/// The longest packet: 64 KiB and an Ethernet header with a VLAN's tag.
const PACKET_MAX: usize = 65536 + 18;

/// How many packets are handled in one turn.
const TURN: usize = 64;

/// How far the other side is to be trusted with headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The host's kernel, which has been told what the guest takes.
    Kernel,
    /// Another guest: only checksums are left to the other side.
    Peer,
}

/// A pair of queues and what is behind it.
#[derive(Clone, Debug)]
pub struct Packets {
    /// The other side. Every read and every write is one packet.
    pub fd: Rc<Watched>,
    /// Who that is.
    pub trust: Trust,
    /// The features that the driver uses.
    pub features: u64,
    /// Counts what is lost.
    pub stats: Arc<DeviceStats>,
    /// The number of this pair, and how many are used.
    pub pair: (u16, watch::Receiver<u16>),
}

/// Why a pair is served no longer.
#[derive(Debug)]
pub enum End {
    /// The device needs a reset.
    Error(DeviceError),
    /// The other side is gone.
    Gone,
}

impl From<DeviceError> for End {
    fn from(error: DeviceError) -> Self {
        Self::Error(error)
    }
}

impl Packets {
    /// Takes what the guest sends, for ever.
    pub async fn transmit(
        self,
        mut queue: DeviceQueue,
        mut limiter: RateLimiter,
    ) -> Result<(), DeviceError> {
        loop {
            queue.ready().await?;
            for _ in 0..TURN {
                if let Some(when) = limiter.wait_until() {
                    queue.notify()?;
                    sleep_until(when).await;
                    continue;
                }
                let Some(mut chain) = queue.pop()? else {
                    break;
                };
                let header: NetHeader = chain.read_struct()?;
                let size = chain.readable();
                limiter.charge(size.into());
                let packet = chain.dma_from_guest(size)?;
                if let Some(header) = self.outgoing(header) {
                    self.send(&header, &packet).await;
                }
                drop(packet);
                queue.push(chain, 0)?;
            }
            queue.notify()?;
            tokio::task::yield_now().await;
        }
    }

    /// The header for the other side. `None`: it cannot have such a packet.
    fn outgoing(&self, header: NetHeader) -> Option<NetHeader> {
        match self.trust {
            Trust::Kernel => Some(header),
            Trust::Peer if header.gso_type == GSO_NONE => Some(header.checksum_only()),
            Trust::Peer => {
                self.stats.add("tx_refused", 1);
                None
            }
        }
    }

    /// Sends a packet, waiting for room. What the other side refuses is lost.
    async fn send(&self, header: &NetHeader, packet: &Dma) {
        loop {
            match write_packet(&self.fd, header, packet) {
                Ok(()) => return,
                Err(Errno::AGAIN) => {
                    let Ok(mut guard) = self.fd.writable().await else {
                        return;
                    };
                    // It is not the guard that has tried: if there is room by now, the readiness
                    // stays.
                    let again = guard.try_io(|_| match write_packet(&self.fd, header, packet) {
                        Err(Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
                        other => Ok(other),
                    });
                    match again {
                        Ok(Ok(Ok(()))) => return,
                        Ok(_) => break,
                        Err(_would_block) => {}
                    }
                }
                Err(_) => break,
            }
        }
        self.stats.add("tx_refused", 1);
    }

    /// Gives the guest what comes, until the other side is gone. Nothing is taken from there
    /// while the driver has given no buffer.
    pub async fn receive(
        mut self,
        mut receiver: Receiver,
        mut limiter: RateLimiter,
    ) -> Result<(), End> {
        let (pair, mut pairs) = self.pair.clone();
        let mut bytes = vec![0; HEADER_SIZE + PACKET_MAX];
        // A packet that is still to be given.
        let mut waiting = None;
        loop {
            if *pairs.borrow_and_update() <= pair {
                // Whoever would change it is gone with the device.
                if pairs.changed().await.is_err() {
                    return std::future::pending().await;
                }
                continue;
            }
            if let Some(when) = limiter.wait_until() {
                sleep_until(when).await;
            }
            receiver.ready().await?;
            if waiting.is_none() {
                let readable = tokio::select! {
                    biased;
                    _ = pairs.changed() => continue,
                    readable = self.fd.readable_or_failed() => readable,
                };
                let mut guard = readable.map_err(DeviceError::host("waiting for packets"))?;
                waiting = match guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut bytes)?)) {
                    Ok(Ok(0)) => return Err(End::Gone),
                    Ok(Ok(size)) => Some(size),
                    Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => None,
                    Ok(Err(_)) => return Err(End::Gone),
                    Err(_would_block) => None,
                };
            }
            waiting = self.give(&mut receiver, &mut limiter, &mut bytes, waiting)?;
            tokio::task::yield_now().await;
        }
    }

    /// Gives the guest a packet of so many bytes and those that follow it. The packet for which
    /// there was no buffer.
    fn give(
        &mut self,
        receiver: &mut Receiver,
        limiter: &mut RateLimiter,
        bytes: &mut [u8],
        mut waiting: Option<usize>,
    ) -> Result<Option<usize>, DeviceError> {
        let mut is_given = false;
        for _ in 0..TURN {
            let Some(size) = waiting else {
                break;
            };
            let message = bytes.get_mut(..size).unwrap_or_default();
            match self.deliver(receiver, message)? {
                Delivery::NoBuffer => break,
                Delivery::Done => is_given = true,
                Delivery::TooLong => self.stats.add("rx_too_long", 1),
            }
            limiter.charge(size as u64);
            waiting = None;
            if limiter.wait_until().is_none() && receiver.has_buffer()? {
                // What is wrong with it is seen when it is waited for.
                waiting = rustix::io::read(&*self.fd, &mut *bytes).ok();
                waiting = waiting.filter(|size| *size > 0);
            }
        }
        if is_given {
            receiver.notify()?;
        }
        Ok(waiting)
    }

    fn deliver(
        &self,
        receiver: &mut Receiver,
        message: &mut [u8],
    ) -> Result<Delivery, DeviceError> {
        let Ok((header, packet)) = NetHeader::mut_from_prefix(message) else {
            self.stats.add("rx_malformed", 1);
            return Ok(Delivery::Done);
        };
        let header = self.incoming(*header, packet);
        receiver.deliver(header, packet)
    }

    /// The header for the guest: what the other side has left to do and the guest has not agreed
    /// to do is done here.
    fn incoming(&self, header: NetHeader, packet: &mut [u8]) -> NetHeader {
        let is_cutting = self.features & (GUEST_TSO4 | GUEST_TSO6) != 0;
        let header = match self.trust {
            Trust::Kernel if is_cutting => header,
            _ => header.checksum_only(),
        };
        let Some((start, offset)) = header.checksum() else {
            return header;
        };
        let end = usize::from(start) + usize::from(offset) + 2;
        if self.features & GUEST_CSUM != 0 && end <= packet.len() {
            return header;
        }
        // A place outside the packet is no place: the packet has the checksum that it has.
        let _no_place = checksum::complete(packet, start, offset);
        NetHeader {
            flags: header.flags & !NEEDS_CSUM,
            csum_start: 0.into(),
            csum_offset: 0.into(),
            ..header
        }
    }
}

/// Writes a header and a packet as one.
fn write_packet(fd: &Watched, header: &NetHeader, packet: &Dma) -> Result<(), Errno> {
    let mut pieces = Vec::with_capacity(1 + packet.iovecs().len());
    pieces.push(libc::iovec {
        iov_base: header.as_bytes().as_ptr().cast_mut().cast(),
        iov_len: HEADER_SIZE,
    });
    pieces.extend_from_slice(packet.iovecs());
    let count = i32::try_from(pieces.len()).map_err(|_| Errno::MSGSIZE)?;
    // SAFETY: the first piece is the header, which is borrowed; the others are RAM that `packet`
    // keeps mapped. The kernel only reads them.
    let written = unsafe { libc::writev(fd.as_fd().as_raw_fd(), pieces.as_ptr(), count) };
    if written < 0 {
        return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok(())
}
