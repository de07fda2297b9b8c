//! Drivers that give anything.

use super::frames::*;
use super::switch::Lan;
use crate::device::features::TRANSPORT;
use crate::device::net::NetOptions;
use crate::device::net::features::MRG_RXBUF;
use crate::device::net::header::NetHeader;
use crate::device::net::user::tests::hostile::recipe;
use crate::device::tests::fuzz::{Part, any_request, fuzz};
use crate::device::tests::rig::Rig;
use proptest::collection::vec;
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
    rig.wait_for(|rig| rig.needs_reset());
    still_serves(&mut rig);
    rig.reset();
    rig.start(TRANSPORT | MRG_RXBUF);
    rig.add(RX, &[], &[11]);
    rig.kick(RX);
    rig.add(TX, &[NetHeader::default().as_bytes(), &arp_request()], &[]);
    rig.kick(TX);
    rig.wait_for(|rig| rig.needs_reset());
    still_serves(&mut rig);
}

/// Headers as they should be, and others, before frames that a guest might send.
fn request() -> BoxedStrategy<Vec<Part>> {
    let field = prop_oneof![Just(0_u8), Just(1), any::<u8>()];
    let header = prop_oneof![
        3 => Just(vec![0; 12]),
        1 => Just(NetHeader::with_checksum(34, 16).as_bytes().to_vec()),
        1 => vec(field, 12),
    ];
    let sent = (header, recipe())
        .prop_map(|(header, recipe)| vec![Part::Bytes(header), Part::Bytes(recipe.frame())]);
    let room = (12_u32..3000).prop_map(|size| vec![Part::Room(size)]);
    prop_oneof![4 => sent, 3 => room, 1 => any_request()].boxed()
}

#[test]
fn drivers_on_a_user_network() {
    // Nobody listens at the port for discarding, whoever it is.
    let options = NetOptions::parse("user,dns=127.0.0.1:9").expect("it is right");
    fuzz(
        || Box::new(options.open().expect("it needs nothing")),
        request(),
    );
}

#[test]
fn drivers_at_a_switch() {
    let lan = Lan::new();
    fuzz(|| Box::new(lan.device()), request());
    lan.stop();
}
