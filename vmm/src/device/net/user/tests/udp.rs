use super::guest::World;
use crate::device::net::user::address::{GATEWAY, NAME_SERVER};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use tokio::net::UdpSocket;

fn guest_socket(world: &mut World, port: u16) -> SocketHandle {
    let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; 64], vec![0; 1 << 20]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.bind(port).expect("the socket is new");
    world.sockets.add(socket)
}

fn get(world: &mut World, handle: SocketHandle) -> &mut Socket<'static> {
    world.sockets.get_mut::<Socket<'static>>(handle)
}

/// Gives each datagram back, the other way round.
async fn mirror() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("some port is free");
    let address = socket.local_addr().expect("it is bound");
    tokio::spawn(async move {
        let mut bytes = vec![0; 65536];
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            bytes[..length].reverse();
            let _sent = socket.send_to(&bytes[..length], from).await;
        }
    });
    address
}

async fn ask(world: &mut World, handle: SocketHandle, to: SocketAddrV4, text: &[u8]) -> Vec<u8> {
    get(world, handle)
        .send_slice(text, to)
        .expect("there is room");
    world.until(|world| get(world, handle).can_recv()).await;
    let (answer, from) = get(world, handle).recv().expect("it came");
    assert_eq!(from.endpoint, to.into());
    answer.to_vec()
}

#[tokio::test]
async fn datagrams_go_out_and_answers_come_back() {
    let host = mirror().await;
    for sums in [false, true] {
        let mut world = World::with(65520, sums, None, &[]);
        let socket = guest_socket(&mut world, 5000);
        let to = SocketAddrV4::new(GATEWAY, host.port());
        assert_eq!(ask(&mut world, socket, to, b"abc").await, b"cba");
        assert_eq!(ask(&mut world, socket, to, b"").await, b"");
        let long: Vec<u8> = (0..60_000_u32).map(|number| number as u8).collect();
        let answer = ask(&mut world, socket, to, &long).await;
        assert!(answer.iter().eq(long.iter().rev()));
        assert_eq!(world.engine.flows(), (0, 1));
    }
}

#[tokio::test]
async fn the_name_server_is_the_hosts() {
    let resolver = mirror().await;
    let mut world = World::with(65520, false, Some(resolver), &[]);
    let socket = guest_socket(&mut world, 5000);
    let to = SocketAddrV4::new(NAME_SERVER, 53);
    assert_eq!(ask(&mut world, socket, to, b"name?").await, b"?eman");
}

#[tokio::test]
async fn a_datagram_longer_than_the_guest_takes_is_lost_and_the_next_is_not() {
    let host = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("some port is free");
    let port = host.local_addr().expect("it is bound").port();
    let mut world = World::with(1500, true, None, &[]);
    let socket = guest_socket(&mut world, 5000);
    get(&mut world, socket)
        .send_slice(b"hello", SocketAddrV4::new(GATEWAY, port))
        .expect("there is room");
    let mut bytes = [0; 16];
    let came = tokio::spawn(async move {
        let (_, from) = host.recv_from(&mut bytes).await.expect("it comes");
        for answer in [&[1; 1473][..], &[2; 1472]] {
            host.send_to(answer, from).await.expect("there is room");
        }
    });
    world.until(|world| get(world, socket).can_recv()).await;
    came.await.expect("all was sent");
    let (answer, _) = get(&mut world, socket).recv().expect("it came");
    assert_eq!(answer, [2; 1472]);
}

#[tokio::test]
async fn flows_are_bounded_and_forgotten_when_idle() {
    use crate::device::net::user::udp::{IDLE, MAX_FLOWS};
    let host = mirror().await;
    let mut world = World::new();
    let to = SocketAddrV4::new(GATEWAY, host.port());
    // All but the last of these find the table full.
    for port in 0..MAX_FLOWS + 10 {
        let socket = guest_socket(&mut world, 5000 + port as u16);
        assert_eq!(ask(&mut world, socket, to, b"ab").await, b"ba");
        world.sockets.remove(socket);
    }
    assert_eq!(world.engine.flows(), (0, MAX_FLOWS));
    tokio::time::pause();
    tokio::time::advance(IDLE).await;
    world.engine.work();
    assert_eq!(world.engine.flows(), (0, 0));
}
