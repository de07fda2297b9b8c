//! What a frame of the guest is. Nothing of it is trusted: what is not well-formed is nothing.

use super::address;
use smoltcp::wire::{
    ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket,
    UdpPacket,
};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;

/// The two ends of a flow, as the guest sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The guest's.
    pub guest: SocketAddrV4,
    /// The other.
    pub remote: SocketAddrV4,
}

/// A frame by what is to be done with it.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// The guest asks who has an address: an ARP request.
    Arp(ArpRepr),
    /// A datagram to a DHCP server, and where its payload is in the frame.
    Dhcp(Range<usize>),
    /// A TCP segment. `opens`: it asks for a connection.
    Tcp { ends: Ends, opens: bool },
    /// A UDP datagram, and where its payload is in the frame.
    Udp { ends: Ends, payload: Range<usize> },
    /// An ICMP message for one of the VMM's addresses.
    Icmp,
    /// Nothing that this network knows.
    Other,
}

const DHCP_SERVER: u16 = 67;

/// Says what a frame is.
pub fn classify(frame: &[u8]) -> Kind {
    parse(frame).unwrap_or(Kind::Other)
}

fn parse(bytes: &[u8]) -> Option<Kind> {
    let frame = EthernetFrame::new_checked(bytes).ok()?;
    match frame.ethertype() {
        EthernetProtocol::Arp => {
            let packet = ArpPacket::new_checked(frame.payload()).ok()?;
            Some(Kind::Arp(ArpRepr::parse(&packet).ok()?))
        }
        EthernetProtocol::Ipv4 => parse_ipv4(bytes, frame.payload()),
        _ => None,
    }
}

fn parse_ipv4(frame: &[u8], bytes: &[u8]) -> Option<Kind> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    let is_fragment = packet.more_frags() || packet.frag_offset() != 0;
    if packet.version() != 4 || is_fragment {
        return None;
    }
    let (source, destination) = (packet.src_addr(), packet.dst_addr());
    let is_from_guest = address::is_guest(source);
    let ends = |guest, remote| Ends {
        guest: SocketAddrV4::new(source, guest),
        remote: SocketAddrV4::new(destination, remote),
    };
    match packet.next_header() {
        IpProtocol::Udp => {
            let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
            let payload = range_in(frame, datagram.payload())?;
            if datagram.dst_port() == DHCP_SERVER && (is_from_guest || source.is_unspecified()) {
                return Some(Kind::Dhcp(payload));
            }
            let ends = ends(datagram.src_port(), datagram.dst_port());
            is_from_guest.then_some(Kind::Udp { ends, payload })
        }
        IpProtocol::Tcp if is_from_guest && !is_to_guests(destination) => {
            let segment = TcpPacket::new_checked(packet.payload()).ok()?;
            let ends = ends(segment.src_port(), segment.dst_port());
            let opens = segment.syn() && !segment.ack() && !segment.rst() && !segment.fin();
            Some(Kind::Tcp { ends, opens })
        }
        IpProtocol::Icmp if is_from_guest && address::is_ours(destination) => Some(Kind::Icmp),
        _ => None,
    }
}

/// No TCP goes to many, and none to the guest itself.
fn is_to_guests(destination: Ipv4Addr) -> bool {
    destination.is_multicast()
        || destination.is_broadcast()
        || destination.is_unspecified()
        || address::is_guest(destination)
}

/// Where `part`, a part of `whole`, is in it.
fn range_in(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}
