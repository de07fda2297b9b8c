//! The driver of network devices (virtio 1.2, 5.1), a [`Device`] of smoltcp.
//!
//! Checksums of TCP and UDP are the device's to complete and to have verified where it offers
//! that, and so are segments: then one frame carries up to 64 KiB. Frames are moved in buffers of
//! the largest size that can come, as a stack wants a frame in one piece. The doorbell is rung by
//! [`NetDevice::flush`] only, once for all frames that were sent and all buffers that were given
//! back.
//!
//! [`net`](crate::net) is what programs use.

mod header;

use self::header::{HEADER_SIZE, Header};
use super::packets::{Packet, Receiver, Shape, Transmitter};
use super::{Broken, Device as VirtioDevice, Error, Found, feature};
use alloc::sync::Arc;
use core::num::{NonZeroU16, NonZeroUsize};
use smoltcp::phy::{
    Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, PacketMeta, RxToken,
    SegmentationCapabilities, TxToken,
};
use smoltcp::time::Instant;
use smoltcp::wire::{ETHERNET_HEADER_LEN, EthernetAddress};

/// VIRTIO_NET_F_CSUM: the device completes the checksums of what is sent.
const CSUM: u64 = 1 << 0;
/// VIRTIO_NET_F_GUEST_CSUM: what comes may have no checksum yet.
const GUEST_CSUM: u64 = 1 << 1;
/// VIRTIO_NET_F_MTU: the configuration space has the MTU.
const MTU: u64 = 1 << 3;
/// VIRTIO_NET_F_MAC: the configuration space has the address.
const MAC: u64 = 1 << 5;
/// VIRTIO_NET_F_GUEST_TSO4: several segments may come as one frame.
const GUEST_TSO4: u64 = 1 << 7;
/// VIRTIO_NET_F_HOST_TSO4: the device cuts frames into segments.
const HOST_TSO4: u64 = 1 << 11;

/// The queue of received frames.
pub const RECEIVE: u16 = 0;
/// The queue of frames to send.
pub const TRANSMIT: u16 = 1;

/// Most memory for the buffers of a queue, in bytes, but for a last one.
const POOL: usize = 4 << 20;
/// Most buffers of a queue.
const MOST_BUFFERS: usize = 256;
/// Largest IPv4 packet.
const LARGEST_PACKET: usize = 65535;
/// The MTU of Ethernet, where the device names no other.
const DEFAULT_MTU: u16 = 1500;
/// The least that IPv4 takes (RFC 791).
const LEAST_MTU: u16 = 68;
/// An address where the device has none: locally administered.
const DEFAULT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
/// Offset of the MAC address in the configuration space.
const CONFIG_MAC: u32 = 0;
/// Offset of the MTU in the configuration space.
const CONFIG_MTU: u32 = 10;

/// A network device.
#[derive(Debug)]
pub struct NetDevice {
    device: Arc<VirtioDevice>,
    mac: EthernetAddress,
    mtu: u16,
    receiver: Receiver,
    transmitter: Transmitter,
    dropped: u64,
    /// Bytes that were sent and received since the last [`NetDevice::flush`].
    moved: usize,
    broken: bool,
}

impl NetDevice {
    /// Sets a device up.
    ///
    /// # Errors
    ///
    /// Those of [`Device::take`](VirtioDevice::take), and of memory.
    pub fn open(found: Found) -> Result<Self, Error> {
        let rings = feature::RING_EVENT_IDX;
        let wanted = CSUM | GUEST_CSUM | MTU | MAC | GUEST_TSO4 | HOST_TSO4 | rings;
        let device = VirtioDevice::take(found, wanted)?;
        let mac = match device.has(MAC) {
            true => device.config(CONFIG_MAC)?,
            false => DEFAULT_MAC,
        };
        let mtu = match device.has(MTU) {
            true => device.config::<u16>(CONFIG_MTU)?.max(LEAST_MTU),
            false => DEFAULT_MTU,
        };
        let shape = |segmented: u64| match device.has(segmented) {
            true => shape(LARGEST_PACKET),
            false => shape(mtu.into()),
        };
        let receiver = Receiver::new(&device, RECEIVE, shape(GUEST_TSO4))?;
        let transmitter = Transmitter::new(&device, TRANSMIT, shape(HOST_TSO4))?;
        device.start()?;
        let mut this = Self {
            device,
            mac: EthernetAddress(mac),
            mtu,
            receiver,
            transmitter,
            dropped: 0,
            moved: 0,
            broken: false,
        };
        this.flush();
        Ok(this)
    }

    /// The device.
    pub fn device(&self) -> &Arc<VirtioDevice> {
        &self.device
    }

    /// Its address.
    pub fn mac(&self) -> EthernetAddress {
        self.mac
    }

