//! A guest that sends anything.

use super::guest::{MAC, MTU};
use crate::device::net::user::address::{GATEWAY, GUEST, NAME_SERVER};
use crate::device::net::user::{Checks, Engine, Settings};
use proptest::prelude::*;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket,
};
use std::net::Ipv4Addr;

/// One field of a frame, chosen so that most frames get past the first check.
#[derive(Clone, Debug)]
pub(in crate::device::net) struct Recipe {
    ethertype: u16,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    ports: (u16, u16),
    flags: u8,
    numbers: (u32, u32),
    header_words: u8,
    payload: Vec<u8>,
    // Bytes that are changed, and where the frame is cut.
    damage: Vec<(u16, u8)>,
    cut: Option<u16>,
}

pub(in crate::device::net) fn recipe() -> impl Strategy<Value = Recipe> {
    let address = prop_oneof![
        4 => Just(GUEST),
        2 => Just(GATEWAY),
        2 => Just(NAME_SERVER),
        1 => Just(Ipv4Addr::BROADCAST),
        1 => Just(Ipv4Addr::UNSPECIFIED),
        1 => Just(Ipv4Addr::new(224, 0, 0, 1)),
        1 => Just(Ipv4Addr::new(127, 0, 0, 1)),
    ];
    let port = prop_oneof![Just(0), Just(1), Just(53), Just(67), Just(68), 65530_u16..];
    let number = prop_oneof![Just(0), Just(1), Just(u32::MAX), any::<u32>()];
    let first = (
        prop_oneof![8 => Just(0x0800), 2 => Just(0x0806), 1 => any::<u16>()],
        address.clone(),
        address,
        prop_oneof![6 => Just(6), 4 => Just(17), 2 => Just(1), 1 => any::<u8>()],
        (port.clone(), port),
    );
    let second = (
        any::<u8>(),
        (number.clone(), number),
        prop_oneof![4 => Just(5), 1 => 0_u8..16],
        prop::collection::vec(any::<u8>(), 0..400),
        prop::collection::vec((0_u16..100, any::<u8>()), 0..4),
        prop::option::weighted(0.2, 0_u16..200),
    );
    (first, second).prop_map(|(first, second)| Recipe {
        ethertype: first.0,
        source: first.1,
        destination: first.2,
        protocol: first.3,
        ports: first.4,
        flags: second.0,
        numbers: second.1,
        header_words: second.2,
        payload: second.3,
        damage: second.4,
        cut: second.5,
    })
}

impl Recipe {
    pub(in crate::device::net) fn frame(&self) -> Vec<u8> {
        let mut bytes = vec![0; 14 + 20 + 20];
        bytes.extend_from_slice(&self.payload);
        let length = bytes.len();
        let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
        frame.set_src_addr(EthernetAddress(MAC));
        frame.set_dst_addr(EthernetAddress::BROADCAST);
        frame.set_ethertype(EthernetProtocol::from(self.ethertype));
        let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
        packet.set_version(4);
        packet.set_header_len(20);
        packet.set_total_len((length - 14) as u16);
        packet.set_hop_limit(64);
        packet.set_next_header(IpProtocol::from(self.protocol));
        packet.set_src_addr(self.source);
        packet.set_dst_addr(self.destination);
        if self.protocol == 17 {
            let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
            datagram.set_src_port(self.ports.0);
            datagram.set_dst_port(self.ports.1);
            datagram.set_len((length - 34) as u16);
        } else {
            let mut segment = TcpPacket::new_unchecked(packet.payload_mut());
            segment.set_src_port(self.ports.0);
            segment.set_dst_port(self.ports.1);
            segment.set_seq_number(smoltcp::wire::TcpSeqNumber(self.numbers.0 as i32));
            segment.set_ack_number(smoltcp::wire::TcpSeqNumber(self.numbers.1 as i32));
            segment.set_window_len(1000);
            segment.set_header_len(20);
        }
        packet.fill_checksum();
        if self.protocol == 6 {
            bytes[14 + 20 + 12] = self.header_words << 4;
            bytes[14 + 20 + 13] = self.flags;
        }
        for (place, value) in &self.damage {
            if let Some(byte) = bytes.get_mut(usize::from(*place)) {
                *byte = *value;
            }
        }
        bytes.truncate(self.cut.map_or(length, usize::from));
        bytes
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_frame_does_any_harm(
        recipes in prop::collection::vec(recipe(), 1..300),
        takes_answers in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("there are file descriptors");
        runtime.block_on(async {
            let checks = Checks { from_guest: false, to_guest: false };
            // Nobody listens at the port for discarding, whoever it is.
            let dns = Some((Ipv4Addr::LOCALHOST, 9).into());
            let settings = Settings { mtu: MTU, checks, mac: MAC, dns };
            let mut engine = Engine::new(&settings, &[]).expect("there are file descriptors");
            for recipe in &recipes {
                let bytes = recipe.frame();
                let mut frame = engine.buffer(bytes.len());
                frame.copy_from_slice(&bytes);
                engine.receive(frame);
                engine.work();
                assert!(engine.waiting() <= 128);
                let (tcp, udp) = engine.flows();
                assert!(tcp <= 512 && udp <= 512);
                while takes_answers && let Some(frame) = engine.next_frame() {
                    engine.give_back(frame);
                }
                tokio::task::yield_now().await;
            }
        });
    }
}
