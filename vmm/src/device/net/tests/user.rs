use super::frames::*;
use crate::device::net::NetOptions;
use crate::device::net::features::{CSUM, GUEST_CSUM, MRG_RXBUF, MTU};
use crate::device::net::header::{HEADER_SIZE, NEEDS_CSUM, NetHeader};
use crate::device::tests::rig::Rig;
use smoltcp::wire::{IpProtocol, TcpPacket, TcpSeqNumber, checksum};
use std::net::{TcpListener, UdpSocket};

fn started(features: u64) -> Rig {
    let options = NetOptions::parse("user,mac=02:00:00:00:00:01").expect("it is right");
    let device = options.open().expect("it needs nothing");
    Rig::started(Box::new(device), features)
}

fn counter(rig: &Rig, name: &str) -> u64 {
    let counters = rig.device().shared.stats.counters();
    counters.get(name).copied().unwrap_or(0)
}

/// Gives a buffer and sends a frame, to which an answer comes.
fn ask(rig: &mut Rig, frame: &[u8]) -> (NetHeader, Vec<u8>) {
    rig.add(RX, &[], &[BUFFER]);
    rig.kick(RX);
    send(rig, NetHeader::default(), frame);
    received(&rig.wait(RX))
}

#[test]
fn the_configuration_says_address_link_and_mtu() {
    let options = NetOptions::parse("user,mac=02:00:00:00:00:01,mtu=9000").expect("it is right");
    let rig = Rig::new(Box::new(options.open().expect("it needs nothing")));
    let mut config = [0; 12];
    rig.device()
        .shared
        .config
        .read(0, &mut config)
        .expect("there are 12 bytes");
    let [mtu_low, mtu_high] = 9000_u16.to_le_bytes();
    assert_eq!(config, [2, 0, 0, 0, 0, 1, 1, 0, 1, 0, mtu_low, mtu_high]);
}

#[test]
fn the_gateway_answers_after_every_reset() {
    let mut rig = started(0);
    for _ in 0..3 {
        let (header, frame) = ask(&mut rig, &arp_request());
        let expected = NetHeader {
            num_buffers: 1.into(),
            ..NetHeader::default()
        };
        assert_eq!(header, expected);
        assert_eq!(&frame[..6], MAC);
        assert_eq!(&frame[20..22], [0, 2]);
        assert_eq!(&frame[28..32], GATEWAY.octets());
        rig.reset();
        rig.start(crate::device::features::TRANSPORT);
    }
}

#[test]
fn an_answer_waits_for_a_buffer() {
    let mut rig = started(0);
    send(&mut rig, NetHeader::default(), &arp_request());
    assert_eq!(rig.poll(RX), None);
    rig.add(RX, &[], &[BUFFER]);
    rig.kick(RX);
    assert_eq!(received(&rig.wait(RX)).1.len(), 42);
}

fn echo_server() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("some port is free");
    let port = socket.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        let mut bytes = vec![0; 65536];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let _sent = socket.send_to(&bytes[..length], from);
        }
    });
    port
}

#[test]
fn a_packet_is_spread_over_buffers_if_the_driver_agrees() {
    let port = echo_server();
    let mut rig = started(MRG_RXBUF | MTU);
    let payload: Vec<u8> = (0..5000_u32).map(|number| number as u8).collect();
    // Too few of them are kept for the time being.
    rig.add(RX, &[], &[1500]);
    rig.kick(RX);
    send(&mut rig, NetHeader::default(), &udp(port, &payload));
    for _ in 0..4 {
        rig.add(RX, &[], &[100, 1400]);
    }
    rig.kick(RX);
    let mut used: Vec<_> = (0..4).map(|_| rig.wait(RX)).collect();
    let last = used.pop().expect("there are four");
    assert!(used.iter().all(|used| used.written == 1500));
    let total = HEADER_SIZE + UDP_PAYLOAD + payload.len();
    assert_eq!(last.written as usize, total - 3 * 1500);
    let mut bytes = used.remove(0).bytes;
    used.iter().for_each(|used| bytes.extend(&used.bytes));
    bytes.extend(&last.bytes[..last.written as usize]);
    assert_eq!(bytes[10..12], [4, 0]);
    assert!(bytes[HEADER_SIZE + UDP_PAYLOAD..] == payload);
    // The one that was not needed is for the next packet.
    let (header, _) = {
        send(&mut rig, NetHeader::default(), &arp_request());
        received(&rig.wait(RX))
    };
    assert_eq!(header.num_buffers.get(), 1);
}

