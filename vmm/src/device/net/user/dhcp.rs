//! DHCP (RFC 2131), the server's side: the guest has one address, for as long as it likes.

use super::address::{GATEWAY, GUEST, NAME_SERVER, PREFIX};
use super::datagram;
use super::frame::Frame;
use super::link::Link;
use smoltcp::wire::{DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, Ipv4Cidr};
use std::net::{Ipv4Addr, SocketAddrV4};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// A day, in seconds. Nothing happens when it is over, and renewing it always succeeds.
const LEASE: u32 = 24 * 60 * 60;

/// The option "interface MTU" (RFC 2132, 5.1).
const INTERFACE_MTU: u8 = 26;

/// Answers a message of the guest to a DHCP server, if it wants an answer.
pub fn answer(link: &mut Link, message: &[u8]) -> Option<Frame> {
    let packet = DhcpPacket::new_checked(message).ok()?;
    let request = DhcpRepr::parse(&packet).ok()?;
    let message_type = match request.message_type {
        DhcpMessageType::Discover => DhcpMessageType::Offer,
        // An offer of another server was taken.
        DhcpMessageType::Request if request.server_identifier.is_some_and(|id| id != GATEWAY) => {
            return None;
        }
        DhcpMessageType::Request if asks_for_another(&request) => DhcpMessageType::Nak,
        DhcpMessageType::Request | DhcpMessageType::Inform => DhcpMessageType::Ack,
        _ => return None,
    };
    let mtu = u16::try_from(link.mtu()).unwrap_or(u16::MAX).to_be_bytes();
    let mtu = [DhcpOption {
        kind: INTERFACE_MTU,
        data: &mtu,
    }];
    let answer = reply(&request, message_type, &mtu);
    let mut frame = datagram::begin(link, answer.buffer_len())?;
    let payload = frame.get_mut(datagram::PAYLOAD..)?;
    payload.fill(0);
    answer.emit(&mut DhcpPacket::new_unchecked(payload)).ok()?;
    let server = SocketAddrV4::new(GATEWAY, SERVER_PORT);
    // The client has no address yet, or has this one: either way all hear it.
    let client = SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT);
    datagram::finish(link, &mut frame, server, client);
    Some(frame)
}

fn asks_for_another(request: &DhcpRepr<'_>) -> bool {
    let renewed = (!request.client_ip.is_unspecified()).then_some(request.client_ip);
    let wanted = request.requested_ip.or(renewed);
    wanted.is_some_and(|address| address != GUEST)
}

fn reply<'a>(
    request: &DhcpRepr<'_>,
    message_type: DhcpMessageType,
    options: &'a [DhcpOption<'a>],
) -> DhcpRepr<'a> {
    let is_refusal = message_type == DhcpMessageType::Nak;
    // Who only informs itself has an address, and no lease (RFC 2131, 4.3.5).
    let leases = !is_refusal && request.message_type != DhcpMessageType::Inform;
    DhcpRepr {
        message_type,
        transaction_id: request.transaction_id,
        secs: 0,
        client_hardware_address: request.client_hardware_address,
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: if leases { GUEST } else { Ipv4Addr::UNSPECIFIED },
        server_ip: GATEWAY,
        router: (!is_refusal).then_some(GATEWAY),
        subnet_mask: (!is_refusal).then(|| Ipv4Cidr::new(GATEWAY, PREFIX).netmask()),
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: request.broadcast,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(GATEWAY),
        parameter_request_list: None,
        dns_servers: (!is_refusal).then(|| [NAME_SERVER].into_iter().collect()),
        max_size: None,
        lease_duration: leases.then_some(LEASE),
        renew_duration: None,
        rebind_duration: None,
        additional_options: if is_refusal { &[] } else { options },
    }
}
