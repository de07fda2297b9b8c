use super::guest::World;
use crate::device::net::user::address::{GATEWAY, GUEST, NAME_SERVER};
use smoltcp::socket::dhcpv4::{Event, Socket};
use smoltcp::socket::icmp;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpAddress, Ipv4Address};

#[tokio::test]
async fn the_guest_gets_its_address_by_dhcp() {
    let mut world = World::new();
    world
        .interface
        .update_ip_addrs(|addresses| addresses.clear());
    let socket = world.sockets.add(Socket::new());
    let mut config = None;
    world
        .until(|world| {
            let event = world.sockets.get_mut::<Socket<'_>>(socket).poll();
            if let Some(Event::Configured(given)) = event {
                config = Some((given.address, given.router, given.dns_servers.to_vec()));
            }
            config.is_some()
        })
        .await;
    let (address, router, dns) = config.expect("it was configured");
    assert_eq!(address.to_string(), format!("{GUEST}/24"));
    assert_eq!(router, Some(GATEWAY));
    assert_eq!(dns, [NAME_SERVER]);
}

/// Whether `address` answers to a ping, asked before another one that does.
async fn pings(world: &mut World, address: Ipv4Address) -> bool {
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 4096]);
    let mut socket = icmp::Socket::new(buffer(), buffer());
    socket
        .bind(icmp::Endpoint::Ident(7))
        .expect("the socket is new");
    for (seq_no, to) in [(1, address), (2, GATEWAY)] {
        let echo = Icmpv4Repr::EchoRequest {
            ident: 7,
            seq_no,
            data: b"are you there?",
        };
        let bytes = socket
            .send(echo.buffer_len(), IpAddress::Ipv4(to))
            .expect("there is room");
        let sums = smoltcp::phy::ChecksumCapabilities::default();
        echo.emit(&mut Icmpv4Packet::new_unchecked(bytes), &sums);
    }
    let socket = world.sockets.add(socket);
    let mut came = Vec::new();
    world
        .until(|world| {
            let socket = world.sockets.get_mut::<icmp::Socket<'_>>(socket);
            while let Ok((_, from)) = socket.recv() {
                came.push(from);
            }
            came.last() == Some(&GATEWAY.into())
        })
        .await;
    world.sockets.remove(socket);
    came.contains(&address.into())
}

#[tokio::test]
async fn the_gateway_and_the_name_server_answer_to_a_ping_and_nobody_else_does() {
    let mut world = World::new();
    assert!(pings(&mut world, NAME_SERVER).await);
    assert!(pings(&mut world, GATEWAY).await);
    assert!(!pings(&mut world, Ipv4Address::new(192, 0, 2, 1)).await);
}
