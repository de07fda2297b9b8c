//! Connections are made from both sides and carry bytes.

use super::*;

#[tokio::test]
async fn a_guest_connects_to_a_host_program() {
    let mut guest = Guest::new();
    let mut host = guest.connect().await;
    guest.write(HOST_PORT, b"from the guest");
    assert_eq!(read_exact(&mut host, 14).await, b"from the guest");
    host.write_all(b"from the host").await.unwrap();
    let (op, header, payload) = guest.expect().await;
    assert_eq!(
        (op, payload.as_slice()),
        (Op::ReadWrite, &b"from the host"[..])
    );
    assert_eq!(header.src_port.get(), HOST_PORT);
    assert_eq!(header.dst_port.get(), GUEST_PORT);
    assert_eq!(header.buf_alloc.get(), BUFFER_SIZE);
    assert_eq!(header.fwd_cnt.get(), 14);
}

#[tokio::test]
async fn a_host_program_connects_to_the_guest() {
    let mut guest = Guest::new();
    // What follows the line at once is for the guest.
    let line = format!("CONNECT {GUEST_PORT}\nhello");
    let (mut host, port) = guest.connect_host(&line).await;
    guest.expect_nothing().await;
    guest.send(Op::Response, port);
    let expected = format!("OK {port}\n");
    assert_eq!(
        read_exact(&mut host, expected.len()).await,
        expected.as_bytes()
    );
    let (op, _, payload) = guest.expect().await;
    assert_eq!((op, payload.as_slice()), (Op::ReadWrite, &b"hello"[..]));
    guest.write(port, b"hello yourself");
    assert_eq!(read_exact(&mut host, 14).await, b"hello yourself");
}

#[tokio::test]
async fn a_port_nobody_listens_for_is_refused() {
    let mut guest = Guest::new();
    guest.send(Op::Request, HOST_PORT);
    let reset = guest.expect_op(Op::Reset).await;
    assert_eq!(reset.src_port.get(), HOST_PORT);
    assert_eq!(reset.dst_port.get(), GUEST_PORT);
    assert!(guest.muxer.is_empty());
}

#[tokio::test]
async fn a_guest_refuses_a_host_program() {
    let mut guest = Guest::new();
    let (mut host, port) = guest.connect_host("CONNECT 1000\n").await;
    guest.send(Op::Reset, port);
    assert_eq!(read_to_end(&mut host).await, b"");
    assert!(guest.muxer.is_empty());
}

#[tokio::test]
async fn two_host_programs_have_two_ports() {
    let mut guest = Guest::new();
    let (_one, first) = guest.connect_host("CONNECT 1000\n").await;
    let (_two, second) = guest.connect_host("CONNECT 1000\n").await;
    assert_ne!(first, second);
    assert_eq!(guest.muxer.len(), 2);
}

#[tokio::test]
async fn what_is_no_connect_line_is_hung_up_on() {
    let mut guest = Guest::new();
    for line in ["GET / HTTP/1.1\r\n", "CONNECT x\n", &"x".repeat(40)] {
        let mut host = UnixStream::connect(guest.path()).await.unwrap();
        host.write_all(line.as_bytes()).await.unwrap();
        // What was not read of the line makes this an error, else it is the end.
        let count = guest.during(host.read(&mut [0])).await.unwrap_or(0);
        assert_eq!(count, 0, "{line}");
        assert!(guest.muxer.is_empty(), "{line}");
    }
}

#[tokio::test]
async fn connections_take_turns() {
    let mut guest = Guest::new();
    let mut hosts = Vec::new();
    for _ in 0..3 {
        let (host, port) = guest.connect_host("CONNECT 1000\n").await;
        guest.send(Op::Response, port);
        hosts.push((host, port));
    }
    for (host, _) in &mut hosts {
        host.write_all(&pattern(100_000)).await.unwrap();
    }
    let mut order = Vec::new();
    let mut payload = [0; 100];
    while order.len() < 3 {
        guest.during(tokio::task::yield_now()).await;
        let port = guest
            .muxer
            .transmit(&mut payload)
            .map(|header| header.src_port.get());
        order.extend(port.filter(|port| !order.contains(port)));
    }
    let mut next = || guest.muxer.transmit(&mut payload).unwrap().src_port.get();
    let rounds: Vec<u32> = (0..6).map(|_| next()).collect();
    order
        .iter()
        .for_each(|port| assert!(rounds[..3].contains(port)));
    assert_eq!(rounds[..3], rounds[3..]);
}
