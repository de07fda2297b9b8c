//! How connections end: by halves, in full, by reset, by time.

use super::super::packet::{SHUTDOWN_BOTH, SHUTDOWN_RECEIVE, SHUTDOWN_SEND};
use super::*;

#[tokio::test]
async fn the_guest_closes() {
    let mut guest = Guest::new();
    let mut host = guest.connect().await;
    guest.write(HOST_PORT, b"last words");
    guest.shut_down(HOST_PORT, SHUTDOWN_BOTH);
    guest.expect_op(Op::Reset).await;
    assert_eq!(read_to_end(&mut host).await, b"last words");
    assert!(guest.muxer.is_empty());
}

#[tokio::test]
async fn the_guest_closes_the_half_that_it_sends_by() {
    let mut guest = Guest::new();
    let mut host = guest.connect().await;
    guest.shut_down(HOST_PORT, SHUTDOWN_SEND);
    assert_eq!(read_to_end(&mut host).await, b"");
    host.write_all(b"an answer").await.unwrap();
    assert_eq!(guest.expect().await.2, b"an answer");
    // Sending on is against the rules.
    guest.write(HOST_PORT, b"x");
    guest.expect_op(Op::Reset).await;
}

#[tokio::test]
async fn the_guest_closes_the_half_that_it_receives_by() {
    let mut guest = Guest::new();
    let mut host = guest.connect().await;
    guest.shut_down(HOST_PORT, SHUTDOWN_RECEIVE);
    let error = host.write_all(b"x").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    guest.write(HOST_PORT, b"still here");
    assert_eq!(read_exact(&mut host, 10).await, b"still here");
    guest.shut_down(HOST_PORT, SHUTDOWN_SEND);
    guest.expect_op(Op::Reset).await;
    assert!(guest.muxer.is_empty());
}

#[tokio::test]
async fn the_host_program_closes_the_half_that_it_sends_by() {
    let mut guest = Guest::new();
    let mut host = guest.connect().await;
    host.write_all(b"a question").await.unwrap();
    host.shutdown().await.unwrap();
    assert_eq!(guest.expect().await.2, b"a question");
    let header = guest.expect_op(Op::Shutdown).await;
    assert_eq!(header.flags.get(), SHUTDOWN_SEND);
    guest.write(HOST_PORT, b"an answer");
    guest.shut_down(HOST_PORT, SHUTDOWN_BOTH);
    assert_eq!(read_to_end(&mut host).await, b"an answer");
    guest.expect_op(Op::Reset).await;
}

#[tokio::test]
async fn the_host_program_closes() {
    let mut guest = Guest::new();
    let mut host = guest.connect().await;
    host.write_all(b"last words").await.unwrap();
    drop(host);
    assert_eq!(guest.expect().await.2, b"last words");
    let header = guest.expect_op(Op::Shutdown).await;
    assert_eq!(header.flags.get(), SHUTDOWN_BOTH);
    guest.send(Op::Reset, HOST_PORT);
    assert!(guest.muxer.is_empty());
    guest.expect_nothing().await;
}

#[tokio::test]
async fn a_guest_without_room_hears_that_the_host_program_closes() {
    let mut guest = Guest::new();
    guest.buf_alloc = 0;
    drop(guest.connect().await);
    let header = guest.expect_op(Op::Shutdown).await;
    assert_eq!(header.flags.get(), SHUTDOWN_BOTH);
}

#[tokio::test]
async fn the_guest_hears_that_nobody_reads_any_more() {
    let mut guest = Guest::new();
    let mut host = guest.connect().await;
    host.write_all(b"bye").await.unwrap();
    drop(host);
    guest.write(HOST_PORT, b"are you there?");
    let header = guest.expect_op(Op::Shutdown).await;
    assert_eq!(header.flags.get(), SHUTDOWN_RECEIVE);
    // What the program wrote before it ended is not lost.
    assert_eq!(guest.expect().await.2, b"bye");
    let header = guest.expect_op(Op::Shutdown).await;
    assert_eq!(header.flags.get(), SHUTDOWN_BOTH);
}

#[tokio::test]
async fn what_was_sent_before_a_reset_arrives() {
    let mut guest = Guest::new();
    let mut host = guest.connect().await;
    let mut sent = Vec::new();
    // More than the socket takes at once, so that some waits in the buffer.
    while guest.muxer.waiting() == 0 {
        let bytes = pattern(32 << 10);
        guest.write(HOST_PORT, &bytes);
        sent.extend(bytes);
    }
    guest.send(Op::Reset, HOST_PORT);
    assert_eq!(guest.muxer.len(), 1);
    let got = guest.during(read_to_end(&mut host)).await;
    assert!(got == sent, "{} bytes of {}", got.len(), sent.len());
    assert!(guest.muxer.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_host_program_that_says_nothing_is_hung_up_on() {
    let mut guest = Guest::new();
    let mut host = UnixStream::connect(guest.path()).await.unwrap();
    host.write_all(b"CONN").await.unwrap();
    assert_eq!(guest.during(read_to_end(&mut host)).await, b"");
    assert!(guest.muxer.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_does_not_answer_is_not_waited_for() {
    let mut guest = Guest::new();
    let (mut host, port) = guest.connect_host("CONNECT 1000\n").await;
    assert_eq!(guest.during(read_to_end(&mut host)).await, b"");
    let reset = guest.expect_op(Op::Reset).await;
    assert_eq!(reset.src_port.get(), port);
    // An answer that comes later finds nothing.
    guest.send(Op::Response, port);
    guest.expect_op(Op::Reset).await;
    assert!(guest.muxer.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_host_program_that_never_reads_is_given_up() {
    let mut guest = Guest::new();
    let _host = guest.connect().await;
    while guest.muxer.waiting() == 0 {
        guest.write(HOST_PORT, &pattern(32 << 10));
    }
    guest.expect_op(Op::CreditUpdate).await;
    guest.shut_down(HOST_PORT, SHUTDOWN_BOTH);
    guest.expect_op(Op::Reset).await;
    assert_eq!(guest.muxer.len(), 1);
    let minute = tokio::time::sleep(Duration::from_secs(59));
    guest.during(minute).await;
    assert!(guest.muxer.is_empty());
}