#[test]
fn a_packet_for_which_a_buffer_is_too_small_is_lost_and_the_buffer_is_not() {
    let port = echo_server();
    let mut rig = started(MTU);
    rig.add(RX, &[], &[BUFFER]);
    rig.kick(RX);
    send(&mut rig, NetHeader::default(), &udp(port, &[7; 3000]));
    rig.wait_for(|rig| counter(rig, "rx_too_long") == 1);
    send(&mut rig, NetHeader::default(), &udp(port, &[7; 300]));
    let (_, frame) = received(&rig.wait(RX));
    assert_eq!(frame[UDP_PAYLOAD..], [7; 300]);
}

#[test]
fn a_frame_longer_than_any_is_lost() {
    let mut rig = started(0);
    send(&mut rig, NetHeader::default(), &vec![0; 66_000]);
    assert_eq!(counter(&rig, "tx_too_long"), 1);
    ask(&mut rig, &arp_request());
}

/// A request for a connection, whose checksum is only begun.
fn syn(port: u16) -> Vec<u8> {
    let mut segment = [0; 20];
    let mut packet = TcpPacket::new_unchecked(&mut segment[..]);
    packet.set_src_port(40000);
    packet.set_dst_port(port);
    packet.set_seq_number(TcpSeqNumber(7));
    packet.set_header_len(20);
    packet.set_syn(true);
    packet.set_window_len(1000);
    let sum = checksum::pseudo_header_v4(&GUEST, &GATEWAY, IpProtocol::Tcp, 20);
    packet.set_checksum(sum);
    ipv4(IpProtocol::Tcp, &segment)
}

#[test]
fn checksums_are_left_to_the_other_side_where_that_was_agreed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let port = listener.local_addr().expect("it is bound").port();
    for features in [CSUM, CSUM | GUEST_CSUM] {
        let mut rig = started(features);
        rig.add(RX, &[], &[BUFFER]);
        rig.kick(RX);
        let begun = NetHeader::with_checksum(34, 16);
        send(&mut rig, begun, &syn(port));
        let (header, frame) = received(&rig.wait(RX));
        let answer = TcpPacket::new_checked(&frame[34..]).expect("it is a segment");
        assert!(answer.syn() && answer.ack());
        assert_eq!(answer.ack_number(), TcpSeqNumber(8));
        let is_complete = answer.verify_checksum(&GATEWAY.into(), &GUEST.into());
        if features & GUEST_CSUM == 0 {
            assert!(is_complete);
            assert_eq!(header.flags, 0);
        } else {
            let length = answer.header_len().into();
            let sum = checksum::pseudo_header_v4(&GATEWAY, &GUEST, IpProtocol::Tcp, length);
            assert_eq!(answer.checksum(), sum);
            let place = (header.csum_start.get(), header.csum_offset.get());
            assert_eq!((header.flags, place), (NEEDS_CSUM, (34, 16)));
        }
        listener.accept().expect("the device has connected");
    }
}

#[test]
fn a_limit_of_the_rate_holds() {
    let options = NetOptions::parse("user,rate=10K").expect("it is right");
    let device = options.open().expect("it needs nothing");
    let mut rig = Rig::started(Box::new(device), 0);
    let start = std::time::Instant::now();
    // A burst of a second is free; the next has to wait for the debt of the last.
    for _ in 0..12 {
        send(&mut rig, NetHeader::default(), &[0; 1024]);
    }
    assert!(start.elapsed().as_millis() >= 100, "{:?}", start.elapsed());
}
