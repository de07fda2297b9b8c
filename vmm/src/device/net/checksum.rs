//! Checksums that the sender has left to others (virtio 1.2, 5.1.6.2).

use smoltcp::wire::{
    ETHERNET_HEADER_LEN, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, checksum,
};

/// Where the checksum stands in a TCP header.
const IN_TCP: u16 = 16;

/// Where it stands in a UDP header.
const IN_UDP: u16 = 6;

/// Prepares a TCP segment over IPv4 for one who completes its checksum: the sum of the pseudo
/// header is written, and the answer is from where on it is to be completed, and where it stands
/// from there. `None`: the frame holds none.
pub fn leave(frame: &mut [u8]) -> Option<(u16, u16)> {
    let ethernet = EthernetFrame::new_checked(&mut *frame).ok()?;
    if ethernet.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let bytes = ethernet.into_inner().get_mut(ETHERNET_HEADER_LEN..)?;
    let mut packet = Ipv4Packet::new_checked(bytes).ok()?;
    let protocol = packet.next_header();
    if protocol != IpProtocol::Tcp {
        return None;
    }
    let header = packet.header_len();
    let length = u32::from(packet.total_len().saturating_sub(header.into()));
    let (source, destination) = (packet.src_addr(), packet.dst_addr());
    let sum = checksum::pseudo_header_v4(&source, &destination, protocol, length);
    write(packet.payload_mut(), 0, IN_TCP, sum)?;
    let start = u16::try_from(ETHERNET_HEADER_LEN).ok()? + u16::from(header);
    Some((start, IN_TCP))
}

/// Completes the checksum of `frame`. `None`: it has no such place.
pub fn complete(frame: &mut [u8], start: u16, offset: u16) -> Option<()> {
    let sum = checksum::data(frame.get(start.into()..)?);
    // The place holds the sum of the pseudo header, which so is part of the sum. A UDP checksum
    // that is 0 stands for none (RFC 768).
    let sum = match !sum {
        0 if offset == IN_UDP => u16::MAX,
        sum => sum,
    };
    write(frame, start, offset, sum)
}

fn write(bytes: &mut [u8], start: u16, offset: u16, sum: u16) -> Option<()> {
    let at = usize::from(start) + usize::from(offset);
    bytes
        .get_mut(at..at + 2)?
        .copy_from_slice(&sum.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::TcpPacket;
    use std::net::Ipv4Addr;

    #[test]
    fn what_one_leaves_the_other_completes() {
        let mut frame = [0; 14 + 20 + 20 + 7];
        let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
        ethernet.set_ethertype(EthernetProtocol::Ipv4);
        let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
        packet.set_version(4);
        packet.set_header_len(20);
        packet.set_total_len(20 + 20 + 7);
        packet.set_next_header(IpProtocol::Tcp);
        let (source, destination) = (Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(192, 0, 2, 200));
        packet.set_src_addr(source);
        packet.set_dst_addr(destination);
        let mut segment = TcpPacket::new_unchecked(packet.payload_mut());
        segment.set_header_len(20);
        segment.set_src_port(4711);
        segment.payload_mut().copy_from_slice(b"payload");
        let left = leave(&mut frame);
        assert_eq!(left, Some((34, 16)));
        let is_right = |frame: &[u8]| {
            let segment = TcpPacket::new_unchecked(&frame[34..]);
            segment.verify_checksum(&source.into(), &destination.into())
        };
        assert!(!is_right(&frame));
        assert_eq!(complete(&mut frame, 34, 16), Some(()));
        assert!(is_right(&frame));
    }

    #[test]
    fn there_may_be_no_place_for_it() {
        let mut frame = [0; 60];
        assert_eq!(leave(&mut frame), None);
        assert_eq!(leave(&mut frame[..5]), None);
        for (start, offset) in [(61, 0), (0, 59), (60, 0), (u16::MAX, u16::MAX)] {
            assert_eq!(complete(&mut frame, start, offset), None);
        }
        assert_eq!(frame, [0; 60]);
    }
}
