//! ARP (RFC 826): the gateway and the name server have the VMM's Ethernet address.

use super::address;
use super::frame::Frame;
use super::link::Link;
use smoltcp::wire::ETHERNET_HEADER_LEN;
use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetProtocol};

/// Answers a request for one of the VMM's addresses.
pub fn answer(link: &mut Link, request: &ArpRepr) -> Option<Frame> {
    let ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr,
        ..
    } = *request
    else {
        return None;
    };
    // Whoever looks whether an address is free (RFC 5227) has none yet.
    let may_ask = source_protocol_addr.is_unspecified() || address::is_guest(source_protocol_addr);
    if !may_ask || !address::is_ours(target_protocol_addr) || !source_hardware_addr.is_unicast() {
        return None;
    }
    let answer = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: link.gateway(),
        source_protocol_addr: target_protocol_addr,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    let mut frame = link.frame(EthernetProtocol::Arp, answer.buffer_len());
    answer.emit(&mut ArpPacket::new_unchecked(
        &mut frame[ETHERNET_HEADER_LEN..],
    ));
    Some(frame)
}
