//! A tap device, where this process may make one.

use super::frames::*;
use crate::device::net::NetOptions;
use crate::device::net::features::{CTRL_VQ, MQ};
use crate::device::net::tap::{Tap, TapError};
use crate::device::tests::rig::Rig;
use std::process::Command;

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.expect("there is ip(8)").success(), "ip {arguments}");
}

/// A device on a tap device that is up and has the gateway's address.
fn started(name: &str, queues: u16, features: u64) -> Rig {
    let options = NetOptions::parse(&format!("tap={name},queues={queues}"));
    let device = options.expect("it is right").open();
    let device = device.expect("this process may make tap devices");
    ip(&format!("addr add {GATEWAY}/24 dev {name}"));
    ip(&format!("link set {name} up"));
    Rig::started(Box::new(device), features)
}

/// Asks the host for its address by the pair `pair`, and takes the answer from any of `pairs`.
fn ask(rig: &mut Rig, pair: usize, pairs: usize) -> usize {
    for pair in 0..pairs {
        rig.add(2 * pair, &[], &[BUFFER]);
        rig.kick(2 * pair);
    }
    let frame = arp_request();
    let header = [0; 12];
    rig.request(2 * pair + 1, &[&header, &frame], &[]);
    loop {
        for pair in 0..pairs {
            let Some(used) = rig.poll(2 * pair) else {
                continue;
            };
            // The host has things to say of its own.
            let (header, frame) = received(&used);
            if frame[12..14] == [8, 6] && frame[20..22] == [0, 2] {
                assert_eq!(header.num_buffers.get(), 1);
                assert_eq!(&frame[28..32], GATEWAY.octets());
                return pair;
            }
            rig.add(2 * pair, &[], &[BUFFER]);
            rig.kick(2 * pair);
        }
        std::thread::yield_now();
    }
}

#[test]
#[ignore = "it needs /dev/net/tun and CAP_NET_ADMIN"]
fn the_host_answers_after_every_reset() {
    let mut rig = started("pv-test0", 1, 0);
    for _ in 0..3 {
        ask(&mut rig, 0, 1);
        rig.reset();
        rig.start(crate::device::features::TRANSPORT);
    }
    let in_use = Tap::open("pv-test0", 1).expect_err("it is in use");
    assert_eq!(in_use, TapError::InUse("pv-test0".to_string()));
    let kind = Tap::open("lo", 1).expect_err("it is no tap device");
    assert_eq!(kind, TapError::Kind("lo".to_string(), 1));
    // It goes away under the device, which waits for packets.
    rig.add(RX, &[], &[BUFFER]);
    rig.kick(RX);
    ip("link del pv-test0");
    let config = &rig.device().shared.config;
    rig.wait_for(|_| {
        let mut status = [1];
        config.read(6, &mut status).is_some() && status == [0]
    });
    rig.request(TX, &[&[0; 12], &arp_request()], &[]);
}

#[test]
#[ignore = "it needs /dev/net/tun and CAP_NET_ADMIN"]
fn a_driver_chooses_how_many_pairs_it_uses() {
    const CONTROL: usize = 6;
    let mut rig = started("pv-test1", 3, MQ | CTRL_VQ);
    // Until it has said otherwise, everything comes by the first.
    assert_eq!(ask(&mut rig, 0, 1), 0);
    let set = |rig: &mut Rig, command: &[u8]| rig.request(CONTROL, &[command], &[1]).bytes[0];
    assert_eq!(set(&mut rig, &[4, 0, 3, 0]), 0);
    for pair in 0..3 {
        ask(&mut rig, pair, 3);
    }
    for wrong in [
        &[4, 0, 0, 0][..],
        &[4, 0, 4, 0],
        &[4, 0, 1],
        &[4, 0, 1, 0, 0],
        &[4, 1, 1, 0],
        &[0, 0, 1, 0],
    ] {
        assert_eq!(set(&mut rig, wrong), 1, "{wrong:?}");
    }
    assert_eq!(set(&mut rig, &[4, 0, 1, 0]), 0);
    assert_eq!(ask(&mut rig, 0, 1), 0);
    assert_eq!(set(&mut rig, &[4, 0, 2, 0]), 0);
    ask(&mut rig, 1, 2);
}
