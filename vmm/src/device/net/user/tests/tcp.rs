use super::guest::World;
use crate::device::net::user::address::{GATEWAY, GUEST, NAME_SERVER};
use crate::device::net::user::{Forward, ForwardListener};
use smoltcp::socket::tcp::State;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A listener of the host, and where the guest finds it.
async fn listen() -> (TcpListener, SocketAddrV4) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("some port is free");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, SocketAddrV4::new(GATEWAY, port))
}

/// Gives back all that comes, and ends when the other side does.
async fn echo(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.expect("somebody comes");
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer)
        .await
        .expect("the guest does not reset");
    writer.shutdown().await.expect("the guest does not reset");
}

fn pattern(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..length).map(|_| random.u8(..)).collect()
}

#[tokio::test]
async fn a_large_transfer_is_echoed_whole_and_the_connection_forgotten() {
    let cables = [
        (65520, false, 5_000_000),
        (65520, true, 5_000_000),
        (1500, true, 500_000),
        (576, false, 100_000),
    ];
    for (mtu, sums, length) in cables {
        let (listener, address) = listen().await;
        let server = tokio::spawn(echo(listener));
        let mut world = World::with(mtu, sums, None, &[]);
        let socket = world.connect(address, 40000);
        let sent = pattern(length);
        let came = world.talk(socket, &sent).await;
        assert!(came == sent, "{} of {} came", came.len(), sent.len());
        server.await.expect("the server ends");
        world.until(|world| world.engine.flows() == (0, 0)).await;
    }
}

#[tokio::test]
async fn many_connections_at_once_are_not_mixed_up() {
    const COUNT: u16 = 100;
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("somebody comes");
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).await.expect("no reset");
                bytes.reverse();
                stream.write_all(&bytes).await.expect("no reset");
            });
        }
    });
    let mut world = World::new();
    let mut handles = Vec::new();
    for index in 0..COUNT {
        let handle = world.connect(address, 40000 + index);
        handles.push((handle, index.to_be_bytes()));
    }
    let mut sent = vec![false; COUNT.into()];
    let mut came = vec![Vec::new(); COUNT.into()];
    world
        .until(|world| {
            let mut done = true;
            for (index, (handle, bytes)) in handles.iter().enumerate() {
                let socket = world.socket(*handle);
                if !sent[index] && socket.may_send() {
                    socket.send_slice(bytes).expect("it is open");
                    socket.close();
                    sent[index] = true;
                }
                if socket.can_recv() {
                    let mut part = [0; 8];
                    let count = socket.recv_slice(&mut part).expect("something came");
                    came[index].extend_from_slice(&part[..count]);
                }
                done &= sent[index] && !socket.may_recv();
            }
            done
        })
        .await;
    for (index, (_, bytes)) in handles.iter().enumerate() {
        let mut reversed = bytes.to_vec();
        reversed.reverse();
        assert_eq!(came[index], reversed, "connection {index}");
    }
    world.until(|world| world.engine.flows() == (0, 0)).await;
}

#[tokio::test]
async fn a_refused_connection_is_a_reset_for_the_guest() {
    let (listener, address) = listen().await;
    drop(listener);
    let mut world = World::new();
    let socket = world.connect(address, 40000);
    world
        .until(|world| world.socket(socket).state() == State::Closed)
        .await;
    assert_eq!(world.engine.flows(), (0, 0));
    // So is one to what stands for nothing on the host.
    let socket = world.connect(SocketAddrV4::new(NAME_SERVER, 80), 40001);
    world
        .until(|world| world.socket(socket).state() == State::Closed)
        .await;
}

#[tokio::test]
async fn the_guest_may_go_on_after_the_host_has_said_all() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody comes");
        stream.write_all(b"all").await.expect("no reset");
        stream.shutdown().await.expect("no reset");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("no reset");
        bytes
    });
    let mut world = World::new();
    let socket = world.connect(address, 40000);
    let mut bytes = [0; 8];
    world
        .until(|world| {
            let socket = world.socket(socket);
            socket.can_recv() && socket.state() == State::CloseWait
        })
        .await;
    assert_eq!(world.socket(socket).recv_slice(&mut bytes), Ok(3));
    assert_eq!(&bytes[..3], b"all");
    let sent = pattern(300_000);
    world.talk(socket, &sent).await;
    world.until(|_| server.is_finished()).await;
    assert!(server.await.expect("it has ended") == sent);
    world.until(|world| world.engine.flows() == (0, 0)).await;
}

