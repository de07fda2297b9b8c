//! What no sound guest sends.

use super::super::muxer::MAX_CONNECTIONS;
use super::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[tokio::test]
async fn what_belongs_to_no_connection_is_refused() {
    let mut guest = Guest::new();
    let ops = [
        Op::Response,
        Op::Shutdown,
        Op::ReadWrite,
        Op::CreditUpdate,
        Op::CreditRequest,
    ];
    for op in ops {
        guest.send(op, HOST_PORT);
        guest.expect_op(Op::Reset).await;
    }
    guest.send(Op::Reset, HOST_PORT);
    guest.expect_nothing().await;
}

#[tokio::test]
async fn other_types_and_hosts_are_refused() {
    let mut guest = Guest::new();
    let _listener = guest.listen(HOST_PORT);
    let mut header = guest.header(Op::Request, HOST_PORT);
    header.kind = 2.into();
    guest.muxer.receive(&header, &[]);
    let reset = guest.expect_op(Op::Reset).await;
    assert_eq!(reset.kind.get(), 2);

    let mut header = guest.header(Op::Request, HOST_PORT);
    header.dst_cid = 9.into();
    guest.muxer.receive(&header, &[]);
    let reset = guest.expect_op(Op::Reset).await;
    assert_eq!(reset.src_cid.get(), 9);

    let mut header = guest.header(Op::Request, HOST_PORT);
    header.src_cid = 9.into();
    guest.muxer.receive(&header, &[]);
    guest.expect_nothing().await;
    assert!(guest.muxer.is_empty());
}

#[tokio::test]
async fn a_second_request_ends_the_connection() {
    let mut guest = Guest::new();
    let mut host = guest.connect().await;
    guest.send(Op::Request, HOST_PORT);
    guest.expect_op(Op::Reset).await;
    assert_eq!(read_to_end(&mut host).await, b"");
    assert!(guest.muxer.is_empty());
}

#[tokio::test]
async fn a_length_that_is_not_that_of_the_payload_ends_the_connection() {
    let mut guest = Guest::new();
    let _host = guest.connect().await;
    let mut header = guest.header(Op::ReadWrite, HOST_PORT);
    header.len = u32::MAX.into();
    guest.muxer.receive(&header, &[]);
    guest.expect_op(Op::Reset).await;
}

#[tokio::test]
async fn bytes_before_the_answer_end_the_connection() {
    let mut guest = Guest::new();
    let (mut host, port) = guest.connect_host("CONNECT 1000\n").await;
    guest.write(port, b"too early");
    guest.expect_op(Op::Reset).await;
    assert_eq!(read_to_end(&mut host).await, b"");
}

#[tokio::test]
async fn refusals_that_nobody_takes_do_not_pile_up() {
    let mut guest = Guest::new();
    let mut count = 0;
    while guest.muxer.can_receive() {
        guest.send(Op::CreditRequest, HOST_PORT);
        count += 1;
        assert!(count < 1000);
    }
    for _ in 0..count {
        guest.expect_op(Op::Reset).await;
    }
    assert!(guest.muxer.can_receive());
    guest.expect_nothing().await;
}

#[tokio::test]
async fn there_are_only_so_many_connections() {
    // Both ends of each are of this process.
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let mut guest = Guest::new();
    let listener = guest.listen(HOST_PORT);
    let mut hosts = Vec::new();
    for port in 0..MAX_CONNECTIONS as u32 {
        let mut header = guest.header(Op::Request, HOST_PORT);
        header.src_port = port.into();
        guest.muxer.receive(&header, &[]);
        hosts.push(listener.accept().await.unwrap().0);
        guest.expect_op(Op::Response).await;
    }
    let mut header = guest.header(Op::Request, HOST_PORT);
    header.src_port = u32::MAX.into();
    guest.muxer.receive(&header, &[]);
    guest.expect_op(Op::Reset).await;
    assert_eq!(guest.muxer.len(), MAX_CONNECTIONS);

    // A host program waits until there is room.
    let mut late = UnixStream::connect(guest.path()).await.unwrap();
    late.write_all(b"CONNECT 1000\n").await.unwrap();
    guest.expect_nothing().await;
    let mut header = guest.header(Op::Reset, HOST_PORT);
    header.src_port = 7.into();
    guest.muxer.receive(&header, &[]);
    guest.expect_op(Op::Request).await;
}

#[tokio::test]
async fn it_is_counted_what_became_of_requests() {
    let mut guest = Guest::new();
    let _host = guest.connect().await;
    guest.send(Op::Request, HOST_PORT + 1);
    guest.fwd_cnt = 1;
    guest.send(Op::CreditUpdate, HOST_PORT);
    let counters = guest.stats.counters();
    let expected = [("broken", 1), ("connections", 1), ("refused", 1)];
    assert_eq!(counters, expected.into());
}