    /// Most bytes of an IP packet.
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// Frames that were received with a checksum that is wrong.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether the device has stopped or broken the rules: nothing comes and goes any more.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Tells the device of all that was sent and given back since the last time: how many bytes
    /// that were.
    pub fn flush(&mut self) -> usize {
        self.receiver.notify();
        self.transmitter.notify();
        core::mem::take(&mut self.moved)
    }

    /// Whether a frame has come that was not taken.
    pub fn has_come(&self) -> bool {
        self.receiver.has_come()
    }

    /// Asks for an event of [`RECEIVE`] when a frame comes, and, if `transmit`, for one of
    /// [`TRANSMIT`] when one was sent: whether either has happened already.
    #[must_use]
    pub fn arm(&self, transmit: bool) -> bool {
        let received = self.receiver.arm();
        let sent = transmit && self.transmitter.arm();
        received || sent
    }

    /// Asks for no event.
    pub fn disarm(&self) {
        self.receiver.disarm();
        self.transmitter.disarm();
    }

    /// Whether a frame can be sent now. Otherwise the device has all buffers.
    pub fn can_transmit(&mut self) -> bool {
        let room = self.transmitter.make_room();
        self.checked(room).unwrap_or(false)
    }

    fn checked<T>(&mut self, result: Result<T, Broken>) -> Option<T> {
        self.broken |= result.is_err();
        result.ok()
    }

    fn has(&self, features: u64) -> bool {
        self.device.has(features)
    }
}

/// Buffers for IP packets of that size.
fn shape(packet: usize) -> Shape {
    let size = (HEADER_SIZE + ETHERNET_HEADER_LEN + packet).next_multiple_of(64);
    let count = (POOL.div_ceil(size)).min(MOST_BUFFERS);
    Shape {
        size,
        count: count as u32,
    }
}

impl Device for NetDevice {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Frame<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Frame<'_>)> {
        // An answer may have to be sent.
        if !self.can_transmit() {
            return None;
        }
        let offload = self.has(CSUM);
        let dropped = &mut self.dropped;
        let packet = self.receiver.take_if(|bytes| {
            let (header, frame) = split(bytes);
            let valid = header::is_valid(header, frame);
            *dropped += u64::from(!valid);
            valid
        });
        let packet = match packet {
            Ok(packet) => packet?,
            Err(Broken) => {
                self.broken = true;
                return None;
            }
        };
        self.moved += packet.len();
        let frame = Frame {
            transmitter: &mut self.transmitter,
            moved: &mut self.moved,
            offload,
            segment: None,
        };
        Some((Received(packet), frame))
    }

    fn transmit(&mut self, _: Instant) -> Option<Frame<'_>> {
        let offload = self.has(CSUM);
        self.can_transmit().then_some(Frame {
            transmitter: &mut self.transmitter,
            moved: &mut self.moved,
            offload,
            segment: None,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let transport = match (self.has(CSUM), self.has(GUEST_CSUM)) {
            (true, true) => Checksum::None,
            (true, false) => Checksum::Rx,
            (false, true) => Checksum::Tx,
            (false, false) => Checksum::Both,
        };
        let mut checksum = ChecksumCapabilities::default();
        checksum.tcp = transport;
        checksum.udp = transport;
        let mut segmentation = SegmentationCapabilities::default();
        if self.has(CSUM | HOST_TSO4) {
            segmentation.tcpv4 = NonZeroUsize::new(ETHERNET_HEADER_LEN + LARGEST_PACKET);
        }
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = usize::from(self.mtu) + ETHERNET_HEADER_LEN;
        capabilities.checksum = checksum;
        capabilities.segmentation = segmentation;
        capabilities
    }
}

/// Header and frame. What is too short for a header has no frame either.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at_checked(HEADER_SIZE).unwrap_or_default()
}

/// A frame that has come. The device has its buffer back when this is dropped.
#[derive(Debug)]
pub struct Received<'a>(Packet<'a>);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(split(&self.0).1)
    }
}

/// Place for a frame to send.
#[derive(Debug)]
pub struct Frame<'a> {
    transmitter: &'a mut Transmitter,
    moved: &'a mut usize,
    offload: bool,
    segment: Option<NonZeroU16>,
}

impl TxToken for Frame<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, size: usize, write: F) -> R {
        let Some(bytes) = self.transmitter.next(HEADER_SIZE + size) else {
            panic!("a frame of {size} bytes, more than the device's capabilities say");
        };
        let (header, frame) = bytes.split_at_mut(HEADER_SIZE);
        let result = write(frame);
        let offload = match self.offload {
            true => Header::offload(frame, self.segment.map(NonZeroU16::get)),
            false => Header::default(),
        };
        header.copy_from_slice(&offload.to_bytes());
        self.transmitter.send(HEADER_SIZE + size);
        *self.moved += HEADER_SIZE + size;
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment = meta.segmentation_offload_size;
    }
}