#[tokio::test]
async fn a_reset_of_the_host_is_one_for_the_guest_and_the_other_way_round() {
    let (listener, address) = listen().await;
    let mut world = World::new();
    let socket = world.connect(address, 40000);
    let mut accepted = None;
    world
        .until(|world| {
            if accepted.is_none() {
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                if let std::task::Poll::Ready(result) = listener.poll_accept(&mut context) {
                    accepted = Some(result.expect("no error").0);
                }
            }
            accepted.is_some() && world.socket(socket).may_send()
        })
        .await;
    let stream = accepted.take().expect("it was accepted");
    stream.set_zero_linger().expect("it is a socket");
    drop(stream);
    world
        .until(|world| world.socket(socket).state() == State::Closed)
        .await;
    assert_eq!(world.engine.flows(), (0, 0));

    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody comes");
        stream.read_to_end(&mut Vec::new()).await
    });
    let socket = world.connect(address, 40001);
    world.until(|world| world.socket(socket).may_send()).await;
    world.socket(socket).abort();
    world.until(|_| server.is_finished()).await;
    let error = server.await.expect("it ends").expect_err("it was reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(world.engine.flows(), (0, 0));
}

#[tokio::test]
async fn a_slow_host_gets_all_though_the_guest_has_closed_long_ago() {
    let (listener, address) = listen().await;
    let mut world = World::new();
    let socket = world.connect(address, 40000);
    let sent = pattern(900_000);
    let mut written = 0;
    world
        .until(|world| {
            let socket = world.socket(socket);
            if socket.can_send() {
                written += socket.send_slice(&sent[written..]).expect("it is open");
            }
            written == sent.len() && socket.send_queue() == 0
        })
        .await;
    let (mut stream, _) = listener.accept().await.expect("somebody came");
    stream.shutdown().await.expect("no reset");
    world.socket(socket).close();
    // The guest's side is over.
    world
        .until(|world| {
            matches!(
                world.socket(socket).state(),
                State::TimeWait | State::Closed
            )
        })
        .await;
    let reader = tokio::spawn(async move {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("no reset");
        bytes
    });
    world.until(|_| reader.is_finished()).await;
    assert!(reader.await.expect("it ends") == sent);
    world.until(|world| world.engine.flows() == (0, 0)).await;
}

fn forward(guest_port: u16) -> ForwardListener {
    let host = (Ipv4Addr::LOCALHOST, 0).into();
    ForwardListener::open(Forward { host, guest_port }).expect("some port is free")
}

async fn ask(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"question").await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_forwarded_port_leads_to_the_guest() {
    let listener = forward(80);
    let address = listener.forward.host;
    let mut world = World::with(65520, false, None, &[listener]);
    let client = tokio::spawn(ask(address));
    let socket = world.tcp();
    world
        .socket(socket)
        .listen((GUEST, 80))
        .expect("the socket is new");
    world
        .until(|world| world.socket(socket).state() == State::CloseWait)
        .await;
    let remote = world.socket(socket).remote_endpoint();
    assert_eq!(remote.map(|remote| remote.addr), Some(GATEWAY.into()));
    let mut question = [0; 16];
    let socket = world.socket(socket);
    assert_eq!(socket.recv_slice(&mut question), Ok(8));
    assert_eq!(&question[..8], b"question");
    socket.send_slice(b"answer").expect("it is open");
    socket.close();
    world.until(|_| client.is_finished()).await;
    let answer = client.await.expect("it ends").expect("no error");
    assert_eq!(answer, b"answer");
    world.until(|world| world.engine.flows() == (0, 0)).await;
}

#[tokio::test]
async fn a_forwarded_port_on_which_the_guest_does_not_listen_is_reset() {
    let listener = forward(80);
    let address = listener.forward.host;
    let mut world = World::with(65520, false, None, &[listener]);
    let client = tokio::spawn(ask(address));
    world.until(|_| client.is_finished()).await;
    client.await.expect("it ends").expect_err("it is reset");
    world.until(|world| world.engine.flows() == (0, 0)).await;
}
