//! UDP datagrams to the guest.

use super::frame::Frame;
use super::link::Link;
use smoltcp::wire::{
    ETHERNET_HEADER_LEN, EthernetProtocol, IPV4_HEADER_LEN, IpProtocol, Ipv4Packet, Ipv4Repr,
    UDP_HEADER_LEN, UdpPacket, UdpRepr,
};
use std::net::SocketAddrV4;

/// The length of a datagram's headers in its IP packet.
pub const HEADERS: usize = IPV4_HEADER_LEN + UDP_HEADER_LEN;

/// Where a datagram's payload begins in its frame.
pub const PAYLOAD: usize = ETHERNET_HEADER_LEN + HEADERS;

const HOP_LIMIT: u8 = 64;

/// A frame for a datagram whose payload, `length` bytes from [`PAYLOAD`] on, is still to be
/// written. `None`: it is longer than the guest takes.
pub fn begin(link: &mut Link, length: usize) -> Option<Frame> {
    let packet = HEADERS + length;
    (packet <= link.mtu()).then(|| link.frame(EthernetProtocol::Ipv4, packet))
}

/// Writes the headers of a frame from [`begin`], whose payload is complete.
pub fn finish(link: &Link, frame: &mut Frame, source: SocketAddrV4, destination: SocketAddrV4) {
    let length = frame.len().saturating_sub(PAYLOAD);
    let packet = Ipv4Repr {
        src_addr: *source.ip(),
        dst_addr: *destination.ip(),
        next_header: IpProtocol::Udp,
        payload_len: UDP_HEADER_LEN + length,
        hop_limit: HOP_LIMIT,
    };
    let datagram = UdpRepr {
        src_port: source.port(),
        dst_port: destination.port(),
    };
    let checksums = link.checksums();
    let bytes = &mut frame[ETHERNET_HEADER_LEN..];
    packet.emit(&mut Ipv4Packet::new_unchecked(&mut *bytes), checksums);
    datagram.emit(
        &mut UdpPacket::new_unchecked(&mut bytes[IPV4_HEADER_LEN..]),
        &(*source.ip()).into(),
        &(*destination.ip()).into(),
        length,
        |_| {},
        checksums,
    );
}
