//! The cable between the guest and the engine's TCP/IP stack: two bounded queues of frames.
//!
//! The stack sees IP packets only. There is one neighbour, whose address is known, so Ethernet
//! headers are taken off and put on here and no neighbour is ever asked for.

use super::frame::{FRAME_CAPACITY, Frame, FramePool};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::phy::{RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{ETHERNET_HEADER_LEN, EthernetAddress, EthernetFrame, EthernetProtocol};
use std::cell::RefCell;
use std::collections::VecDeque;

/// How many frames wait for the guest before nobody sends more.
pub const TO_GUEST: usize = 64;

/// How many more may be queued as answers to what the guest sent. Past that they are lost.
const ANSWERS: usize = 64;

/// How many frames of the guest wait for the stack.
pub const FROM_GUEST: usize = 64;

/// The two queues, and what is known of the cable.
#[derive(Debug)]
pub struct Link {
    pub(super) from_guest: VecDeque<Frame>,
    to_guest: VecDeque<Frame>,
    pool: RefCell<FramePool>,
    mtu: u16,
    checksums: ChecksumCapabilities,
    gateway: EthernetAddress,
    guest: EthernetAddress,
}

impl Link {
    /// A cable for IP packets of at most `mtu` bytes. `checks`: who has sums computed and
    /// checked.
    pub fn new(mtu: u16, checks: Checks, gateway: EthernetAddress, guest: EthernetAddress) -> Self {
        Self {
            from_guest: VecDeque::new(),
            to_guest: VecDeque::new(),
            pool: RefCell::default(),
            mtu,
            checksums: checks.capabilities(),
            gateway,
            guest,
        }
    }

    /// Whether a sender should send to the guest now.
    pub fn has_room(&self) -> bool {
        self.to_guest.len() < TO_GUEST
    }

    /// The largest IP packet for the guest.
    pub fn mtu(&self) -> usize {
        self.mtu.into()
    }

    /// Which sums are computed and checked.
    pub fn checksums(&self) -> &ChecksumCapabilities {
        &self.checksums
    }

    /// The guest's frame came from this address.
    pub fn learn_guest(&mut self, address: EthernetAddress) {
        if address.is_unicast() {
            self.guest = address;
        }
    }

    /// The gateway's address.
    pub fn gateway(&self) -> EthernetAddress {
        self.gateway
    }

    /// A buffer for a frame.
    pub fn buffer(&mut self, length: usize) -> Frame {
        self.pool.get_mut().take(length)
    }

    /// Takes a buffer back.
    pub fn give_back(&mut self, frame: Frame) {
        self.pool.get_mut().give_back(frame);
    }

    /// A frame for the guest, its Ethernet header written, and `packet_length` bytes behind it.
    pub fn frame(&mut self, protocol: EthernetProtocol, packet_length: usize) -> Frame {
        let mut frame = self.buffer(ETHERNET_HEADER_LEN + packet_length);
        write_header(&mut frame, self.gateway, self.guest, protocol);
        frame
    }

    /// Queues a frame for the guest; it is lost when even the room for answers is used up.
    pub fn send(&mut self, frame: Frame) {
        if self.to_guest.len() < TO_GUEST + ANSWERS {
            self.to_guest.push_back(frame);
        } else {
            self.give_back(frame);
        }
    }

    /// The next frame for the guest.
    pub fn next(&mut self) -> Option<Frame> {
        self.to_guest.pop_front()
    }

    /// The frame that `next` gave was not taken.
    pub fn put_back(&mut self, frame: Frame) {
        self.to_guest.push_front(frame);
    }

    /// How many frames wait for the guest.
    pub fn waiting(&self) -> usize {
        self.to_guest.len()
    }
}

/// What is left to software of TCP's and UDP's checksums. Those of IP headers always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// The guest's segments have sums, which are to be checked.
    pub from_guest: bool,
    /// The guest wants sums.
    pub to_guest: bool,
}

impl Checks {
    fn capabilities(self) -> ChecksumCapabilities {
        let sums = match (self.from_guest, self.to_guest) {
            (true, true) => Checksum::Both,
            (true, false) => Checksum::Rx,
            (false, true) => Checksum::Tx,
            (false, false) => Checksum::None,
        };
        let mut capabilities = ChecksumCapabilities::default();
        capabilities.tcp = sums;
        capabilities.udp = sums;
        capabilities
    }
}

fn write_header(
    frame: &mut Frame,
    source: EthernetAddress,
    destination: EthernetAddress,
    protocol: EthernetProtocol,
) {
    let mut header = EthernetFrame::new_unchecked(&mut **frame);
    header.set_src_addr(source);
    header.set_dst_addr(destination);
    header.set_ethertype(protocol);
}

/// A frame on its way into the stack.
#[derive(Debug)]
pub struct Received<'a> {
    frame: Frame,
    pool: &'a RefCell<FramePool>,
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        let result = take(self.frame.get(ETHERNET_HEADER_LEN..).unwrap_or_default());
        self.pool.borrow_mut().give_back(self.frame);
        result
    }
}

/// Room for a frame out of the stack.
#[derive(Debug)]
pub struct Outgoing<'a> {
    queue: &'a mut VecDeque<Frame>,
    pool: &'a RefCell<FramePool>,
    gateway: EthernetAddress,
    guest: EthernetAddress,
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let length = length.min(FRAME_CAPACITY - ETHERNET_HEADER_LEN);
        let mut frame = self.pool.borrow_mut().take(ETHERNET_HEADER_LEN + length);
        let protocol = EthernetProtocol::Ipv4;
        write_header(&mut frame, self.gateway, self.guest, protocol);
        let result = fill(&mut frame[ETHERNET_HEADER_LEN..]);
        if self.queue.len() < TO_GUEST + ANSWERS {
            self.queue.push_back(frame);
        } else {
            self.pool.borrow_mut().give_back(frame);
        }
        result
    }
}

impl Device for Link {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received<'_>, Outgoing<'_>)> {
        let frame = self.from_guest.pop_front()?;
        let received = Received {
            frame,
            pool: &self.pool,
        };
        let outgoing = Outgoing {
            queue: &mut self.to_guest,
            pool: &self.pool,
            gateway: self.gateway,
            guest: self.guest,
        };
        Some((received, outgoing))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Outgoing<'_>> {
        self.has_room().then_some(Outgoing {
            queue: &mut self.to_guest,
            pool: &self.pool,
            gateway: self.gateway,
            guest: self.guest,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu.into();
        capabilities.checksum = self.checksums.clone();
        capabilities
    }
}
