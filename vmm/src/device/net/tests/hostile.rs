//! Drivers that give anything.

use super::frames::*;
use crate::device::features::TRANSPORT;
use crate::device::net::NetOptions;
use crate::device::net::features::MRG_RXBUF;
use crate::device::net::header::NetHeader;
use crate::device::tests::rig::Rig;
use proptest::prelude::*;
use zerocopy::IntoBytes;

fn started(features: u64) -> Rig {
    let options = NetOptions::parse("user").expect("it is right");
    let device = options.open().expect("it needs nothing");
    Rig::started(Box::new(device), features)
}

fn still_serves(rig: &mut Rig) {
    rig.reset();
    rig.start(TRANSPORT);
    rig.add(RX, &[], &[BUFFER]);
    rig.kick(RX);
    send(rig, NetHeader::default(), &arp_request());
    assert_eq!(received(&rig.wait(RX)).1.len(), 42);
}

#[test]
fn a_buffer_too_short_for_a_header_needs_a_reset() {
    let mut rig = started(0);
    rig.add(TX, &[&[0; 11]], &[]);
    rig.kick(TX);
    rig.wait_for(Rig::needs_reset);
    still_serves(&mut rig);
    rig.reset();
    rig.start(TRANSPORT | MRG_RXBUF);
    rig.add(RX, &[], &[11]);
    rig.kick(RX);
    rig.add(TX, &[NetHeader::default().as_bytes(), &arp_request()], &[]);
    rig.kick(TX);
    rig.wait_for(Rig::needs_reset);
    still_serves(&mut rig);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_a_driver_gives_the_device_serves_after_a_reset(
        features in prop_oneof![Just(0), Just(MRG_RXBUF)],
        requests in prop::collection::vec(
            (
                any::<bool>(),
                prop::collection::vec(0_usize..70, 0..4),
                prop::collection::vec(prop_oneof![0_u32..30, Just(BUFFER)], 0..4),
                prop_oneof![Just(0_u8), any::<u8>()],
            ),
            1..60,
        ),
    ) {
        let mut rig = started(features);
        for (is_sent, readable, writable, fill) in requests {
            if rig.needs_reset() {
                break;
            }
            if readable.is_empty() && writable.is_empty() {
                continue;
            }
            let queue = if is_sent { TX } else { RX };
            let readable: Vec<Vec<u8>> = readable.iter().map(|size| vec![fill; *size]).collect();
            let readable: Vec<&[u8]> = readable.iter().map(Vec::as_slice).collect();
            rig.add(queue, &readable, &writable);
            rig.kick(queue);
        }
        still_serves(&mut rig);
    }
}
