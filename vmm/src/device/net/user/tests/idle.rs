use super::guest::World;
use crate::device::net::user::address::GATEWAY;
use smoltcp::socket::tcp::State;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{pause, timeout};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn nothing_wakes_a_network_on_which_nothing_happens() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("some port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let mut world = World::new();
    pause();
    timeout(DAY, world.engine.wait())
        .await
        .expect_err("nothing happens");
    tokio::time::resume();

    // Nor does a connection that is open and silent.
    let socket = world.connect(SocketAddrV4::new(GATEWAY, port), 40000);
    world
        .until(|world| world.socket(socket).state() == State::Established)
        .await;
    world
        .socket(socket)
        .send_slice(b"hello")
        .expect("it is open");
    let (stream, _) = listener.accept().await.expect("the guest has connected");
    world
        .until(|world| world.socket(socket).send_queue() == 0)
        .await;
    stream.readable().await.expect("it is open");
    pause();
    timeout(DAY, world.engine.wait())
        .await
        .expect_err("nothing happens");
    assert_eq!(world.engine.flows(), (1, 0));
}
