//! A tap device, in a network of the test's own.

use super::frames::*;
use crate::device::net::NetOptions;
use crate::device::net::features::{CTRL_VQ, MQ};
use crate::device::tests::rig::Rig;
use paravane_test_network::Interface;
use std::path::Path;
use std::sync::Arc;

/// Whether there can be a tap device. From then on this thread's network is its own.
fn has_taps(test: &str) -> bool {
    let missing = match paravane_test_network::enter() {
        Err(error) => format!("a network namespace cannot be had: {error}"),
        Ok(()) if !Path::new("/dev/net/tun").exists() => "there is no /dev/net/tun".to_string(),
        Ok(()) => return true,
    };
    println!("{test} SKIPPED: {missing}");
    false
}

/// A device on a tap device that is up and has the gateway's address.
fn started(name: &str, queues: u16, features: u64) -> Rig {
    let options = NetOptions::parse(&format!("tap={name},queues={queues}"));
    let device = options.expect("it is right").open();
    let device = device.expect("this process may make tap devices");
    let interface = Interface::find(name);
    interface.add_address(GATEWAY, 24);
    interface.set_up();
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

/// Waits until the device says that there is no link, with a buffer for what the host may have had to
/// say before.
fn wait_for_its_end(rig: &mut Rig) {
    let config = Arc::clone(&rig.device().shared.config);
    rig.wait_for(|rig| {
        if rig.poll(RX).is_some() {
            rig.add(RX, &[], &[BUFFER]);
            rig.kick(RX);
        }
        let mut status = [1];
        config.read(6, &mut status).is_some() && status == [0]
    });
}

#[test]
fn the_host_answers_after_every_reset() {
    if !has_taps("the_host_answers_after_every_reset") {
        return;
    }
    let mut rig = started("pv-test0", 1, 0);
    for _ in 0..3 {
        ask(&mut rig, 0, 1);
        rig.reset();
        rig.start(crate::device::features::TRANSPORT);
    }
    // It goes away under the device, which waits for packets.
    rig.add(RX, &[], &[BUFFER]);
    rig.kick(RX);
    Interface::find("pv-test0").remove();
    wait_for_its_end(&mut rig);
    rig.request(TX, &[&[0; 12], &arp_request()], &[]);
    // It does not come back with a reset.
    rig.reset();
    rig.start(crate::device::features::TRANSPORT);
    wait_for_its_end(&mut rig);
}

#[test]
fn a_driver_chooses_how_many_pairs_it_uses() {
    const CONTROL: usize = 6;
    if !has_taps("a_driver_chooses_how_many_pairs_it_uses") {
        return;
    }
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
