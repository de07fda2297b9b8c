//! Neither end sends more than the other has room for.

use super::*;

#[tokio::test]
async fn the_guest_gets_no_more_than_it_has_room_for() {
    let mut guest = Guest::new();
    guest.buf_alloc = 1000;
    let mut host = guest.connect().await;
    let sent = pattern(2500);
    host.write_all(&sent).await.unwrap();
    let mut got = guest.expect().await.2;
    assert_eq!(got.len(), 1000);
    guest.expect_op(Op::CreditRequest).await;
    // It is asked once.
    guest.expect_nothing().await;
    while got.len() < sent.len() {
        guest.fwd_cnt = got.len() as u32;
        guest.send(Op::CreditUpdate, HOST_PORT);
        let (op, _, payload) = guest.expect().await;
        match op {
            Op::ReadWrite => {
                assert!(payload.len() <= 1000);
                got.extend(payload);
            }
            op => assert_eq!(op, Op::CreditRequest),
        }
    }
    assert_eq!(got, sent);
}

#[tokio::test]
async fn a_guest_that_obeys_its_credit_loses_nothing() {
    let mut guest = Guest::new();
    let mut host = guest.connect().await;
    let sent = pattern(2 << 20);
    let mut told = 0u32;
    let mut got = vec![0; sent.len()];
    let mut read = 0;
    let mut written = 0;
    while read < sent.len() {
        let in_flight = written as u32 - told;
        let size = (BUFFER_SIZE - in_flight) as usize;
        let size = size.min(sent.len() - written).min(50_000);
        guest.write(HOST_PORT, &sent[written..written + size]);
        written += size;
        assert!(guest.muxer.waiting() <= BUFFER_SIZE as usize);
        let room = &mut got[read..];
        read += guest.during(host.read(room)).await.unwrap();
        while guest.muxer.has_output() {
            told = guest.expect_op(Op::CreditUpdate).await.fwd_cnt.get();
        }
    }
    assert!(got == sent, "the bytes are not those that were sent");
}

#[tokio::test]
async fn a_guest_that_does_not_obey_is_reset() {
    let mut guest = Guest::new();
    let _host = guest.connect().await;
    let bytes = pattern(64 << 10);
    // The socket takes some; then the buffer fills.
    for _ in 0..1000 {
        guest.write(HOST_PORT, &bytes);
        assert!(guest.muxer.waiting() <= BUFFER_SIZE as usize);
        if guest.muxer.is_empty() {
            let mut last = guest.expect().await.0;
            while last == Op::CreditUpdate {
                last = guest.expect().await.0;
            }
            assert_eq!(last, Op::Reset);
            assert_eq!(guest.muxer.waiting(), 0);
            return;
        }
    }
    panic!("it could send what it liked");
}

#[tokio::test]
async fn a_guest_that_asks_is_told() {
    let mut guest = Guest::new();
    let mut host = guest.connect().await;
    guest.write(HOST_PORT, b"12345");
    read_exact(&mut host, 5).await;
    guest.expect_nothing().await;
    guest.send(Op::CreditRequest, HOST_PORT);
    let update = guest.expect_op(Op::CreditUpdate).await;
    assert_eq!(update.fwd_cnt.get(), 5);
    assert_eq!(update.buf_alloc.get(), BUFFER_SIZE);
}

#[tokio::test]
async fn a_guest_that_has_read_what_was_not_sent_is_reset() {
    let mut guest = Guest::new();
    let mut host = guest.connect().await;
    guest.fwd_cnt = 1;
    guest.send(Op::CreditUpdate, HOST_PORT);
    guest.expect_op(Op::Reset).await;
    assert_eq!(read_to_end(&mut host).await, b"");
}
