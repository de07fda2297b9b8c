//! Frames and what stands before them.

use crate::device::net::header::{HEADER_SIZE, NetHeader};
use crate::device::tests::rig::{Rig, Used};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket,
    UdpRepr,
};
use std::net::Ipv4Addr;
use zerocopy::{FromBytes, IntoBytes};

pub const RX: usize = 0;
pub const TX: usize = 1;

pub const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// Sends a frame, in two buffers, and waits until it was taken.
pub fn send(rig: &mut Rig, header: NetHeader, frame: &[u8]) {
    let used = rig.request(TX, &[header.as_bytes(), frame], &[]);
    assert_eq!(used.written, 0);
}

/// What a used buffer holds.
pub fn received(used: &Used) -> (NetHeader, Vec<u8>) {
    let written = &used.bytes[..used.written as usize];
    let (header, frame) = NetHeader::read_from_prefix(written).expect("there is a header");
    (header, frame.to_vec())
}

pub fn arp_request() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(MAC);
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(MAC);
    frame.extend(GUEST.octets());
    frame.extend([0; 6]);
    frame.extend(GATEWAY.octets());
    frame
}

/// An Ethernet frame with an IPv4 packet in it.
pub fn ipv4(protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + payload.len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
    ethernet.set_src_addr(EthernetAddress(MAC));
    ethernet.set_dst_addr(EthernetAddress::BROADCAST);
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    let repr = Ipv4Repr {
        src_addr: GUEST,
        dst_addr: GATEWAY,
        next_header: protocol,
        payload_len: payload.len(),
        hop_limit: 64,
    };
    let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
    repr.emit(&mut packet, &ChecksumCapabilities::default());
    packet.payload_mut().copy_from_slice(payload);
    frame
}

pub fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; 8 + payload.len()];
    let repr = UdpRepr {
        src_port: 5000,
        dst_port: port,
    };
    repr.emit(
        &mut UdpPacket::new_unchecked(&mut datagram[..]),
        &GUEST.into(),
        &GATEWAY.into(),
        payload.len(),
        |bytes| bytes.copy_from_slice(payload),
        &ChecksumCapabilities::default(),
    );
    ipv4(IpProtocol::Udp, &datagram)
}

/// Where a datagram's payload is in its frame.
pub const UDP_PAYLOAD: usize = 14 + 20 + 8;

pub const BUFFER: u32 = HEADER_SIZE as u32 + 1514;
